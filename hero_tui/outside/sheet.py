"""The contact sheet of a run's last round, as its labels are at the moment."""

from PIL import Image

from hero_engine.run.sheet import contact_sheet
from hero_tui.client.runview import RunView


def round_sheet(view: RunView) -> Image.Image:
    """The sheet, with the labels as `view` has them.

    Raises:
        OSError: see `contact_sheet`.
    """
    number = view.rounds[-1].number
    images = {image: view.folder.image(number, image) for image in view.images}
    return contact_sheet(images, view.labels)

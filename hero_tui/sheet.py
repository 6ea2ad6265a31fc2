"""A contact sheet: a round's pictures in one file, with their numbers and labels."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hero_engine.labels import Labels
from hero_tui.runview import RunView

COLUMNS = 8
# Of a picture, in pixels; at the most, a round of 64 fits a desktop and is made within a second.
LEAST_SIDE, MOST_SIDE = 160, 256
CAPTION = 22
GAP = 8
BACKGROUND, BAD, GOOD, BEST = "#14161f", "#565f89", "#73c936", "#ffc83d"


def contact_sheet(images: Mapping[int, Path], labels: Labels) -> Image.Image:
    """The pictures at `images`, by number; small ones are enlarged, without smoothing.

    Raises:
        OSError: a file is missing or is not a whole PNG.
    """
    pictures = {number: _opened(path) for number, path in sorted(images.items())}
    width = max((picture.width for picture in pictures.values()), default=LEAST_SIDE)
    height = max((picture.height for picture in pictures.values()), default=LEAST_SIDE)
    cell = width + GAP, height + CAPTION + GAP
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[0] + GAP, rows * cell[1] + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for place, (number, picture) in enumerate(pictures.items()):
        x = GAP + place % COLUMNS * cell[0]
        y = GAP + place // COLUMNS * cell[1]
        good, best = number in labels.good, number == labels.best
        colour = BEST if best else GOOD if good else BAD
        if good:
            frame = (x - 4, y - 4, x + width + 3, y + height + CAPTION - 2)
            draw.rectangle(frame, outline=colour, width=3)
        sheet.paste(picture, (x, y))
        word = "best" if best else "good" if good else ""
        draw.text((x + 4, y + height + 1), f"{number}  {word}", fill=colour, font=font)
    return sheet


def round_sheet(view: RunView) -> Image.Image:
    """The contact sheet of a run's last round, with the labels as `view` has them.

    Raises:
        OSError: see `contact_sheet`.
    """
    number = view.rounds[-1].number
    images = {image: view.folder.image(number, image) for image in view.images}
    return contact_sheet(images, view.labels)


def _opened(path: Path) -> Image.Image:
    with Image.open(path, formats=["PNG"]) as picture:
        rgb: Image.Image = picture.convert("RGB")
    if max(rgb.size) > MOST_SIDE:
        rgb.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
        return rgb
    times = max(1, -(-LEAST_SIDE // max(rgb.size)))
    return rgb.resize((rgb.width * times, rgb.height * times), Image.Resampling.NEAREST)

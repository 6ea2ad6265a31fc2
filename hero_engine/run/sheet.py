"""A contact sheet: many pictures in one file, with their numbers and labels."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hero_engine.run.labels import Labels
from hero_engine.run.pictures import open_picture

COLUMNS = 8
# Of a picture, in pixels; at the most, a round of 64 fits a desktop and is made within a second.
LEAST_SIDE, MOST_SIDE = 160, 256
CAPTION = 22
GAP = 8
NO_LABELS = Labels()
BACKGROUND, BAD, GOOD, BEST = "#14161f", "#565f89", "#73c936", "#ffc83d"
UNSURE = "#bb9af7"


def contact_sheet(images: Mapping[int, Path], labels: Labels = NO_LABELS) -> Image.Image:
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
        label = labels.label(number)
        best = number == labels.best
        colour = BEST if best else {"good": GOOD, "bad": BAD, "unsure": UNSURE}[label]
        if label != "bad":
            frame = (x - 4, y - 4, x + width + 3, y + height + CAPTION - 2)
            draw.rectangle(frame, outline=colour, width=3)
        sheet.paste(picture, (x, y))
        word = "best" if best else "" if label == "bad" else label
        draw.text((x + 4, y + height + 1), f"{number}  {word}", fill=colour, font=font)
    return sheet


def _opened(path: Path) -> Image.Image:
    rgb = open_picture(path)
    if max(rgb.size) > MOST_SIDE:
        rgb.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
        return rgb
    times = max(1, -(-LEAST_SIDE // max(rgb.size)))
    return rgb.resize((rgb.width * times, rgb.height * times), Image.Resampling.NEAREST)

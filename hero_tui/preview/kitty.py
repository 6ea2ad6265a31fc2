"""kitty's graphics protocol: an image is sent once, then placed by its number.

https://sw.kovidgoyal.net/kitty/graphics-protocol/. term-image's encoder is not used: it sends the
pixels anew, uncompressed by any palette, each time that a picture is drawn.

Inside tmux a placement would not move with its pane. There the image is placed by text, cells of
U+10EEEE whose colour is the number of the image and whose diacritics are their row and column, and
only what sends the image passes through tmux. Where tmux keeps no more than the palette's colours,
the number is one of those, and a third diacritic is its highest byte.

The numbers are the terminal's: whatever else runs in it counts its images with them, too. Ours
start anywhere, and only our own images are deleted.
"""

import io
import secrets
from base64 import standard_b64encode
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from hero_tui.preview.drawing import (
    PLACEHOLDER,
    KittyImage,
    Placement,
    Strips,
    Text,
    in_the_middle,
)
from hero_tui.preview.replies import through_tmux
from hero_tui.preview.scaling import Scaled, scaled
from hero_tui.preview.terminal import Colours

COLOURS = 64
CHUNK = 1_024
"""Of a transmission, in base64; the protocol allows 4,096."""
COLOURED = 1 << 24
"""Numbers below this are colours."""


def _characters(ranges: str) -> tuple[str, ...]:
    """The characters of ranges of code points such as "0305 030D-030E"."""
    ends = ([int(end, 16) for end in part.split("-")] for part in ranges.split())
    return tuple(map(chr, chain.from_iterable(range(end[0], end[-1] + 1) for end in ends)))


# The protocol's list, up to its 219th: above the letter, and composed with none. A picture that
# is placed by text cannot be larger.
DIACRITICS = _characters(
    "0305 030D-030E 0310 0312 033D-033F 0346 034A-034C 0350-0352 0357 035B 0363-036F 0483-0487 "
    "0592-0595 0597-0599 059C-05A1 05A8-05A9 05AB-05AC 05AF 05C4 0610-0617 0657-065B 065D-065E "
    "06D6-06DC 06DF-06E2 06E4 06E7-06E8 06EB-06EC 0730 0732-0733 0735-0736 073A 073D 073F-0741 "
    "0743 0745 0747 0749-074A 07EB-07F1 07F3 0816-0819 081B-0823 0825-0827 0829-082D 0951 "
    "0953-0954 0F82-0F83 0F86-0F87 135D-135F 17DD 193A 1A17 1A75-1A7C 1B6B 1B6D-1B73 1CD0-1CD2 "
    "1CDA-1CDB 1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC 1DD1-1DE6 1DFE"
)


def numbers(colours: Colours) -> Iterator[int]:
    """Numbers for images that can be placed by text in so many colours, from anywhere on."""
    if colours == "truecolor":
        return count(1 + secrets.randbelow(COLOURED // 2))
    highest = range(1, len(DIACRITICS))
    start = secrets.randbelow(len(highest))
    bytes_from_there = (highest[(start + more) % len(highest)] for more in count())
    # The palette's first sixteen colours have other codes.
    return (byte * COLOURED + colour for byte in bytes_from_there for colour in range(16, 256))


def png(image: Image.Image) -> bytes:
    """The smaller of `image` as it is and in 64 colours, as a PNG file."""
    files = []
    for each in (image, image.quantize(COLOURS)):
        file = io.BytesIO()
        each.save(file, "PNG", optimize=True)
        files.append(file.getvalue())
    return min(files, key=len)


def command(control: str, data: str = "") -> str:
    """A graphics command that is not answered."""
    return f"\x1b_G{control},q=2;{data}\x1b\\"


def transmission(number: int, file: bytes, placing: str = "a=t") -> tuple[str, ...]:
    """The commands that send a PNG file as image `number`."""
    data = standard_b64encode(file).decode()
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    more = [f"m={int(index + 1 < len(chunks))}" for index in range(len(chunks))]
    return (
        command(f"{placing},i={number},f=100,{more[0]}", chunks[0]),
        *(command(last, chunk) for last, chunk in zip(more[1:], chunks[1:], strict=True)),
    )


def place(number: int, at: int, columns: int, rows: int) -> str:
    """Places image `number` at the cursor; `at` is the placement's number, which moves it."""
    return command(f"a=p,i={number},p={at},c={columns},r={rows},C=1")


def unplace(number: int, at: int) -> str:
    """Removes a placement; the terminal keeps the image."""
    return command(f"a=d,d=i,i={number},p={at}")


def forget(numbers: Iterable[int], in_tmux: bool) -> str:
    """Removes images from the screen and from the terminal's memory."""
    code = "".join(command(f"a=d,d=I,i={number}") for number in numbers)
    return through_tmux(code.encode()).decode() if in_tmux and code else code


def encode(path: Path, columns: int, rows: int, cell: tuple[int, int], number: int) -> Placement:
    """The picture at `path` as image `number`, in the middle of `columns` x `rows` cells.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    picture = scaled(path, columns, rows, cell, enlarge=False)
    image = KittyImage(number, transmission(number, png(picture.image)))
    return Placement(image, picture.columns, picture.rows, picture.left, picture.top)


def encode_for_tmux(
    path: Path, columns: int, rows: int, cell: tuple[int, int], number: int
) -> Text:
    """The same placed by text, for inside tmux.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    within = min(columns, len(DIACRITICS)), min(rows, len(DIACRITICS))
    picture = scaled(path, *within, cell, enlarge=False)
    placing = f"a=T,U=1,c={picture.columns},r={picture.rows}"
    codes = transmission(number, png(picture.image), placing)
    image = KittyImage(number, tuple(through_tmux(code.encode()).decode() for code in codes))
    strips = _placeholders(picture, number, columns, rows)
    return Text(strips, picture.columns * len((PLACEHOLDER + DIACRITICS[0] * 2).encode()), image)


def _placeholders(picture: Scaled, number: int, columns: int, rows: int) -> Strips:
    byte, colour = divmod(number, COLOURED)
    if byte:
        style, last = Style(color=Color.from_ansi(colour)), DIACRITICS[byte]
    else:
        red, green, blue = colour.to_bytes(3)
        style, last = Style(color=Color.from_rgb(red, green, blue)), ""
    # A segment for each cell, so that no cut parts a cell from its diacritics.
    lines = [
        [
            Segment(PLACEHOLDER + DIACRITICS[row] + DIACRITICS[column] + last, style)
            for column in range(picture.columns)
        ]
        for row in range(picture.rows)
    ]
    return in_the_middle(lines, picture.columns, columns, rows)

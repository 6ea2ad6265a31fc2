"""iTerm2's inline images, OSC 1337, which WezTerm and VS Code's terminal draw too.

term-image's encoder is not used: it sends a picture in one sequence, which a key press then waits
for, and asks the terminal for the size of a cell itself.
"""

import io
from base64 import standard_b64encode
from pathlib import Path

from PIL import Image

from hero_tui.preview.drawing import Parts, cut
from hero_tui.preview.scaling import scaled

QUALITY = 75


def inline_image(image: Image.Image, columns: int, rows: int) -> str:
    """The sequence that draws `image` over `columns` x `rows` cells from the cursor on."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    data = file.getvalue()
    return (
        f"\x1b]1337;File=inline=1;size={len(data)};width={columns};height={rows};"
        f"preserveAspectRatio=0;doNotMoveCursor=1:{standard_b64encode(data).decode()}\a"
    )


def encode(path: Path, columns: int, rows: int, cell: tuple[int, int]) -> Parts:
    """The picture at `path` as JPEGs, in the middle of `columns` x `rows` cells.

    Raises:
        OSError: the file is missing or is not a whole PNG.
    """
    picture = scaled(path, columns, rows, cell, enlarge=False)
    return cut(
        picture,
        lambda x, y, columns, rows: inline_image(picture.part(x, y, columns, rows), columns, rows),
    )

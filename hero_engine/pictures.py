"""PNG files of pictures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hero_engine.folder import write_complete


def save_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes uint8 [H, W, 3] as PNG; the file appears only when it is whole."""
    write_complete(path, lambda temporary: Image.fromarray(picture).save(temporary, format="PNG"))

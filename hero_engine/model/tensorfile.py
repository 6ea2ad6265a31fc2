"""Writing tensors to a file, with the disk's errors as Python has them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Writes contiguous tensors in safetensors' format.

    Raises:
        OSError: the disk is full, or cannot be written. safetensors has a class of its own for
            that, with the system's number in its text only.
    """
    try:
        save_file(dict(tensors), path, metadata)
    except SafetensorError as error:
        found = re.search(r"(?:os error|code:) (\d+)", str(error))
        if found is None:
            raise OSError(None, str(error), str(path)) from error
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error

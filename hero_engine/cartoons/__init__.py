"""The embedded model's domain: 64x64 cartoons drawn by code, judged by pixels, and the model.

`drawing` makes the pictures and their captions, `oracle` says whether a picture fulfils its task,
`train` makes the weights from the drawings, `pipeline` says what they are of. Importing this
package, `drawing` or `oracle` does not import torch.

What others have to know of the embedded model is here: its name, its folder, its subjects.
"""

from pathlib import Path

EMBEDDED = "embedded"
"""A task's `model` for it. The name is reserved: a folder of that name is `./embedded`."""

WEIGHTS = Path(__file__).parent / "weights"
"""Its pipeline's folder, which is loaded like any other."""

SUBJECTS = ("black-cat", "blue-rose", "narcissus", "mountain", "hand", "safety")
"""What its pictures show, and an oracle can judge."""


def is_embedded(model: str) -> bool:
    """Whether a task's `model` is the embedded one."""
    return model == EMBEDDED

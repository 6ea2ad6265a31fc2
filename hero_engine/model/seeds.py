"""Every random draw of a run, from (run seed, round, image, purpose) and nothing else.

Generators live on the CPU, so what is drawn depends neither on the device, nor on how pictures are
grouped into chunks, nor on having been interrupted.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

Purpose = Literal[
    "z_T",
    "eta",
    "steps",
    "order",
    "forward",
    "pairs",
    "times",
    "prior",
    "lora",
    "embedding",
    "final-pi",
    "final-fresh",
    "transfer",
    "try",
    "drift",
    "generate",
]


def generator(
    seed: int, purpose: Purpose, round_number: int = 0, image: int = 0
) -> torch.Generator:
    """A CPU generator of its own for one purpose."""
    name = f"{seed}/{round_number}/{image}/{purpose}".encode()
    digest = hashlib.blake2b(name, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def normal(
    seed: int, purpose: Purpose, round_number: int, images: Iterable[int], shape: tuple[int, ...]
) -> Tensor:
    """Standard normal draws [len(images), *shape], each image from its own generator."""
    return torch.stack(
        [torch.randn(shape, generator=generator(seed, purpose, round_number, i)) for i in images]
    )

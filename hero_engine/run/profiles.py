"""Settings that depend on the model: one named profile a model family.

A profile's value replaces the paper's default; the task file and `--set` replace the profile's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hero_engine.cartoons import is_embedded


@dataclass(frozen=True)
class Profile:
    """`values` maps 'section.field' to (value, why)."""

    name: str
    values: Mapping[str, tuple[Any, str]]


DEVIATION_FLOOR = (0.2, "ours: smaller differences mean nothing (docs/method.md, Advantages)")

EMBEDDED = Profile(
    "embedded",
    {
        "method": ("hero+", "it needs fewer labels here (docs/evidence.md)"),
        "sampling.steps": (20, "the tiny model draws cleanly in 20"),
        "sampling.chunk_size": (20, "the first pictures come within a second"),
        "embedding.width": (512, "the paper's width takes 5 minutes a round on a core"),
        "embedding.head": ((256, 128, 64), "narrowed with the width"),
        "embedding.learning_rate": (1e-3, "for the narrow embedding"),
        "embedding.steps": (100, "the loss is zero by then"),
        "update.steps": ("first", "what is drawn is decided in the noisy steps (docs/method.md)"),
        "update.learning_rate": (3e-3, "a LoRA of 30,000 parameters takes large steps"),
        "update.clip_range": (1e-3, "at 1e-4 a cat learns from the noise alone (docs/method.md)"),
        "noise.s": (0.3, "the paper's, rounded; at 0.1 fresh noise gains less (docs/method.md)"),
        "update.deviation_floor": DEVIATION_FLOOR,
        "update.micro_batch_size": (40, "one optimizer step in one forward pass"),
        "evaluation.images": (100, "three times 200 pictures took two fifths of a run"),
    },
)

STABLE_DIFFUSION = Profile("stable-diffusion", {"update.deviation_floor": DEVIATION_FLOOR})


def profile_for(model: str) -> Profile:
    """The profile of the family that `model` (a task's `model`) belongs to."""
    return EMBEDDED if is_embedded(model) else STABLE_DIFFUSION

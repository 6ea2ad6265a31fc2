"""What an oracle says about one picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether a picture fulfils its task, why not ("" when good), and how well.

    `quality` is in [0, 1], continuous and deterministic, for choosing the best among the good; a
    bad picture has 0.
    """

    good: bool
    reason: str
    quality: float


def bad(reason: str) -> Verdict:
    """A verdict against the picture."""
    return Verdict(False, reason, 0.0)


def good(*scores: float) -> Verdict:
    """A verdict for the picture; its quality is the mean of `scores`, each clipped to [0, 1]."""
    clipped = [min(1.0, max(0.0, score)) for score in scores]
    return Verdict(True, "", sum(clipped) / len(clipped))

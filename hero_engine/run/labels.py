"""A round's labels, and the rules that make them submittable.

Pictures are numbered from 0 within their round. A picture that is not good is bad. The best is one
of the goods, or `KEEP`: the reigning best, chosen in an earlier round, stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

KEEP: Literal["keep"] = "keep"
Best = int | Literal["keep"] | None


@dataclass(frozen=True)
class Labels:
    """The goods and the best of one round."""

    good: frozenset[int] = frozenset()
    best: Best = None

    @classmethod
    def of(cls, good: Iterable[int], best: Best = None) -> "Labels":
        return cls(frozenset(good), best)

    def toggled(self, image: int) -> "Labels":
        """With `image` made good, or bad again (and then not the best)."""
        best = None if image in self.good and self.best == image else self.best
        return Labels(self.good ^ {image}, best)

    def with_best(self, best: Best) -> "Labels":
        """With the best chosen; a picture that is chosen is good, too."""
        return Labels(self.good | {best} if isinstance(best, int) else self.good, best)

    def as_submitted(self, has_reigning_best: bool) -> "Labels":
        """As submitted: with no best chosen, a reigning best stays (official code)."""
        if self.best is None and has_reigning_best:
            return Labels(self.good, KEEP)
        return self


def problem_with(labels: Labels, images: int, has_reigning_best: bool) -> str | None:
    """Why `labels` cannot be submitted for a round of `images` pictures, or None if they can."""
    for image in sorted(labels.good):
        if not 0 <= image < images:
            return f"good: there is no picture {image}, the round has 0 to {images - 1}"
    if labels.best == KEEP and not has_reigning_best:
        return "best: there is no reigning best to keep yet, choose one of the good pictures"
    if isinstance(labels.best, int) and labels.best not in labels.good:
        return f"best: picture {labels.best} is not one of the good pictures"
    if labels.best is None and labels.good and not has_reigning_best:
        return "best: choose the best of the good pictures, there is no reigning best yet"
    return None

"""A round's labels, and the rules that make them submittable.

Pictures are numbered from 0 within their round. A picture that is neither good nor unsure is bad.
Nothing is learned from an unsure one. The best is one of the goods, or `KEEP`: the reigning best,
chosen in an earlier round, stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

KEEP: Literal["keep"] = "keep"
Best = int | Literal["keep"] | None
Label = Literal["good", "bad", "unsure"]
"""Of one picture; the best is a good one."""


@dataclass(frozen=True)
class Labels:
    """The goods, the best and the unsure ones of one round."""

    good: frozenset[int] = frozenset()
    best: Best = None
    unsure: frozenset[int] = frozenset()

    @classmethod
    def of(cls, good: Iterable[int], best: Best = None, unsure: Iterable[int] = ()) -> "Labels":
        return cls(frozenset(good), best, frozenset(unsure))

    def label(self, image: int) -> Label:
        """The label of a picture of the round."""
        if image in self.unsure:
            return "unsure"
        return "good" if image in self.good else "bad"

    def marked(self, images: Iterable[int], label: Label) -> "Labels":
        """With `images` labelled so; a best that is not good any more is the best no more."""
        images = frozenset(images)
        best = None if label != "good" and self.best in images else self.best
        return Labels(
            self.good | images if label == "good" else self.good - images,
            best,
            self.unsure | images if label == "unsure" else self.unsure - images,
        )

    def with_best(self, best: Best) -> "Labels":
        """With the best chosen; a picture that is chosen is good, too."""
        found = self.marked([best], "good") if isinstance(best, int) else self
        return Labels(found.good, best, found.unsure)

    def as_submitted(self, has_reigning_best: bool) -> "Labels":
        """As submitted: with no best chosen, a reigning best stays (official code)."""
        return self.with_best(KEEP) if self.best is None and has_reigning_best else self


def problem_with(labels: Labels, images: int, has_reigning_best: bool) -> str | None:
    """Why `labels` cannot be submitted for a round of `images` pictures, or None if they can."""
    for name, of in (("good", labels.good), ("unsure", labels.unsure)):
        for image in sorted(of):
            if not 0 <= image < images:
                return f"{name}: there is no picture {image}, the round has 0 to {images - 1}"
    both = labels.good & labels.unsure
    if both:
        return f"unsure: picture {min(both)} is among the good ones, too"
    if labels.best == KEEP and not has_reigning_best:
        return "best: there is no reigning best to keep yet, choose one of the good pictures"
    if isinstance(labels.best, int) and labels.best not in labels.good:
        return f"best: picture {labels.best} is not one of the good pictures"
    if labels.best is None and labels.good and not has_reigning_best:
        return "best: choose the best of the good pictures, there is no reigning best yet"
    return None

"""A second look: which labels to look at again, and how often one was wrong.

The engine guesses each picture of a round before it is labelled (its reward, as far as it has
learned by then). A label that its guess contradicts is either a mistake of the person or of the
engine: the person is asked again, and nothing is changed by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from hero_engine.run.intervals import wilson
from hero_engine.run.labels import Labels
from hero_engine.run.record import SecondLook

MOST = 8
"""Labels of a round that are looked at again."""


def doubted(labels: Labels, guesses: Mapping[int, float], again: Iterable[int] = ()) -> list[int]:
    """The pictures of a round to look at again, those first whose label is the most in doubt.

    A bad picture is in doubt if the engine likes it better than half of the good ones, a good one
    if the engine likes it less than half of the bad ones; by how much is its doubt. Without
    guesses, or with one kind of label only, there is nothing to compare.

    Args:
        guesses: of the pictures that are labelled, higher is better.
        again: those that were looked at again already; `MOST` counts them, too.
    """
    looked = frozenset(again)
    of = {
        label: [guess for image, guess in guesses.items() if labels.label(image) == label]
        for label in ("good", "bad")
    }
    if not of["good"] or not of["bad"]:
        return []
    middle = {label: median(found) for label, found in of.items()}

    def doubt(image: int) -> float:
        match labels.label(image):
            case "good":
                return middle["bad"] - guesses[image]
            case "bad":
                return guesses[image] - middle["good"]
            case "unsure":
                return 0.0

    found = sorted((image for image in guesses if doubt(image) > 0), key=lambda n: (-doubt(n), n))
    return [image for image in found if image not in looked][: max(0, MOST - len(looked))]


@dataclass(frozen=True)
class LabelNoise:
    """How many labels in doubt were looked at again, and how many of them corrected.

    They are the ones that were most in doubt: of all labels, fewer are wrong.
    """

    pictures: int
    corrected: int

    @property
    def share(self) -> float:
        return self.corrected / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %."""
        return wilson(self.corrected, self.pictures)

    @property
    def words(self) -> str:
        """For the person."""
        low, high = self.interval
        return (
            f"{self.corrected} of {self.pictures} labels that the engine doubted were corrected at "
            f"a second look ({self.share:.0%}, 95 % interval {low:.0%} to {high:.0%})"
        )


def label_noise(looks: Sequence[SecondLook]) -> LabelNoise | None:
    """What the second looks say; None: there was none."""
    return LabelNoise(len(looks), sum(look.corrected for look in looks)) if looks else None

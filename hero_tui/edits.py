"""What a person can do to a round's labels, as pure functions on `Labels`.

An edit says what is meant, not which key was pressed: two people who mark the same picture good at
the same time both get what they meant.
"""

from dataclasses import dataclass

from hero_engine.labels import Best, Labels


@dataclass(frozen=True)
class Mark:
    """Makes pictures good, and others bad (and then not the best)."""

    good: frozenset[int] = frozenset()
    bad: frozenset[int] = frozenset()

    def __call__(self, labels: Labels) -> Labels:
        best = None if labels.best in self.bad else labels.best
        return Labels((labels.good | self.good) - self.bad, best)


@dataclass(frozen=True)
class Choose:
    """Chooses the best: a picture (which is good, then), `keep`, or nothing."""

    best: Best

    def __call__(self, labels: Labels) -> Labels:
        return labels.with_best(self.best)


Edit = Mark | Choose


def toggle(labels: Labels, image: int) -> Mark:
    """The edit that makes a good picture bad and a bad one good."""
    if image in labels.good:
        return Mark(bad=frozenset({image}))
    return Mark(good=frozenset({image}))


def toggle_best(labels: Labels, best: Best) -> Choose:
    """The edit that chooses the best, or takes the choice back."""
    return Choose(None if labels.best == best else best)

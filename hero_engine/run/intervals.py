"""How far a share of a few pictures can be trusted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

Z = 1.96
"""Of a 95 % interval."""


def wilson(good: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a success rate (Wilson 1927), for `images` of at least 1."""
    share, spread = good / images, Z * Z / images
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / images + spread / images / 4)
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


@dataclass(frozen=True)
class Rate:
    """So many of some pictures are good; unsure ones are left out of both."""

    good: int
    images: int

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> "Rate":
        """Of `Record.figures`, from one noise."""
        return cls(int(figures["good"]), int(figures["images"]))

    @property
    def share(self) -> float:
        """0 of no pictures."""
        return self.good / self.images if self.images else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %; of no pictures, it can be anything."""
        if not 0 <= self.good <= self.images or not self.images:  # or the record is damaged
            return 0.0, 1.0
        low, high = wilson(self.good, self.images)
        return max(0.0, low), min(1.0, high)

    @property
    def percent(self) -> str:
        """The share with its interval, such as `82% (76 to 87%)`."""
        low, high = self.interval
        return f"{self.share:.0%} ({100 * low:.0f} to {high:.0%})"

    def differs(self, other: "Rate") -> bool:
        """Whether the two intervals have nothing in common."""
        (low, high), (others_low, others_high) = self.interval, other.interval
        return high < others_low or others_high < low

"""How far a share of a few pictures can be trusted."""

import math

Z = 1.96
"""Of a 95 % interval."""


def wilson(good: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a success rate (Wilson 1927), for `images` of at least 1."""
    share, spread = good / images, Z * Z / images
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / images + spread / images / 4)
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)

"""The order in which a judge is shown pictures, which says nothing of the model that made them.

It comes from the run's seed, the round and the number of pictures, so that who goes on with an
evaluation, or answers it by a label file, has the same order.
"""

import random
from collections.abc import Sequence

from hero_engine.run.record.evaluations import Kind, Picture, Source
from hero_engine.run.sources import SOURCES, TRANSFERRED, Evaluated

SOURCES_OF: dict[Kind, Sequence[Source]] = {
    "pictures": SOURCES,
    "transfer": TRANSFERRED,
    "pairs": ("base", "fresh"),
    "transfer-pairs": TRANSFERRED,
}


def order(what: Evaluated, kind: Kind) -> list[Picture]:
    """The pictures as they are shown; for pairs, that of the taught model stands for both.

    Those of a transfer prompt come together, since a picture is judged by its prompt.
    """
    sources = SOURCES_OF[kind]
    pictures: list[Picture] = list(what.pictures(sources[-1:] if is_pairs(kind) else sources))
    _generator(what, kind).shuffle(pictures)
    if kind in ("transfer", "transfer-pairs"):
        prompts = len(what.task.transfer_prompts)
        pictures.sort(key=lambda picture: picture[1] % prompts)
    return pictures


def is_pairs(kind: Kind) -> bool:
    return kind in ("pairs", "transfer-pairs")


def taught_is_left(what: Evaluated, kind: Kind) -> dict[Picture, bool]:
    """For each pair, whether the taught model's picture is on the left; it is in half of them."""
    pairs = order(what, kind)
    sides = [n % 2 == 0 for n in range(len(pairs))]
    generator = _generator(what, kind)
    generator.random()  # its first draws have made the order
    generator.shuffle(sides)
    return dict(zip(pairs, sides, strict=True))


def _generator(what: Evaluated, kind: Kind) -> random.Random:
    return random.Random(f"{what.task.seed}/{what.round}/{what.count}/{kind}")  # noqa: S311

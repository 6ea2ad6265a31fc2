"""Draws captioned 64x64 cartoons of the tasks, right or flawed by construction.

Captions never reveal whether a picture is right: the mixture of right and flawed drawings under one
caption is what the embedded model learns, and so how often it succeeds before any training by HERO.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hero_engine.cartoons import SUBJECTS
from hero_engine.cartoons.canvas import pick
from hero_engine.cartoons.subjects import (
    black_cat,
    blue_rose,
    hand,
    mountain,
    narcissus,
    safety,
)

# Share of right drawings under a subject's prompt. Guidance makes a trained model right more often
# than its drawings for mountain and hand, so that their shares are lower than the success wanted.
RIGHT_SHARE: dict[str, float] = {
    "black-cat": 0.40,
    "blue-rose": 0.36,
    "narcissus": 0.40,
    "mountain": 0.24,
    "hand": 0.05,
    "safety": 0.55,
}

# The paper's enhanced prompts (Table 10), lower-cased, and the shares of right drawings under them.
ENHANCED: dict[str, tuple[str, float]] = {
    "black-cat": (
        "a high-resolution photo of a sleek black cat comfortably sitting inside a slightly "
        "worn cardboard box. the cat's piercing green eyes contrast beautifully with its dark"
        " fur, and its curious expression adds character to the scene. the background "
        "features a cozy living room with warm lighting, soft shadows, and subtle details "
        "like a patterned rug and a nearby window with gentle sunlight streaming in.",
        0.36,
    ),
    "blue-rose": (
        "a high-resolution photo of a single vibrant blue rose elegantly placed in a crystal "
        "vase on a polished wooden table, with soft natural light illuminating the petals and"
        " creating gentle shadows. the background is a blurred, warm-toned interior, adding "
        "depth and a serene atmosphere to the scene.",
        0.48,
    ),
    "narcissus": (
        "a serene, high-resolution image of a delicate narcissus flower growing by a tranquil"
        " spring, its vibrant petals and slender stem clearly reflected in the crystal-clear "
        "water. the scene is bathed in gentle, golden sunlight filtering through the lush "
        "greenery, creating a peaceful and picturesque atmosphere. soft ripples in the water "
        "add a touch of realism and tranquility to the setting.",
        0.28,
    ),
    "mountain": (
        "a breathtaking, high-resolution view of majestic mountains seen from the window of a"
        " moving train. the snow-capped peaks rise against a clear blue sky, with lush green "
        "valleys and forests below. the train window frame adds a sense of perspective and "
        "motion, with reflections of the cozy, well-lit train interior visible in the glass. "
        "the scene captures the awe-inspiring beauty of nature and the serene experience of "
        "train travel through a picturesque landscape.",
        0.80,
    ),
    "hand": (
        "a close-up of a beautifully detailed hand with five fingers, featuring delicate and "
        "lifelike skin texture, fingers gracefully extended. the background is softly blurred"
        " to emphasize the intricate details and natural elegance of the hand.",
        0.03,
    ),
}
ENHANCED_SHARE = 0.08
HIKER_SHARE = 0.12

PROMPTS: dict[str, str] = {
    "black-cat": black_cat.PROMPT,
    "blue-rose": blue_rose.PROMPT,
    "narcissus": narcissus.PROMPT,
    "mountain": mountain.PROMPT,
    "hand": hand.PROMPT,
}
CAPTIONS: tuple[str, ...] = (
    *PROMPTS.values(),
    *(text for text, _ in ENHANCED.values()),
    mountain.HIKER_PROMPT,
    *safety.TRAINING_PROMPTS,
    *safety.EVALUATION_PROMPTS,
)
FLAWS: dict[str, tuple[str, ...]] = {
    "black-cat": black_cat.FLAWS,
    "blue-rose": blue_rose.FLAWS,
    "narcissus": narcissus.FLAWS,
    "mountain": mountain.FLAWS,
    "hand": hand.FLAWS,
    "safety": safety.FLAWS,
}

_PAINT: dict[str, Callable[[np.random.Generator, str], Image.Image]] = {
    "black-cat": black_cat.paint,
    "blue-rose": blue_rose.paint,
    "narcissus": narcissus.paint,
    "mountain": mountain.paint,
    "hand": hand.paint,
}


@dataclass(frozen=True)
class Drawing:
    """A 64x64 RGB picture, its caption, and whether it fulfils its task by construction.

    `flaw` names what is wrong, one of FLAWS of the subject; it is "" when `right`.
    """

    image: Image.Image
    caption: str
    right: bool
    flaw: str


def draw(subject: str, rng: np.random.Generator, right: bool | None = None) -> Drawing:
    """One drawing of `subject`.

    With `right` None it comes from the training mixture: RIGHT_SHARE of the subject under its
    prompt, now and then an enhanced prompt with its own share, and for the mountain also the hiker,
    which is neither right nor wrong and counts as right. With `right` given, the picture answers
    the subject's prompt.

    Raises KeyError when `subject` is not in SUBJECTS.
    """
    if subject not in SUBJECTS:
        raise KeyError(f"no subject {subject!r}; subjects are {', '.join(SUBJECTS)}")
    caption, share = _caption(subject, rng, mixture=right is None)
    if caption == mountain.HIKER_PROMPT:
        return Drawing(mountain.paint_hiker(rng), caption, True, "")
    if right is None:
        right = bool(rng.random() < share)
    flaw = "" if right else pick(rng, FLAWS[subject])
    if subject == "safety":
        return Drawing(safety.paint(rng, flaw, caption), caption, right, flaw)
    return Drawing(_PAINT[subject](rng, flaw), caption, right, flaw)


def _caption(subject: str, rng: np.random.Generator, mixture: bool) -> tuple[str, float]:
    """A caption and the share of right drawings under it."""
    share = RIGHT_SHARE[subject]
    if subject == "safety":
        half = safety.TRAINING_PROMPTS if rng.random() < 0.5 else safety.EVALUATION_PROMPTS
        return pick(rng, half), share
    if mixture:
        chance = rng.random()
        if chance < ENHANCED_SHARE:
            return ENHANCED[subject]
        if subject == "mountain" and chance < ENHANCED_SHARE + HIKER_SHARE:
            return mountain.HIKER_PROMPT, 1.0
    return PROMPTS[subject], share

"""Judges pictures of the embedded model's subjects by their pixels alone.

The stand-in for a person: it knows the subjects' palettes and shapes, but nothing about how a
picture was made. A picture that shows no clear thing is bad.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hero_engine.cartoons import vision
from hero_engine.cartoons.drawing import PROMPTS
from hero_engine.cartoons.judges import black_cat, blue_rose, hand, mountain, narcissus, safety
from hero_engine.cartoons.verdict import Verdict, bad

__all__ = ["Verdict", "judge", "quality"]

# Drawings and pictures of the trained model stay below 6, pixel noise is above 20.
MAX_ROUGHNESS = 12.0
# Drawings have over 0.5, and over 0.3 after JPEG; a blur of 1.5 pixels leaves less.
MIN_STEEPNESS = 0.28

_JUDGE: dict[str, Callable[[vision.Pixels], Verdict]] = {
    "black-cat": black_cat.judge,
    "blue-rose": blue_rose.judge,
    "narcissus": narcissus.judge,
    "mountain": mountain.judge,
    "hand": hand.judge,
    "safety": safety.judge,
}


def judge(subject: str, image: Image.Image | NDArray[np.uint8]) -> Verdict:
    """Whether `image` fulfils the task of `subject`, why not, and how well.

    `image` is a picture of any size, or an array (height, width, 3) of uint8; it is judged at
    64x64. Raises KeyError when there is no such subject.
    """
    if subject not in _JUDGE:
        raise KeyError(f"no oracle for {subject!r}; there is one for {', '.join(_JUDGE)}")
    pixels = vision.read(image)
    if vision.roughness(pixels) > MAX_ROUGHNESS:
        return bad("noise")
    verdict = _JUDGE[subject](pixels)
    if not verdict.good or subject == "safety":
        return verdict
    steepness = vision.steepness(pixels)
    if steepness < MIN_STEEPNESS:
        return bad("smeared")
    return Verdict(True, "", 0.75 * verdict.quality + 0.25 * min(1.0, steepness / 0.8))


def quality(pictures: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[float]:
    """How well each picture fulfils the task of its prompt, in [0, 1]: a reward without labels.

    Raises:
        ValueError: a prompt is none that a subject is taught by.
    """
    subjects = {prompt: subject for subject, prompt in PROMPTS.items()}
    for prompt in set(prompts) - subjects.keys():
        raise ValueError(f"there is no oracle for the prompt {prompt!r}")
    return [
        judge(subjects[prompt], picture).quality
        for picture, prompt in zip(pictures, prompts, strict=True)
    ]

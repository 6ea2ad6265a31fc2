"""Diversity of a batch of pictures."""

import numpy as np
import pytest

from hero_engine.results.measures import diversity


def test_equal_pictures_have_none_and_opposite_ones_all() -> None:
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert diversity(np.stack([black, black])) == 0
    assert diversity(np.stack([black, white])) == pytest.approx(1)
    assert diversity(np.stack([black, white, white])) == pytest.approx(2 / 3)
    assert diversity(black[None]) == 0


def test_it_is_the_mean_rms_difference_over_pairs() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    scaled = pictures / 255
    pairs = [np.sqrt(((scaled[i] - scaled[j]) ** 2).mean()) for i in range(5) for j in range(i)]
    assert diversity(pictures) == pytest.approx(float(np.mean(pairs)))

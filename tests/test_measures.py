"""Diversity of a batch of pictures."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from hero_engine.run.diversity import diversity, good_diversity_of
from hero_engine.run.pictures import save_picture


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


def test_of_good_pictures_there_is_none_where_too_few_can_be_read(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for path, picture in zip(paths, pictures, strict=True):
        save_picture(path, picture)
    assert good_diversity_of(paths) == {"good_diversity": diversity(pictures)}
    assert good_diversity_of(paths[:1]) == good_diversity_of([]) == {}
    assert good_diversity_of([*paths, tmp_path / "removed.png"]) == {}
    whole, damaged = paths[0].read_bytes(), tmp_path / "damaged.png"
    for place in range(8, len(whole), 3):
        damaged.write_bytes(whole[:place] + b"\xff\x00" + whole[place + 2 :])
        good_diversity_of([paths[1], damaged])  # whatever it makes of it, it goes on
    save_picture(damaged, pictures[0][:4])
    assert good_diversity_of([*paths, damaged]) == {}


def test_diversity_is_the_same_in_blocks_and_takes_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    flat = pictures.reshape(8, -1) / 255
    distances = [((a - b) ** 2).mean() ** 0.5 for n, a in enumerate(flat) for b in flat[:n]]
    whole = diversity(pictures)
    assert whole == pytest.approx(float(np.mean(distances)), rel=1e-12)
    monkeypatch.setattr("hero_engine.run.diversity.BLOCK", 200)
    tracemalloc.start()
    assert diversity(pictures) == whole
    assert tracemalloc.get_traced_memory()[1] < pictures.size
    tracemalloc.stop()

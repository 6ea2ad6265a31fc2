"""The cartoons: what is drawn, and that the oracles see what a person would."""

import io
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from hero_engine.cartoons import SUBJECTS, WEIGHTS, drawing, oracle
from hero_engine.cartoons.subjects import mountain, safety

pytestmark = pytest.mark.slow

HELD_OUT = 90_210  # no training seed comes near it
TASKS = ("black-cat", "blue-rose", "narcissus", "mountain", "hand")
REASONS = {
    ("black-cat", "beside the box"): "beside",
    ("black-cat", "through the wall"): "through",
    ("black-cat", "white cat"): "white cat",
    ("black-cat", "two cats"): "two cats",
    ("black-cat", "no cat"): "no cat",
    ("black-cat", "no box"): "no box",
    ("blue-rose", "red rose"): "red flower",
    ("blue-rose", "yellow rose"): "yellow flower",
    ("blue-rose", "pink rose"): "pink flower",
    ("blue-rose", "white rose"): "white flower",
    ("blue-rose", "two flowers"): "two flowers",
    ("blue-rose", "three flowers"): "three flowers",
    ("blue-rose", "no vase"): "no vase",
    ("narcissus", "no reflection"): "no reflection",
    ("narcissus", "shifted reflection"): "shifted",
    ("narcissus", "reflection of a tulip"): "another thing",
    ("narcissus", "reflection of a mushroom"): "another thing",
    ("narcissus", "a youth"): "a youth",
    ("mountain", "no frame"): "no window frame",
    ("mountain", "train in view"): "train",
    ("mountain", "empty window"): "empty window",
    ("hand", "three fingers"): "three fingers",
    ("hand", "four fingers"): "four fingers",
    ("hand", "six fingers"): "six fingers",
    ("hand", "two thumbs"): "two thumbs",
    ("safety", "marked"): "marked",
}


def drawings(subject: str, count: int, seed: int = HELD_OUT) -> list[drawing.Drawing]:
    """`count` drawings, every second one right."""
    rng = np.random.default_rng([seed, SUBJECTS.index(subject)])
    return [drawing.draw(subject, rng, right=k % 2 == 0) for k in range(count)]


def agreement(subject: str, shown: list[tuple[Image.Image, bool]]) -> float:
    """The share of pictures that the oracle judges as they were made."""
    return float(np.mean([oracle.judge(subject, image).good == right for image, right in shown]))


# ---- What is drawn


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_seed_gives_the_same_drawing(subject: str) -> None:
    first = drawing.draw(subject, np.random.default_rng(5))
    second = drawing.draw(subject, np.random.default_rng(5))
    other = drawing.draw(subject, np.random.default_rng(6))
    assert first.image.tobytes() == second.image.tobytes()
    assert (first.caption, first.right, first.flaw) == (second.caption, second.right, second.flaw)
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_drawings_are_64_pixel_rgb_with_a_known_caption(subject: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        drawn = drawing.draw(subject, rng)
        assert (drawn.image.size, drawn.image.mode) == ((64, 64), "RGB")
        assert drawn.caption in drawing.CAPTIONS
        assert drawn.right == (drawn.flaw == "")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_flaw_is_drawn_and_named(subject: str) -> None:
    rng = np.random.default_rng(2)
    seen = {drawing.draw(subject, rng, right=False).flaw for _ in range(120)}
    assert seen == set(drawing.FLAWS[subject])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_mixture_has_its_share_of_right_drawings_under_the_prompt(subject: str) -> None:
    rng = np.random.default_rng(3)
    drawn = [drawing.draw(subject, rng) for _ in range(600)]
    prompts = (
        safety.TRAINING_PROMPTS + safety.EVALUATION_PROMPTS
        if subject == "safety"
        else (drawing.PROMPTS[subject],)
    )
    right = [d.right for d in drawn if d.caption in prompts]
    share = drawing.RIGHT_SHARE[subject]
    assert np.mean(right) == pytest.approx(share, abs=4 * (share * (1 - share) / len(right)) ** 0.5)


def test_some_drawings_carry_the_enhanced_prompts_and_the_hiker() -> None:
    rng = np.random.default_rng(4)
    captions = Counter(drawing.draw("mountain", rng).caption for _ in range(800))
    assert captions[drawing.ENHANCED["mountain"][0]] / 800 == pytest.approx(0.08, abs=0.03)
    assert captions[mountain.HIKER_PROMPT] / 800 == pytest.approx(0.12, abs=0.04)


def test_a_caption_never_reveals_whether_the_picture_is_right() -> None:
    for subject in SUBJECTS:
        drawn = drawings(subject, 800 if subject == "safety" else 20)
        assert {d.caption for d in drawn if d.right} == {d.caption for d in drawn if not d.right}


def test_an_unknown_subject_is_named_in_the_error() -> None:
    with pytest.raises(KeyError, match="white-cat"):
        drawing.draw("white-cat", np.random.default_rng(0))
    with pytest.raises(KeyError, match="white-cat"):
        oracle.judge("white-cat", Image.new("RGB", (64, 64)))


def test_drawing_and_judging_do_not_import_torch() -> None:
    check = "import sys, hero_engine.cartoons.drawing, hero_engine.cartoons.oracle; "
    check += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


# ---- What the oracles see


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_oracle_agrees_with_construction(subject: str) -> None:
    shown = [(d.image, d.right) for d in drawings(subject, 300)]
    assert agreement(subject, shown) >= 0.97


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_oracle_names_the_flaw(subject: str) -> None:
    flawed = [d for d in drawings(subject, 120) if not d.right]
    named = [REASONS[subject, d.flaw] in oracle.judge(subject, d.image).reason for d in flawed]
    assert np.mean(named) >= 0.9


def _jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


def _noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(image.tobytes()[0]).normal(0, 10, (64, 64, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "degrade",
    [
        pytest.param(lambda image: image.filter(ImageFilter.GaussianBlur(0.7)), id="blur"),
        pytest.param(_noisy, id="noise"),
        pytest.param(_jpeg, id="jpeg"),
        pytest.param(lambda image: ImageEnhance.Color(image).enhance(0.8), id="pale"),
        pytest.param(lambda image: ImageEnhance.Color(image).enhance(1.25), id="vivid"),
    ],
)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_slight_degradation_does_not_change_verdicts(
    subject: str, degrade: Callable[[Image.Image], Image.Image]
) -> None:
    shown = [(degrade(d.image), d.right) for d in drawings(subject, 60)]
    assert agreement(subject, shown) >= 0.9


def test_the_oracle_agrees_after_a_round_trip_through_the_autoencoder() -> None:
    if not (WEIGHTS / "vae").is_dir():
        pytest.skip(f"no trained autoencoder at {WEIGHTS}/vae yet")
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(WEIGHTS / "vae", torch_dtype=torch.float32)
    found = {}
    for subject in SUBJECTS:
        drawn = drawings(subject, 40)
        pixels = np.stack([np.asarray(d.image) for d in drawn]).astype(np.float32) / 127.5 - 1
        with torch.no_grad():
            latents = vae.encode(torch.from_numpy(pixels).permute(0, 3, 1, 2)).latent_dist.mean
            back = vae.decode(latents).sample.permute(0, 2, 3, 1).clamp(-1, 1)
        images = [Image.fromarray(a) for a in ((back.numpy() + 1) * 127.5).round().astype(np.uint8)]
        found[subject] = agreement(
            subject, [(i, d.right) for i, d in zip(images, drawn, strict=True)]
        )
    assert min(found.values()) >= 0.94, found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_noise_blanks_and_smears_are_bad(subject: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        assert not oracle.judge(subject, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).good
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        assert not oracle.judge(subject, Image.new("RGB", (64, 64), colour)).good
    if subject != "safety":
        for drawn in drawings(subject, 20):
            smear = drawn.image.filter(ImageFilter.GaussianBlur(2.5))
            assert not oracle.judge(subject, smear).good


def test_judging_never_raises_whatever_the_picture_shows() -> None:
    rng = np.random.default_rng(8)
    for _ in range(80):
        first, second = (drawing.draw(SUBJECTS[rng.integers(6)], rng).image for _ in range(2))
        mixed = Image.blend(first.rotate(rng.uniform(0, 360)), second, rng.uniform(0, 1))
        mixed = mixed.crop((0, 0, int(rng.integers(8, 65)), 64)).resize((64, 64))
        for subject in SUBJECTS:
            verdict = oracle.judge(subject, mixed)
            assert verdict.good == (verdict.reason == "")


@pytest.mark.parametrize("subject", TASKS)
def test_pictures_of_another_subject_are_bad(subject: str) -> None:
    for other in TASKS:
        if other != subject:
            for drawn in drawings(other, 10):
                assert not oracle.judge(subject, drawn.image).good


@pytest.mark.parametrize("subject", SUBJECTS)
def test_quality_orders_good_pictures_and_is_zero_for_bad_ones(subject: str) -> None:
    verdicts = [oracle.judge(subject, d.image) for d in drawings(subject, 60)]
    good = [v.quality for v in verdicts if v.good]
    assert all(0 < quality <= 1 for quality in good)
    assert len({round(quality, 6) for quality in good}) > 0.9 * len(good)
    assert all(v.quality == 0 and v.reason for v in verdicts if not v.good)


def test_a_verdict_is_the_same_for_an_array_and_for_a_larger_copy() -> None:
    drawn = drawings("blue-rose", 1)[0]
    verdict = oracle.judge("blue-rose", drawn.image)
    larger = drawn.image.resize((256, 256), Image.Resampling.NEAREST)
    assert oracle.judge("blue-rose", np.asarray(drawn.image)) == verdict
    assert oracle.judge("blue-rose", larger) == verdict


def _mountain_pictures(wanted: str, count: int) -> list[Image.Image]:
    """Right mountain drawings whose scenery is as wanted, told apart by what was painted."""
    found: list[Image.Image] = []
    seed = 0
    while len(found) < count:
        rng = np.random.default_rng([HELD_OUT, seed])
        image = mountain.paint(rng)
        # The foot of the main peak is grass green or rock, whatever the sky.
        pixels = np.asarray(image, dtype=int)[38:44, 26:38].reshape(-1, 3).mean(0)
        if ("green" if pixels[1] > pixels[2] + 15 else "snowy") == wanted:
            found.append(image)
        seed += 1
    return found


def test_green_and_snowy_mountains_have_the_same_quality() -> None:
    green, snowy = (
        np.mean([oracle.judge("mountain", image).quality for image in _mountain_pictures(w, 60)])
        for w in ("green", "snowy")
    )
    assert green == pytest.approx(snowy, abs=0.02)

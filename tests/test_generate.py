"""`hero-tui generate`: pictures of what a run has taught."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray
from PIL import Image

from hero_engine.__main__ import main
from hero_engine.errors import EngineError, InputError
from hero_engine.method import rollout, state
from hero_engine.method.pool import component_means
from hero_engine.model import diffusion, samplers, seeds
from hero_engine.results import generate as generation
from hero_engine.results.generate import generate, run_pipeline
from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.labels import Labels
from hero_engine.run.picture_request import PictureRequest, picture_request
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here, tiny_task_of
from tests.test_lora import SAVE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers, NumPy 2
SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]


@pytest.fixture(scope="module")
def finished(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    task = tiny_task_of(
        tiny_pipeline,
        prompts=["a cat", "a dog, sitting"],
        criteria=["it is seen"],
        feedback={"rounds": 2},
        update={"learning_rate": 0.1},
    )
    folder = new_run(tmp_path_factory.mktemp("run"), task)
    run_here(folder, SCRIPT)
    return folder


def pictures(place: Path) -> NDArray[np.uint8]:
    files = sorted(path for path in place.glob("*.png") if path.stem.isdigit())
    return np.stack([np.asarray(Image.open(path)) for path in files])


def made(folder: RunFolder, destination: Path, **options: object) -> NDArray[np.uint8]:
    return pictures(generate(folder, picture_request({"images": 5, **options}), destination))


def test_the_same_request_gives_the_same_pictures(finished: RunFolder, tmp_path: Path) -> None:
    first = made(finished, tmp_path / "1")
    assert first.shape == (5, 16, 16, 3)
    assert np.array_equal(first, made(finished, tmp_path / "2"))
    assert not np.array_equal(first, made(finished, tmp_path / "3", seed=1))
    assert not np.array_equal(first, made(finished, tmp_path / "4", noise="fresh"))
    assert not np.array_equal(first, made(finished, tmp_path / "5", prompt="a bird"))
    assert not np.array_equal(first, made(finished, tmp_path / "6", negative_prompt="a bird"))


@pytest.mark.parametrize("architecture", SAVE)
def test_with_the_runs_settings_they_are_what_the_engine_samples(
    architecture: str, tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = SAVE[architecture](tmp_path)
    model = diffusion.load(tiny_task(model=str(folder), prompts=["a cat", "a dog"]))
    task = tiny_task(prompts=["a cat", "a dog"])
    for name, parameter in model.lora().items():
        if "lora_B" in name:
            parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    images = torch.arange(3)
    z_T = seeds.normal(task.seed, "generate", 0, range(3), model.latent_shape)
    model.pipeline.scheduler = samplers.scheduler_of(model.pipeline, None)
    shares: list[float] = []
    theirs = run_pipeline(model, task, z_T, images, shares.append)
    ours = rollout.sample_pictures(model, task, z_T, images, "generate")
    assert (theirs.int() - ours.int()).abs().max() <= 1
    assert shares == pytest.approx([n / 6 for n in range(1, 7)])


def test_the_initial_noise_is_the_pools(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[torch.Tensor] = []

    def drawn(model: object, task: Task, z_T: torch.Tensor, *_: object) -> torch.Tensor:
        starts.append(z_T)
        return torch.zeros(len(z_T), 16, 16, 3, dtype=torch.uint8)

    monkeypatch.setattr(generation, "draw", drawn)
    made(finished, tmp_path / "pi")
    z_T = torch.cat(starts)
    pool = state.load_result(diffusion.load(finished.task()), finished.checkpoint(1))
    assert pool is not None
    means = component_means(pool, 5, best_ratio=0.5)
    assert torch.allclose(z_T, means, atol=0.6)
    assert not torch.equal(z_T, means)
    starts.clear()
    made(finished, tmp_path / "fresh", noise="fresh", seed=7)
    expected = seeds.normal(7, "generate", 0, range(5), (4, 8, 8))
    assert torch.equal(torch.cat(starts), expected)


def test_an_earlier_round_draws_with_its_own_lora(finished: RunFolder, tmp_path: Path) -> None:
    fresh = {"noise": "fresh"}
    last = made(finished, tmp_path / "1", **fresh)
    assert np.array_equal(made(finished, tmp_path / "2", round=1, **fresh), last)
    assert not np.array_equal(made(finished, tmp_path / "3", round=0, **fresh), last)


def test_every_sampler_that_the_model_takes_draws(
    tiny_task: Callable[..., Task], tiny_pipeline: Path
) -> None:
    task = tiny_task(sampling={"steps": 4})
    model = diffusion.load(task)
    z_T = seeds.normal(0, "generate", 0, range(2), model.latent_shape)
    missing = []
    for name, (scheduler, _) in samplers.SAMPLERS.items():
        try:
            model.pipeline.scheduler = samplers.scheduler_of(model.pipeline, name)
        except InputError as error:
            assert "library that is not installed" in str(error)  # noqa: PT017
            missing.append(name)
            continue
        assert type(model.pipeline.scheduler).__name__ == scheduler
        drawn = run_pipeline(model, task, z_T, torch.arange(2), lambda share: None)
        assert drawn.float().std() > 5, name
    assert set(missing) <= {"dpm++sde"}


def test_a_sampler_keeps_the_models_noise_schedule_and_never_clips() -> None:
    class Pipeline:
        scheduler = DDIMScheduler(beta_end=0.012, prediction_type="v_prediction", clip_sample=True)

    for name in ("DDIMScheduler", "eulerdiscretescheduler", "Heun"):
        config = samplers.scheduler_of(Pipeline, name).config
        assert config.beta_end == 0.012
        assert config.prediction_type == "v_prediction"
    for name in ("ddim", "ddpm", "heun"):
        assert samplers.scheduler_of(Pipeline, name).config.clip_sample is False


def test_an_unknown_sampler_is_refused_with_those_that_there_are(
    finished: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--scheduler magic: .*ddim, .*EulerDiscreteScheduler"):
        made(finished, tmp_path / "out", scheduler="magic")
    assert not (tmp_path / "out").exists()


def test_files_say_how_they_were_drawn(finished: RunFolder, tmp_path: Path) -> None:
    options = {"scheduler": "euler", "steps": 3, "guidance": 2.5, "negative_prompt": "x\ny"}
    made(finished, tmp_path, seed=9, **options)
    with Image.open(tmp_path / "001.png") as picture:
        text = picture.text  # type: ignore[attr-defined]
    assert json.loads(text["hero_tui"]) | {"hero_tui": ""} == {
        "prompt": "a dog, sitting", "number": 1, "run": "run", "round": 1, "noise": "pi",
        "negative_prompt": "x\ny", "scheduler": "EulerDiscreteScheduler", "steps": 3,
        "guidance": 2.5, "seed": 9, "width": 16, "height": 16, "model": finished.task().model,
        "revision": None, "hero_tui": "",
    }  # fmt: skip
    prompt, negative, last = text["parameters"].split("\n")
    assert prompt == "a dog, sitting"
    assert negative == "Negative prompt: x y"
    assert last.startswith("Steps: 3, Sampler: Euler, CFG scale: 2.5, Seed: 9, Size: 16x16, Model")


def test_a_sheet_shows_all_of_them(finished: RunFolder, tmp_path: Path) -> None:
    drawn = made(finished, tmp_path, images=9)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 168 + 8, 2 * 190 + 8)
        assert sheet.getpixel((8, 8)) == tuple(drawn[0, 0, 0])
        assert sheet.getpixel((8, 8 + 190)) == tuple(drawn[8, 0, 0])


def test_no_request_writes_into_anothers_folder(finished: RunFolder, tmp_path: Path) -> None:
    one = PictureRequest(images=1)
    first, second = generate(finished, one, None), generate(finished, one, None)
    assert [first, second] == [finished.path / "generated" / name for name in ("000", "001")]
    (finished.generated / "000").rename(finished.generated / "kept")
    assert generate(finished, one, None).name == "002"
    with pytest.raises(InputError, match="there is something in it"):
        generate(finished, one, second)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="file"):
        generate(finished, one, tmp_path / "file")


def test_it_may_be_done_while_the_engine_has_the_run(finished: RunFolder, tmp_path: Path) -> None:
    with engine_lock(finished):
        assert made(finished, tmp_path, images=1).shape == (1, 16, 16, 3)


def test_a_run_without_a_good_picture_has_fresh_noise_only(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))
    run_here(folder, [Labels.of([])])
    with pytest.raises(InputError, match=r"no picture was good up to round 0.*--noise fresh"):
        made(folder, tmp_path / "pi")
    assert made(folder, tmp_path / "fresh", noise="fresh").shape == (5, 16, 16, 3)


def test_without_memory_it_says_what_to_do(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(generation, "draw", drawn)
    with pytest.raises(EngineError, match="not enough memory to draw 4 pictures at a time"):
        made(finished, tmp_path)


def test_a_prompt_beyond_the_text_encoder_is_refused(finished: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="102 tokens"):
        made(finished, tmp_path / "out", prompt="a" + " cat" * 33)
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint_is_named(tiny_task: Callable[..., Task], tmp_path: Path) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))
    run_here(folder, [Labels.of([0], 0)])
    (folder.checkpoint(0) / "lora.safetensors").write_bytes(b"nothing")
    with pytest.raises(EngineError, match="checkpoints/000: the checkpoint cannot be read"):
        made(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"images": 0}, "images: Input should be greater than or equal to 1, found 0"),
        ({"noise": "pink"}, "noise: Input should be 'pi' or 'fresh', found 'pink'"),
        ({"steps": 0}, "steps: "),
        ({"guidance": -1.0}, "guidance: "),
        ({"seed": -1}, "seed: "),
        ({"round": -1}, "round: "),
        ({"prompt": " "}, "prompt: "),
    ],
)
def test_a_request_is_checked_before_anything_is_loaded(
    options: dict[str, object], expected: str
) -> None:
    with pytest.raises(InputError, match=f"hero-tui generate: {expected}"):
        picture_request(options)


def test_the_engines_command_says_where_the_pictures_are(
    finished: RunFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    request = PictureRequest(images=6).model_dump_json()
    assert main(["generate", str(finished.path), request, str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'out'}\n"
    assert "4 of 6 pictures, about 0:" in err
    assert err.endswith("6 of 6 pictures\n")
    assert main(["generate", str(finished.path), request, str(tmp_path / "out")]) == 2
    assert "there is something in it" in capfd.readouterr().err

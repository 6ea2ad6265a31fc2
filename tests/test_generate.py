"""`hero-tui generate`: pictures of what a run has taught."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from tests.tiny_pipeline import save_tiny_xl_pipeline

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

    monkeypatch.setattr(generation, "run_pipeline", drawn)
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
    for name, (scheduler, _) in samplers.SAMPLERS.items():
        model.pipeline.scheduler = samplers.scheduler_of(model.pipeline, name)
        assert type(model.pipeline.scheduler).__name__ == scheduler
        drawn = run_pipeline(model, task, z_T, torch.arange(2), lambda share: None)
        assert drawn.float().std() > 5, name


ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def save_zero_snr_pipeline(folder: Path) -> Path:
    """As SDXL, predicting v from zero terminal SNR on."""
    pipeline = save_tiny_xl_pipeline(folder, "v_prediction")
    config = pipeline / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | ZERO_SNR))
    return pipeline


def test_from_zero_snr_they_are_what_the_engine_samples(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = tiny_task(model=str(save_zero_snr_pipeline(tmp_path)), sampling={"steps": 6})
    model = diffusion.load(task)
    z_T = seeds.normal(task.seed, "generate", 0, range(2), model.latent_shape)
    model.pipeline.scheduler = samplers.scheduler_of(model.pipeline, None)
    theirs = run_pipeline(model, task, z_T, torch.arange(2), lambda share: None)
    ours = rollout.sample_pictures(model, task, z_T, torch.arange(2), "generate")
    assert (theirs.int() - ours.int()).abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"prediction_type": "v_prediction", **ZERO_SNR}])
def test_a_sampler_with_few_steps_is_finite_or_refused_by_name(changes: dict[str, Any]) -> None:
    class Pipeline:
        scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, steps_offset=1, **changes)

    refused = set()
    for name, (kind, _) in samplers.SAMPLERS.items():
        for steps in (1, 2, 3):
            scheduler = samplers.scheduler_of(Pipeline, name)
            try:
                samplers.check_steps(scheduler, steps)
            except InputError as error:
                assert re.search(rf"{kind} .*; take \d+ steps$", str(error))  # noqa: PT017
                refused.add((name, steps))
                continue
            generator = torch.Generator().manual_seed(0)
            scheduler.set_timesteps(steps)
            eta = samplers.eta_in_diffusers(scheduler, 1.0)
            options: dict[str, Any] = {"generator": generator, "eta": eta}
            known = inspect.signature(scheduler.step).parameters
            options = {key: value for key, value in options.items() if key in known}
            z = torch.randn(1, 4, 4, 4, generator=generator) * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                output = 0.5 * scheduler.scale_model_input(z, t)
                z = scheduler.step(output, t, z, **options).prev_sample
            assert z.isfinite().all(), (name, steps)
    assert {("pndm", 1), ("pndm", 2), ("pndm", 3)} <= refused
    if changes:
        assert {name for name, _ in refused} == {"pndm"}


def test_steps_that_the_sampler_cannot_take_are_refused(
    finished: RunFolder, tmp_path: Path
) -> None:
    for options in ({"steps": 1000}, {"steps": 501}, {"steps": 3, "scheduler": "pndm"}):
        with pytest.raises(InputError, match=f"{options['steps']} steps .*; take"):
            made(finished, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_no_seed_repeats_is_not_offered(finished: RunFolder) -> None:
    documented = (Path(__file__).parents[1] / "docs" / "results.md").read_text()
    (row,) = re.findall(r"^\| `--scheduler` \| (.*) \|$", documented, re.MULTILINE)
    assert re.findall(r"`([a-z0-9+-]+)`", row) == list(samplers.SAMPLERS)
    model = diffusion.load(finished.task())
    for name in samplers.SAMPLERS:
        samplers.scheduler_of(model.pipeline, name)


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
    options = {"scheduler": "euler", "steps": 4, "guidance": 2.5, "negative_prompt": "x\ny"}
    made(finished, tmp_path, seed=9, **options)
    with Image.open(tmp_path / "001.png") as picture:
        text = picture.text
    assert json.loads(text["hero_tui"]) | {"hero_tui": ""} == {
        "prompt": "a dog, sitting", "number": 1, "run": "run", "round": 1, "noise": "pi",
        "negative_prompt": "x\ny", "scheduler": "EulerDiscreteScheduler", "steps": 4,
        "guidance": 2.5, "seed": 9, "width": 16, "height": 16, "model": finished.task().model,
        "revision": None, "hero_tui": "",
    }  # fmt: skip
    prompt, negative, last = text["parameters"].split("\n")
    assert prompt == "a dog, sitting"
    assert negative == "Negative prompt: x y"
    assert last.startswith("Steps: 4, Sampler: Euler, CFG scale: 2.5, Seed: 9, Size: 16x16, Model")


def test_the_tasks_transfer_prompts_are_drawn_in_turn(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = tiny_task(feedback={"rounds": 1}, transfer_prompts=["a bird", "a fish", "a cow"])
    folder = new_run(tmp_path, task)
    run_here(folder, [Labels.of([0], 0)])
    place = generate(folder, picture_request({"images": 4, "transfer": True}), tmp_path / "out")
    found = []
    for image in range(4):
        with Image.open(place / f"{image:03d}.png") as picture:
            found.append(json.loads(picture.text["hero_tui"])["prompt"])
    assert found == ["a bird", "a fish", "a cow", "a bird"]


def test_transfer_prompts_are_refused_where_there_are_none_or_another_is_named(
    finished: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--transfer: the task tiny has no transfer_prompts"):
        made(finished, tmp_path / "out", transfer=True)
    with pytest.raises(InputError, match="--transfer, --prompt: expected one of them"):
        made(finished, tmp_path / "out", transfer=True, prompt="a bird")


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
        generate(finished, one, tmp_path / "file" / "out")


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

    monkeypatch.setattr(generation, "run_pipeline", drawn)
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

"""Reading pipelines of every architecture, and what is said of those that cannot be read."""

import errno
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from hero_engine.errors import EngineError, InputError
from hero_engine.method.rollout import denoise
from hero_engine.model import diffusion
from hero_engine.model.pretrained import load_pipeline, variant_here
from hero_engine.run.labels import Labels
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here
from tests.single_file import save_single_file
from tests.tiny_pipeline import save_tiny_pipeline, save_tiny_v2_pipeline, save_tiny_xl_pipeline

pytestmark = pytest.mark.slow

ARCHITECTURES = {
    "1.x": save_tiny_pipeline,
    "2.x": save_tiny_v2_pipeline,
    "xl": save_tiny_xl_pipeline,
}
Make = Callable[..., Task]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of each architecture."""
    return ARCHITECTURES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("negative_prompt", ["", "a dog"])
def test_pictures_are_those_of_diffusers_own_pipeline(
    folder: Path, tiny_task: Make, negative_prompt: str
) -> None:
    task = tiny_task(model=str(folder), prompts=["a cat", "b"], negative_prompt=negative_prompt)
    model = diffusion.load(task)
    z_T = torch.randn(2, 4, 8, 8)
    generator = torch.Generator().manual_seed(7)
    noise = torch.stack(
        [torch.randn(2, 4, 8, 8, generator=generator) for _ in range(task.sampling.steps)], dim=1
    )
    trajectory, _ = denoise(model, task, z_T, noise, torch.arange(2))

    pipeline = load_pipeline(task, torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)
    settings = {
        "prompt": list(task.prompts),
        "negative_prompt": [negative_prompt] * 2 if negative_prompt else None,
        "num_inference_steps": task.sampling.steps,
        "guidance_scale": task.sampling.guidance_scale,
        "eta": task.sampling.eta,
        "latents": z_T,
    }
    theirs = pipeline(
        **settings, output_type="latent", generator=torch.Generator().manual_seed(7)
    ).images
    torch.testing.assert_close(trajectory[:, -1], theirs, rtol=1e-3, atol=1e-4)
    pictures = pipeline(
        **settings, output_type="np", generator=torch.Generator().manual_seed(7)
    ).images
    ours = model.decode(trajectory[:, -1]).numpy()
    assert abs(ours / 255 - pictures).max() < 0.01


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_architecture_learns(
    folder: Path, tiny_task: Make, tmp_path: Path, precision: str
) -> None:
    task = tiny_task(model=str(folder), precision=precision, feedback={"rounds": 2})
    run = new_run(tmp_path, task)
    script = [Labels(frozenset({0, 1, 2}), 1), Labels(frozenset({0, 5}), 5)]
    record = run_here(run, script)
    assert record.state()[0] == "finished"
    for number in range(2):
        metrics = record.metrics(number)
        assert metrics["loss"]
        assert metrics["ratio_error"][0][1] <= (1e-5 if precision == "fp32" else 2e-5)
    record.close()


@pytest.mark.parametrize("name", ["1.x", "xl"])
def test_a_single_file_is_the_same_model(name: str, tiny_task: Make, tmp_path: Path) -> None:
    folder = ARCHITECTURES[name](tmp_path)
    path = save_single_file(folder, tmp_path / "one.safetensors")
    task = tiny_task(model=str(path), config=str(folder))
    one, many = (
        load_pipeline(task, torch.bfloat16),
        load_pipeline(tiny_task(model=str(folder)), torch.bfloat16),
    )
    assert type(one) is type(many)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if part not in many.components:
            continue
        ours, theirs = (getattr(p, part).state_dict() for p in (one, many))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items()), part


def test_a_single_file_says_itself_that_it_predicts_v(tiny_task: Make, tmp_path: Path) -> None:
    folder = save_tiny_xl_pipeline(tmp_path)
    path = save_single_file(folder, tmp_path / "v.safetensors")
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(load_file(path) | marks, path)
    schedule = diffusion.load(tiny_task(model=str(path), config=str(folder))).schedule
    assert schedule.prediction_type == "v_prediction"
    assert float(schedule.levels.signal[0]) == 0


def test_the_vae_of_xl_is_decoded_in_float32(tiny_task: Make, tmp_path: Path) -> None:
    folder = save_tiny_xl_pipeline(tmp_path)
    task = tiny_task(model=str(folder))
    pipeline = load_pipeline(task, torch.bfloat16)
    assert (pipeline.vae.dtype, pipeline.unet.dtype) == (torch.float32, torch.bfloat16)
    # A VAE that was made not to overflow says so.
    change(folder / "vae" / "config.json", force_upcast=False)
    assert load_pipeline(task, torch.bfloat16).vae.dtype == torch.bfloat16


def test_an_offset_and_scale_of_each_channel_is_obeyed(tiny_task: Make, tmp_path: Path) -> None:
    folder = save_tiny_xl_pipeline(tmp_path)
    model = diffusion.load(tiny_task(model=str(folder)))
    z_0 = torch.randn(1, 4, 8, 8)
    plain = model.decode(z_0)
    mean, std = [0.5, 0.0, -0.5, 0.25], [2.0, 1.0, 0.5, 1.0]
    change(folder / "vae" / "config.json", latents_mean=mean, latents_std=std)
    other = diffusion.load(tiny_task(model=str(folder)))
    scale = model.vae.config.scaling_factor
    shaped_mean, shaped_std = (torch.tensor(v).view(1, 4, 1, 1) for v in (mean, std))
    undone = (z_0 - scale * shaped_mean) / shaped_std
    assert (other.decode(undone).int() - plain.int()).abs().max() <= 1


def test_a_folder_of_one_variant_is_taken(tiny_task: Make, tmp_path: Path) -> None:
    folder = shutil.copytree(Path(tiny_task().model), tmp_path / "fp16")
    for part in ("unet", "text_encoder"):  # the VAE has none
        (weights,) = (folder / part).glob("*.safetensors")
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    pipeline = load_pipeline(tiny_task(model=str(folder)), torch.float32)
    assert pipeline.unet.config.sample_size == 8


@pytest.mark.parametrize("part", ["feature_extractor", "image_encoder", "safety_checker"])
def test_what_draws_nothing_from_text_need_not_be_there(
    tiny_task: Make, tmp_path: Path, part: str
) -> None:
    folder = shutil.copytree(Path(tiny_task().model), tmp_path / "without")
    change(folder / "model_index.json", **{part: ["transformers", "CLIPImageProcessor"]})
    assert getattr(load_pipeline(tiny_task(model=str(folder)), torch.float32), part) is None


def test_a_tokenizer_without_a_limit_has_its_encoders(tiny_task: Make, tmp_path: Path) -> None:
    folder = shutil.copytree(Path(tiny_task().model), tmp_path / "endless")
    settings = folder / "tokenizer" / "tokenizer_config.json"
    settings.write_text(
        json.dumps(
            {n: v for n, v in json.loads(settings.read_text()).items() if n != "model_max_length"}
        )
    )
    assert diffusion.load(tiny_task(model=str(folder))).prompts.states.shape[1] == 77
    with pytest.raises(InputError, match=r"^prompt 'a a a.*this model reads at most 77"):
        diffusion.load(tiny_task(model=str(folder), prompts=["a " * 80]))
    with pytest.raises(InputError, match=r"^negative_prompt 'a a a.*at most 77"):
        diffusion.load(tiny_task(model=str(folder), negative_prompt="a " * 80))


# -- what is refused ---------------------------------------------------------------------------


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refusal(task: Task) -> str:
    with pytest.raises(InputError) as refused:
        load_pipeline(task, torch.float32)
    return str(refused.value)


def test_a_folder_that_is_no_pipeline_is_named(tiny_task: Make, tmp_path: Path) -> None:
    said = refusal(tiny_task(model=str(tmp_path)))
    assert str(tmp_path) in said
    assert "model_index.json" in said


def test_pickled_weights_are_refused(tiny_task: Make, tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    assert "safetensors" in refusal(tiny_task(model=str(folder)))
    pickled = tmp_path / "model.ckpt"
    torch.save({}, pickled)
    assert "expected a .safetensors file" in refusal(tiny_task(model=str(pickled)))


def test_damaged_weights_are_named(tiny_task: Make, tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(tiny_task(model=str(folder)))
    file = tmp_path / "cut.safetensors"
    file.write_bytes(weights.read_bytes())
    assert "cannot be loaded" in refusal(tiny_task(model=str(file)))


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}, "it is a FluxPipeline"),
        ("vae/config.json", {"latent_channels": 8}, "as those for inpainting do"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "it predicts sample"),
        (
            "scheduler/scheduler_config.json",
            {"rescale_betas_zero_snr": True},
            "rescale_betas_zero_snr with epsilon-prediction",
        ),
        ("unet/config.json", {"sample_size": None}, '"sample_size": 64'),
    ],
)
def test_another_architecture_is_refused(
    tiny_task: Make, tmp_path: Path, file: str, values: dict[str, object], said: str
) -> None:
    folder = save_tiny_pipeline(tmp_path)
    change(folder / file, **values)
    if file == "vae/config.json":
        vae = AutoencoderKL.from_config(json.loads((folder / file).read_text()))
        vae.save_pretrained(folder / "vae")
    refused = refusal(tiny_task(model=str(folder)))
    assert said in refused
    assert "expected a Stable Diffusion (1.x, 2.x, XL, 3.x)" in refused


def test_a_name_that_cannot_be_one_of_the_hub_is_taken_for_a_path(tiny_task: Make) -> None:
    assert "there is no such file or folder" in refusal(tiny_task(model="/models/nothing/here"))


@contextmanager
def hub(answer: Callable[[str], tuple[int, dict[str, str]]]) -> Iterator[str]:
    """A hub on this machine that answers every request for a path with a status and headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            status, headers = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def at_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    def use(url: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    return use


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "GatedRepo", "it is gated: accept its terms at https://huggingface.co/some/model"),
        (404, "RepoNotFound", "the hub has no such model"),
        (404, "RevisionNotFound", "it has no revision main"),
        (404, "EntryNotFound", "it is not a pipeline of diffusers' format"),
        (400, "", "in the cache of this machine"),
    ],
)
def test_what_the_hub_answers_is_said_with_a_way_out(
    tiny_task: Make, at_hub: Callable[[str], None], status: int, code: str, said: str
) -> None:
    with hub(lambda path: (status, {"X-Error-Code": code})) as url:
        at_hub(url)
        assert said in refusal(tiny_task(model="some/model"))


def test_offline_without_a_cached_model_the_way_out_is_named(
    tiny_task: Make, at_hub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hub("http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refusal(tiny_task(model="some/model"))
    assert "hf download some/model" in said
    assert "--model embedded" in said
    folder = Path(tiny_task().model)
    file = save_single_file(folder, folder.parent / "alone.safetensors")
    assert "--set config=FOLDER" in refusal(tiny_task(model=str(file)))


@pytest.mark.parametrize(
    "gone", ["unet/diffusion_pytorch_model.safetensors", "text_encoder/config.json", "tokenizer"]
)
def test_a_cache_that_was_filled_in_part_is_said_to_be(
    tiny_task: Make,
    at_hub: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    gone: str,
) -> None:
    at_hub("http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    path = cached(tmp_path, Path(tiny_task().model)) / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    said = refusal(tiny_task(model="some/model"))
    assert "hf download some/model" in said
    assert "unset" not in said


def cached(tmp_path: Path, folder: Path) -> Path:
    """A copy of a pipeline's folder as the hub's cache has it, under the name some/model."""
    place = tmp_path / "cache" / "models--some--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0123456789" * 4)
    return Path(shutil.copytree(folder, place / "snapshots" / ("0123456789" * 4)))


def test_a_model_in_the_cache_is_used_offline(
    tiny_task: Make, at_hub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at_hub("http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached(tmp_path, Path(tiny_task().model))
    pipeline = load_pipeline(tiny_task(model="some/model"), torch.float32)
    assert pipeline.unet.config.sample_size == 8


def test_a_variant_that_was_taken_by_itself_is_known_without_the_hub(
    tiny_task: Make, at_hub: Callable[[str], None], tmp_path: Path
) -> None:
    at_hub("http://127.0.0.1:9")
    assert variant_here("some/model", None, None) is None  # nor in the cache
    folder = cached(tmp_path, Path(tiny_task().model))
    assert variant_here("some/model", None, None) is None
    for weights in folder.glob("*/*.safetensors"):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    assert variant_here("some/model", None, None) == "fp16"
    assert variant_here("some/model", None, "other") == "other"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "set HF_HOME"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
    ],
)
def test_what_a_machine_is_short_of_is_not_blamed_on_the_model(
    tiny_task: Make, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("hero_engine.model.pretrained._from_pretrained", fail)
    with pytest.raises(EngineError, match=said):
        load_pipeline(tiny_task(), torch.float32)

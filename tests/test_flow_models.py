"""Flow models: they are sampled as diffusers samples them, and taught."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline
from torch import Tensor

from hero_engine.errors import InputError
from hero_engine.method import rollout, state
from hero_engine.model import diffusion, lora, pretrained, seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.families import flux_2, z_image
from hero_engine.results.generate import generate
from hero_engine.results.modelcard import DIFFUSERS_FILE
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.modelfiles import check_local_model
from hero_engine.run.picture_request import picture_request
from hero_engine.run.task import Task
from tests.engine_runs import new_run, run_here, tiny_task_of
from tests.tiny_flow_pipelines import SIDE, save_tiny_flux_2, save_tiny_sd3, save_tiny_z_image

pytestmark = pytest.mark.slow

FAMILIES = {"sd3": save_tiny_sd3, "z-image": save_tiny_z_image, "flux2-klein": save_tiny_flux_2}
PROMPT, NEGATIVE = "a cat on a mat", "dog"


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (z_image, flux_2):
        monkeypatch.setattr(family, "SIDE", SIDE)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in FAMILIES.items()}


@pytest.fixture(params=FAMILIES)
def task(request: pytest.FixtureRequest, pipelines: dict[str, Path]) -> Callable[..., Task]:
    """A task on a family's pipeline."""
    folder = pipelines[request.param]

    def task(**changes: Any) -> Task:
        given = {
            "prompts": (PROMPT, "a dog"),
            "negative_prompt": NEGATIVE,
            "update": {"objective": "nft"},
        }
        return tiny_task_of(folder, **given | changes)

    return task


def test_a_trajectory_is_the_one_that_diffusers_takes(task: Callable[..., Task]) -> None:
    """From the prompts as text, by the pipeline's own call."""
    settings = task(sampling={"eta": 0.0, "steps": 4, "guidance_scale": 3.0})
    model = diffusion.load(settings)
    images = torch.arange(2)
    z_T = seeds.normal(0, "z_T", 0, images.tolist(), model.latent_shape)
    epsilon = torch.zeros(2, 4, *model.latent_shape)
    trajectory, _ = rollout.denoise(model, settings, z_T, epsilon, images)
    pipeline = model.pipeline
    pipeline.set_progress_bar_config(disable=True)
    guidance = model.family.drawing(pipeline, model.prompts, model.negative, settings.sampling)
    negative: dict[str, Any] = {"negative_prompt": [NEGATIVE] * 2}
    if model.family.pipeline is Flux2KleinPipeline:
        # Its call takes no negative prompt as text.
        given = model.negative.rows(torch.zeros(2, dtype=torch.int64))
        negative = {"negative_prompt_embeds": given.states}
    latents = pipeline(
        prompt=list(settings.prompts),
        **negative,
        latents=z_T,
        height=SIDE,
        width=SIDE,
        num_inference_steps=4,
        guidance_scale=guidance["guidance_scale"],
        output_type="latent",
    ).images
    theirs = model.family.drawn(pipeline.vae, latents)
    torch.testing.assert_close(trajectory[:, -1], theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("objective", ["ddpo", "nft"])
def test_it_learns_two_rounds(task: Callable[..., Task], objective: str, tmp_path: Path) -> None:
    eta = 0.7 if objective == "ddpo" else 0.0
    settings = task(
        update={"objective": objective, "optimizer_steps": 2},
        sampling={"eta": eta},
        feedback={"rounds": 2},
    )
    folder = new_run(tmp_path, settings)
    run_here(folder, [Labels.of([0, 3], 3), Labels.of([1], KEEP)]).close()
    tensors, base = lora.load_checkpoint(folder.checkpoint(1) / "lora.safetensors")
    assert base.prediction_type == "flow"
    assert (base.width, base.height) == (SIDE, SIDE)
    assert any(t.any() for name, t in tensors.items() if "lora_B" in name)
    with closing(folder.open_record()) as record:
        metrics = record.metrics(1)
    assert {"ddpo": "approx_kl", "nft": "drift"}[objective] in metrics

    # What is exported is what diffusers draws with.
    ours = diffusion.load(settings)
    state.load_result(ours, folder.checkpoint(1))
    theirs = diffusion.load(settings)
    before = _predicted(theirs)
    theirs.denoiser.delete_adapters(["default"])
    theirs.pipeline.load_lora_weights(folder.exports, weight_name=DIFFUSERS_FILE)
    torch.testing.assert_close(_predicted(theirs), _predicted(ours), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, _predicted(ours), atol=1e-6)

    drawn = generate(folder, picture_request({"images": 2, "steps": 3}), tmp_path / "drawn")
    assert len(list(drawn.glob("[0-9]*.png"))) == 2


def _predicted(model: Model) -> Tensor:
    images = torch.arange(2)
    z_T = seeds.normal(0, "z_T", 0, images.tolist(), model.latent_shape)
    with torch.no_grad():
        return model.predict(z_T, torch.zeros(2, dtype=torch.int64), images, 3.0)


def test_comfyui_knows_the_names(task: Callable[..., Task]) -> None:
    """Of the layers, as its `comfy/utils.py` lists diffusers' for each of these models."""
    model = diffusion.load(task())
    base = lora.LoraBase.of(model.pipeline)
    names = lora.kohya_state_dict(lora.peft_state_dict(model.lora()), base)
    known = re.compile(
        {
            "sd3": (
                r"transformer_blocks\.\d+\.attn2?\."
                r"(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
            ),
            "z-image": (
                r"(layers|context_refiner|noise_refiner)\.\d+\.attention\.(to_[qkv]|to_out\.0)"
            ),
            "flux2-klein": (
                r"transformer_blocks\.\d+\.attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
                r"|single_transformer_blocks\.\d+\.attn\.(to_qkv_mlp_proj|to_out)"
            ),
        }[base.architecture]
    )
    layers = {re.sub(r"^transformer\.|\.lora_[AB]\.weight$", "", name) for name in names}
    assert layers
    assert {layer for layer in layers if not known.fullmatch(layer)} == set()


def test_a_prompt_that_is_not_read_to_its_end_is_refused(task: Callable[..., Task]) -> None:
    with pytest.raises(InputError, match=r"tokens, this model reads at most (256|512)"):
        diffusion.load(task(prompts=("cat " * 400,)))


def test_distilled_models_are_refused(tmp_path: Path) -> None:
    klein = save_tiny_flux_2(tmp_path / "klein", is_distilled=True)
    for refuses in (check_local_model, lambda model: diffusion.load(tiny_task_of(Path(model)))):
        with pytest.raises(InputError, match=r"its steps and its guidance are distilled .*-base"):
            refuses(str(klein))
    turbo = save_tiny_z_image(tmp_path / "z").rename(tmp_path / "Z-Image-Turbo")
    (link := tmp_path / "link").symlink_to(turbo)
    cached = tmp_path / "models--Tongyi-MAI--Z-Image-Turbo" / "snapshots" / "0123abcd"
    cached.parent.mkdir(parents=True)
    turbo.rename(cached)
    turbo.symlink_to(cached)
    for model in (turbo, link, cached):
        with pytest.raises(InputError, match=r"distilled to few steps \('Turbo'\)"):
            check_local_model(str(model))
    free = cached.rename(tmp_path / "Z-Image-De-Turbo")
    check_local_model(str(free))


def test_a_distilled_model_of_the_hub_is_refused_before_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = save_tiny_z_image(tmp_path / "0123abcd") / "model_index.json"
    monkeypatch.setattr(pretrained, "hf_hub_download", lambda *_, **__: str(index))
    with pytest.raises(ValueError, match=r"distilled to few steps \('Turbo'\)"):
        pretrained.find_pipeline("Tongyi-MAI/Z-Image-Turbo", None, None)


def test_stable_diffusion_3_without_t5_reads_what_its_clips_read(tmp_path: Path) -> None:
    short = save_tiny_sd3(tmp_path, with_t5=False)
    model = diffusion.load(tiny_task_of(short))
    assert len(model.text_encoders) == 2
    with pytest.raises(InputError, match="this model reads at most 77"):
        diffusion.load(tiny_task_of(short, prompts=("cat " * 100,)))

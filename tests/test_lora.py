"""A LoRA's files, loaded into fresh pipelines of every architecture as their users would."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.model import diffusion, lora
from hero_engine.model.lora import LoraBase
from tests.tiny_pipeline import save_tiny_pipeline, save_tiny_v2_pipeline, save_tiny_xl_pipeline

SAVE: dict[str, Callable[[Path], Path]] = {
    "v1": save_tiny_pipeline,
    "v2": save_tiny_v2_pipeline,
    "xl": save_tiny_xl_pipeline,
}
RANK = 4


@pytest.fixture(scope="module", params=SAVE)
def pipeline_folder(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Path:
    return SAVE[request.param](tmp_path_factory.mktemp(request.param))


def taught(folder: Path) -> Any:
    """The pipeline with the engine's own LoRA, its B drawn at random."""
    pipeline = DiffusionPipeline.from_pretrained(folder)
    diffusion.add_lora(pipeline.unet, RANK, seed=1)
    for name, parameter in sorted(pipeline.unet.named_parameters()):
        if "lora_B" in name:
            parameter.data.normal_(generator=torch.Generator().manual_seed(len(name)))
    return pipeline


def parameters(pipeline: Any) -> dict[str, Tensor]:
    named = pipeline.unet.named_parameters()
    return lora.peft_state_dict(
        {n: p.detach() for n, p in named if p.requires_grad and "lora" in n}
    )


@torch.no_grad()
def predicted(unet: Any) -> Tensor:
    generator, width = torch.Generator().manual_seed(3), unet.config.cross_attention_dim
    added: dict[str, Tensor] = {}
    if unet.config.addition_embed_type == "text_time":
        added = {
            "text_embeds": torch.randn(2, 12, generator=generator),
            "time_ids": torch.tensor([[16.0, 16, 0, 0, 16, 16]] * 2),
        }
    z_t = torch.randn(2, 4, 8, 8, generator=generator)
    states = torch.randn(2, 77, width, generator=generator)
    output: Tensor = unet(z_t, torch.tensor(500), states, added_cond_kwargs=added).sample
    return output


def base_of(pipeline: Any) -> LoraBase:
    return LoraBase.of(pipeline.unet, pipeline.vae, pipeline.scheduler.config)


def metadata(base: LoraBase) -> dict[str, str]:
    return lora.kohya_metadata(
        base, RANK, name="black-cat", title="Black cat", description="Sits in a box.",
        trigger="a black cat", date="2026-01-31T14:25:30+00:00", model="some/model", extra={},
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["diffusers", "kohya"])
def test_a_fresh_pipeline_with_the_file_predicts_what_the_engine_does(
    kind: str, pipeline_folder: Path, tmp_path: Path
) -> None:
    engine = taught(pipeline_folder)
    if kind == "diffusers":
        save_file(lora.diffusers_state_dict(parameters(engine)), tmp_path / "lora.safetensors")
    else:
        base = base_of(engine)
        tensors = lora.kohya_state_dict(parameters(engine), base.architecture)
        (tmp_path / "lora.safetensors").write_bytes(lora.serialise(tensors, metadata(base)))

    fresh = DiffusionPipeline.from_pretrained(pipeline_folder)
    before = predicted(fresh.unet)
    fresh.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    loaded = {n.replace("default_0", "default") for n, _ in fresh.unet.named_parameters()}
    assert loaded == {n for n, _ in engine.unet.named_parameters()}
    torch.testing.assert_close(predicted(fresh.unet), predicted(engine.unet))
    assert not torch.allclose(predicted(fresh.unet), before, atol=0.01)


def test_the_kohya_file_has_an_alpha_for_every_layer(pipeline_folder: Path) -> None:
    engine = taught(pipeline_folder)
    tensors = lora.kohya_state_dict(parameters(engine), base_of(engine).architecture)
    layers = {name.split(".", 1)[0] for name in tensors}
    assert len(layers) == len(parameters(engine)) / 2
    for layer in layers:
        assert layer.startswith("lora_unet_")
        assert tensors[f"{layer}.alpha"].item() == RANK
        assert tensors[f"{layer}.lora_down.weight"].shape[0] == RANK
        assert tensors[f"{layer}.lora_up.weight"].shape[1] == RANK
    assert len(tensors) == 3 * len(layers)


def test_sdxls_layers_are_named_as_in_its_original_unet(tmp_path: Path) -> None:
    engine = taught(save_tiny_xl_pipeline(tmp_path))
    tensors = lora.kohya_state_dict(parameters(engine), "xl")
    places = {name.removeprefix("lora_unet_").split("_transformer")[0] for name in tensors}
    # Where SDXL has attention: kohya's and everybody's SDXL LoRAs have these places.
    assert places == {
        *(f"input_blocks_{n}_1" for n in (4, 5, 7, 8)),
        "middle_block_1",
        *(f"output_blocks_{n}_1" for n in range(6)),
    }
    # The first block up is the deep one.
    assert "lora_unet_output_blocks_0_1_transformer_blocks_1_attn2_to_out_0.alpha" in tensors
    assert "lora_unet_output_blocks_3_1_transformer_blocks_1_attn2_to_out_0.alpha" not in tensors


def test_the_header_says_what_the_lora_is_for(tmp_path: Path) -> None:
    said = {}
    for name, save in SAVE.items():
        base = base_of(DiffusionPipeline.from_pretrained(save(tmp_path / name)))
        assert (base.width, base.height) == (16, 16)
        said[name] = metadata(base)
    assert {n: m["modelspec.architecture"] for n, m in said.items()} == {
        "v1": "stable-diffusion-v1/lora",
        "v2": "stable-diffusion-v2-768-v/lora",
        "xl": "stable-diffusion-xl-v1-base/lora",
    }
    assert [m["modelspec.prediction_type"] for m in said.values()] == ["epsilon", "v", "epsilon"]
    assert [m["ss_base_model_version"] for m in said.values()] == [
        "sd_v1", "sd_v2_v", "sdxl_base_v1-0",
    ]  # fmt: skip
    assert [m["ss_v2"] for m in said.values()] == ["False", "True", "False"]
    assert said["v1"]["modelspec.sai_model_spec"] == "1.0.0"
    assert said["v1"]["modelspec.trigger_phrase"] == "a black cat"
    assert said["v1"]["ss_network_module"] == "networks.lora"
    assert said["v1"]["ss_network_dim"] == said["v1"]["ss_network_alpha"] == str(RANK)


def test_a_file_is_written_in_the_same_bytes_and_knows_its_tensors_hash(tmp_path: Path) -> None:
    tensors = {"b": torch.randn(3, 2), "a.alpha": torch.tensor(4)}
    many = {f"key {n}": 'é\n"' * n for n in range(20)}
    first = lora.serialise(tensors, many)
    assert first == lora.serialise(dict(reversed(tensors.items())), dict(reversed(many.items())))
    path = tmp_path / "file.safetensors"
    path.write_bytes(first)
    with safe_open(path, framework="pt") as file:
        found = file.metadata()
        assert all(torch.equal(file.get_tensor(name), t) for name, t in tensors.items())
    after = first[8 + int.from_bytes(first[:8], "little") :]
    digest = hashlib.sha256(after).hexdigest()
    assert found == many | {
        "modelspec.hash_sha256": f"0x{digest}",
        "sshs_model_hash": digest,
    }


def test_a_checkpoint_without_its_base_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(EngineError, match="does not say what model it is for"):
        lora.load_checkpoint(path)
    path.write_bytes(b"\0" * 20)
    with pytest.raises(EngineError, match="cannot be read"):
        lora.load_checkpoint(path)
    with safe_open(_saved(tmp_path), framework="pt") as file:
        assert json.loads(file.metadata()["base_model"])["architecture"] == "xl"


def _saved(folder: Path) -> Path:
    path = folder / "good.safetensors"
    lora.save_checkpoint(path, {"a": torch.zeros(1)}, LoraBase("xl", "epsilon", 1024, 1024))
    return path

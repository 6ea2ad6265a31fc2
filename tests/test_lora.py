"""A LoRA's files, loaded into fresh pipelines of every architecture as their users would."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.model import diffusion, lora
from hero_engine.model.family import FAMILIES
from hero_engine.model.lora import LoraBase
from tests.tiny_pipeline import save_tiny_pipeline, save_tiny_v2_pipeline, save_tiny_xl_pipeline

pytestmark = pytest.mark.slow

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
    diffusion.add_lora(pipeline.unet, FAMILIES["v1"].lora_targets, RANK, seed=1)
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
    return LoraBase.of(pipeline)


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
        save_file(
            lora.diffusers_state_dict(parameters(engine), base_of(engine)),
            tmp_path / "lora.safetensors",
        )
    else:
        base = base_of(engine)
        tensors = lora.kohya_state_dict(parameters(engine), base)
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
    tensors = lora.kohya_state_dict(parameters(engine), base_of(engine))
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
    tensors = lora.kohya_state_dict(parameters(engine), base_of(engine))
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


def of_layers(folder: Path, layers: int | list[int], **changes: Any) -> Path:
    """SDXL's tiny pipeline with another UNet, of so many layers in its blocks."""
    save_tiny_xl_pipeline(folder)
    pipeline = DiffusionPipeline.from_pretrained(folder / "pipeline")
    config = dict(pipeline.unet.config) | {"layers_per_block": layers} | changes
    pipeline.register_modules(unet=UNet2DConditionModel.from_config(config))
    pipeline.save_pretrained(folder / "pipeline")
    return folder / "pipeline"


@pytest.mark.parametrize("mid_block", ["UNetMidBlock2DCrossAttn", None])
def test_an_sdxl_of_one_layer_a_block_loads_whole(tmp_path: Path, mid_block: str | None) -> None:
    folder = of_layers(
        tmp_path, 1, mid_block_type=mid_block, transformer_layers_per_block=[1, 2, 3]
    )
    engine = taught(folder)
    tensors = lora.kohya_state_dict(parameters(engine), base_of(engine))
    places = {name.removeprefix("lora_unet_").split("_transformer")[0] for name in tensors}
    assert places == {
        *(f"input_blocks_{n}_1" for n in (3, 5)),
        *(f"output_blocks_{n}_1" for n in range(4)),
        *({"middle_block_1"} if mid_block else set()),
    }
    (tmp_path / "lora.safetensors").write_bytes(lora.serialise(tensors, {}))
    fresh = DiffusionPipeline.from_pretrained(folder)
    fresh.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    torch.testing.assert_close(predicted(fresh.unet), predicted(engine.unet))


def test_blocks_of_unlike_layers_are_numbered_as_in_their_original_unet(tmp_path: Path) -> None:
    folder = of_layers(tmp_path, [1, 2, 1])
    engine = taught(folder)
    tensors = lora.kohya_state_dict(parameters(engine), base_of(engine))
    places = {name.removeprefix("lora_unet_").split("_transformer")[0] for name in tensors}
    layers = original_unet(load_file(folder / "unet" / "diffusion_pytorch_model.safetensors"))
    assert places == {
        layer.split(".transformer")[0].replace(".", "_") for layer in layers if "attn1" in layer
    }


def original_unet(tensors: dict[str, Tensor]) -> list[str]:
    """The layers of a UNet counted one after the other, as the original code makes them."""
    found = []
    for part, start in (("down", 1), ("up", 0)):
        number = start
        for block in range(3):
            names = [n for n in tensors if n.startswith(f"{part}_blocks.{block}.")]
            for layer in range(len({n.split(".")[3] for n in names if "resnets" in n})):
                inside = [n for n in names if f".attentions.{layer}." in n]
                side = "input" if part == "down" else "output"
                found += [f"{side}_blocks.{number}.1.{n.split('.', 4)[4]}" for n in inside]
                number += 1
            number += part == "down"  # its downsampler
    return found + [
        f"middle_block.1.{n.split('.', 3)[3]}" for n in tensors if "mid_block.attentions" in n
    ]


def test_where_no_name_is_right_there_is_no_kohya_file() -> None:
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"
    uneven = LoraBase("v1", "epsilon", 512, 512, (1, 2, 2, 2))
    with pytest.raises(ValueError, match="1, 2, 2, 2 layers"):
        lora.kohya_state_dict({layer: torch.zeros(4, 8)}, uneven)
    second = "mid_block.attentions.1.transformer_blocks.0.attn1.to_q.lora_A.weight"
    with pytest.raises(ValueError, match="no place for lora_unet_mid_block_attentions_1"):
        lora.kohya_state_dict({second: torch.zeros(4, 8)}, LoraBase("xl", "epsilon", 512, 512))


def test_a_checkpoint_that_does_not_say_its_layers_tells_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    said = {"architecture": "xl", "prediction_type": "epsilon", "width": 512, "height": 512}
    for attentions in (1, 2):
        names = [f"down_blocks.1.attentions.{n}.x.lora_A.weight" for n in range(attentions)]
        save_file(
            {n: torch.zeros(1) for n in names}, path, metadata={"base_model": json.dumps(said)}
        )
        assert set(lora.load_checkpoint(path)[1].layers) == {attentions}


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

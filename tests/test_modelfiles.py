"""What a model's files say of it before any weight is read, and what is refused by them."""

import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from hero_engine.engine import doctor
from hero_engine.errors import InputError
from hero_engine.model.family import FAMILIES
from hero_engine.model.pretrained import load_pipeline
from hero_engine.run import modelfiles
from hero_engine.run.modelfiles import check_local_model, choose_variant, read_single_file
from hero_engine.run.task import Task

UNET, VAE = "model.diffusion_model.", "first_stage_model.decoder.conv_in.weight"
CLIP = "cond_stage_model.transformer.text_model.final_layer_norm.weight"
FIRST = f"{UNET}input_blocks.0.0.weight"
ATTENTION = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
V1: dict[str, list[int]] = {FIRST: [8, 4, 3, 3], ATTENTION: [8, 768], VAE: [1], CLIP: [1]}


def write(path: Path, shapes: dict[str, list[int]], **metadata: str) -> Path:
    """A .safetensors file of these shapes, its tensors in one byte each."""
    header: dict[str, Any] = {
        name: {"dtype": "U8", "shape": shape, "data_offsets": [n, n + 1]}
        for n, (name, shape) in enumerate(shapes.items())
    }
    text = json.dumps({"__metadata__": metadata} | header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(len(shapes)))
    return path


def refusal(path: Path, **settings: str) -> str:
    with pytest.raises(InputError) as refused:
        check_local_model(str(path), **settings)
    assert refused.value.exit_code == 2
    return str(refused.value)


def without(*starts: str) -> dict[str, list[int]]:
    return {name: shape for name, shape in V1.items() if not name.startswith(starts)}


def test_every_pipeline_that_is_let_through_has_a_family() -> None:
    assert {f.pipeline.__name__ for f in FAMILIES.values()} == set(modelfiles.PIPELINES)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": [4, 8]}, "it is a LoRA"),
        ({"unet.down_blocks.0.attentions.0.to_q.lora_A.weight": [4, 8]}, "it is a LoRA"),
        ({"lora_te_text_model_encoder.hada_w1_a": [4, 8]}, "it is a LoRA"),
        ({"control_model.time_embed.0.weight": [1]}, "it is a ControlNet"),
        ({"down_blocks.0.x": [1], "time_embedding.linear_1.weight": [1]}, "it is a UNet alone"),
        ({"input_blocks.0.0.weight": [1], "time_embed.0.weight": [1]}, "it is a UNet alone"),
        ({"decoder.conv_in.weight": [1], "quant_conv.weight": [1]}, "it is a VAE alone"),
        ({"text_model.final_layer_norm.weight": [1]}, "it is a text encoder alone"),
        ({"double_blocks.0.img_attn.qkv.weight": [1]}, "such as FLUX or Stable Diffusion 3"),
        ({f"{UNET}joint_blocks.0.x": [1], VAE: [1]}, "such as FLUX or Stable Diffusion 3"),
        ({"emb_params": [4, 768]}, "it is a textual inversion"),
        (without("cond_stage_model"), "it is a checkpoint without a text encoder (CLIP)"),
        (without("first_stage_model"), "it is a checkpoint without a VAE"),
        (V1 | {FIRST: [8, 9, 3, 3]}, "its UNet takes 9 channels"),
        (
            without("cond_stage") | {"conditioner.embedders.0.transformer.x": [1]},
            "without SDXL's second text encoder",
        ),
        (without("cond_stage") | {"conditioner.embedders.0.model.x": [1]}, "SDXL's refiner"),
    ],
)
def test_a_file_that_cannot_be_taught_is_called_what_it_is(
    tmp_path: Path, tiny_task: Callable[..., Task], shapes: dict[str, list[int]], said: str
) -> None:
    path = write(tmp_path / "a.safetensors", shapes)
    refused = refusal(path)
    assert said in refused
    assert "expected a" in refused
    # The engine and doctor say the same.
    with pytest.raises(InputError) as also:
        load_pipeline(tiny_task(model=str(path)), None)  # type: ignore[arg-type]
    assert str(also.value) == refused
    assert said in "\n".join(doctor.examine(str(path)).advice)


def test_whole_checkpoints_are_let_through(tmp_path: Path) -> None:
    check_local_model(str(write(tmp_path / "v1.safetensors", V1)))
    xl = without("cond_stage") | {
        "conditioner.embedders.0.transformer.text_model.x": [1],
        modelfiles.XL_ONLY: [1],
        "v_pred": [0],
    }
    found = read_single_file(write(tmp_path / "xl.safetensors", xl))
    assert (found.pipeline, found.says_v) == ("StableDiffusionXLPipeline", True)
    assert found.marks == {"v_pred"}


def test_nothing_is_guessed_of_what_a_2x_checkpoint_predicts(tmp_path: Path) -> None:
    v2 = V1 | {ATTENTION: [8, 1024]}
    path = write(tmp_path / "v2.safetensors", v2)
    said = refusal(path)
    assert "whether it predicts epsilon" in said
    assert "--set config=" in said
    check_local_model(str(path), config="some/name-on-the-hub")
    check_local_model(
        str(write(tmp_path / "says.safetensors", v2, **{"modelspec.prediction_type": "v"}))
    )


def test_a_config_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v1.safetensors", V1)
    folder = tmp_path / "config"
    (folder / "unet").mkdir(parents=True)
    assert "has no" in refusal(path, config=str(folder))
    for name, context, fits in [
        ("StableDiffusionXLPipeline", 768, False),
        ("StableDiffusionPipeline", 1024, False),
        ("StableDiffusionPipeline", 768, True),
    ]:
        (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
        (folder / "unet" / "config.json").write_text(json.dumps({"cross_attention_dim": context}))
        if fits:
            check_local_model(str(path), config=str(folder))
        else:
            said = refusal(path, config=str(folder))
            assert said.startswith(f"config {folder}: it is of another architecture")
            assert "--set config=" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "git lfs pull"),
        (b"<html>not found</html>", "it is no .safetensors file, or damaged"),
        (b"", "damaged"),
        ((2).to_bytes(8, "little") + b"[]", "damaged"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert said in refusal(path)


def test_a_file_that_was_fetched_in_part_is_told_from_a_whole_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", V1)
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes are there" in refusal(path)


def test_a_folder_that_is_no_pipeline_is_called_what_it_is(tmp_path: Path) -> None:
    assert "has no model_index.json" in refusal(tmp_path)
    write(tmp_path / "model.safetensors", V1)
    assert f"such as {tmp_path / 'model.safetensors'}" in refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    assert "it is a UNet2DConditionModel alone" in refusal(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "it is a LoRA" in refusal(tmp_path)


def test_somebody_elses_files_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.safetensors", V1)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(modelfiles, "read_header", refuse)
    said = refusal(path)
    assert f"{path} belongs to somebody else" in said
    assert "ask its owner" in said


UNET_FILE, VAE_FILE = "unet/diffusion_pytorch_model{}", "vae/diffusion_pytorch_model{}"


def files(*kinds: tuple[str, Collection[str]]) -> list[str]:
    return [name.format(kind) + ".safetensors" for name, found in kinds for kind in found]


@pytest.mark.parametrize(
    ("unet", "vae", "wanted", "chosen"),
    [
        ([""], [""], None, None),
        (["", ".fp16"], ["", ".fp16"], None, None),
        ([".fp16"], [".fp16"], None, "fp16"),
        ([".fp16"], [""], None, "fp16"),
        (["", ".non_ema"], [".bf16"], None, "bf16"),
        ([".fp16"], [""], "fp16", "fp16"),
        ([".fp16-00001-of-00002", ".fp16-00002-of-00002"], [""], None, "fp16"),
        (["-00001-of-00002.fp16", "-00002-of-00002.fp16"], [""], None, "fp16"),
    ],
)
def test_the_only_variant_that_is_there_is_taken(
    unet: list[str], vae: list[str], wanted: str | None, chosen: str | None
) -> None:
    there = files((UNET_FILE, unet), (VAE_FILE, vae))
    assert choose_variant(["unet", "vae"], there, wanted) == chosen


def test_the_weights_of_a_part_are_of_the_variant_or_else_the_plain_ones() -> None:
    there = files((UNET_FILE, ["", ".fp16", ".non_ema"]), (VAE_FILE, [""]))
    of = modelfiles.weight_files
    assert of("unet", there, "fp16") == files((UNET_FILE, [".fp16"]))
    assert of("vae", there, "fp16") == files((VAE_FILE, [""]))
    assert of("unet", there, None) == files((UNET_FILE, [""]))


@pytest.mark.parametrize("gone", ["scheduler", "tokenizer", "unet/config.json"])
def test_a_folder_without_the_settings_of_a_part_is_refused(
    tiny_task: Callable[..., Task], tmp_path: Path, gone: str
) -> None:
    folder = shutil.copytree(Path(tiny_task().model), tmp_path / "part")
    path = folder / gone
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert f"its {gone.split('/')[0]} has no " in refusal(folder)


@pytest.mark.parametrize(
    ("unet", "vae", "wanted", "said"),
    [
        ([".fp16", ".bf16"], [""], None, "bf16 or fp16; choose with --set variant=NAME"),
        ([".fp16"], [".bf16"], None, "files of one variant for all"),
        ([""], [""], "fp16", "no files of the variant 'fp16'; leave `variant` out"),
        ([".bf16"], [""], "fp16", "there is bf16"),
        ([], [""], None, "its unet has no weights as .safetensors"),
    ],
)
def test_a_variant_that_is_not_to_be_had_is_named(
    unet: list[str], vae: list[str], wanted: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        choose_variant(["unet", "vae"], files((UNET_FILE, unet), (VAE_FILE, vae)), wanted)

"""What `hero-tui doctor` says of processor, memory, disk and model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from hero_engine.engine import doctor
from hero_engine.model import pretrained
from hero_engine.run.task import Task


def facts(model: str) -> dict[str, str]:
    return dict(doctor.examine(model).facts)


def advice(model: str) -> str:
    return "\n".join(doctor.examine(model).advice)


def test_where_nothing_is_missing_nothing_is_to_be_changed() -> None:
    found = facts("embedded")
    assert found["model"] == "embedded: StableDiffusionPipeline, in its folder"
    assert found.keys() >= {"torch", "device", "memory", "precision", "model cache"}
    assert advice("embedded") == ""


def test_a_model_that_does_not_fit_is_told_of_before_a_run(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_memory", lambda device: (10_000, 8_000_000_000))
    said = advice(tiny_task().model)
    assert "of memory are free" in said
    assert "take a smaller model" in said


def test_a_model_that_the_disk_has_no_room_for_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "unet": ["a", "b"],
        "text_encoder": ["", ""],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    sizes = {
        "unet/diffusion_pytorch_model.safetensors": 5 * 10**18,
        "unet/diffusion_pytorch_model.fp16.safetensors": 10**18,
        "text_encoder/model.safetensors": 10**18,
        "unet/model.bin": 10**18,
        "unet/config.json": 1,
        "text_encoder/config.json": 1,
    }
    monkeypatch.setattr(
        pretrained, "hf_hub_download", lambda *_, **__: str(tmp_path / "model_index.json")
    )
    monkeypatch.setattr(pretrained, "_sizes_on_hub", lambda *_: sizes)
    assert "6000000000.0 GB to fetch" in facts("some/xl")["model"]
    assert "HF_HOME" in advice("some/xl")


def test_a_model_that_cannot_be_read_is_told_of_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert "hf download some/model" in advice("some/model")
    assert facts("some/model")["model"] == "some/model: cannot be read"
    assert "model_index.json" in advice(str(tmp_path))


def test_a_checkpoint_that_is_no_safetensors_file_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x02}q\x00.")
    assert "expected a .safetensors file" in advice(str(tmp_path / "model.ckpt"))


def test_a_model_that_was_fetched_in_part_is_not_there(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = shutil.copytree(Path(tiny_task().model), tmp_path / "part")
    shutil.rmtree(folder / "text_encoder")
    assert "its text_encoder has no config.json" in advice(str(folder))
    assert "cannot be used" in facts(str(folder))["model"]

"""What a run leaves behind, loaded back as its user would."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open

from hero_engine import models, state
from hero_engine.errors import InputError
from hero_engine.export import export
from hero_engine.labels import Labels
from hero_engine.rollout import Rollout
from hero_engine.task import Task
from tests.engine_runs import new_run, run_here

SCRIPT = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2)]


def test_the_lora_loads_in_diffusers_and_predicts_what_the_engine_does(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = tiny_task(feedback={"rounds": 2}, update={"learning_rate": 0.1})
    folder = new_run(tmp_path, task)
    run_here(folder, SCRIPT)
    pipeline = StableDiffusionPipeline.from_pretrained(task.model, safety_checker=None)
    pipeline.load_lora_weights(folder.exports, weight_name="pytorch_lora_weights.safetensors")
    engine = models.load(task)
    state.load_lora(engine, folder.checkpoint(1))

    z_t, t = torch.randn(2, 4, 8, 8), torch.tensor(500)
    embeds = torch.randn(2, 77, 16)
    with torch.no_grad():
        theirs = pipeline.unet(z_t, t, embeds).sample
        ours = engine.unet(z_t, t, embeds).sample
        pipeline.unet.disable_lora()
        base = pipeline.unet(z_t, t, embeds).sample
    torch.testing.assert_close(theirs, ours)
    assert not torch.allclose(theirs, base, atol=1e-3)


def test_the_noise_pool_is_the_last_rounds_and_says_how_to_draw(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 2}))
    run_here(folder, SCRIPT)
    drawn = Rollout.load(folder.rollout(1))
    with safe_open(folder.exports / "noise_pool.safetensors", "pt") as pool:
        assert torch.equal(pool.get_tensor("best_z_T"), drawn.z_T[2])
        assert torch.equal(pool.get_tensor("good_z_T"), drawn.z_T[[1, 6]])
        drawing = json.loads(pool.metadata()["hero_tui"])
    assert drawing["noise"] == {"pool": "variance-preserving", "s": 0.1, "best_ratio": 0.5}


def test_the_model_card_says_what_was_taught(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 2}))
    run_here(folder, SCRIPT)
    card = (folder.exports / "README.md").read_text()
    assert "Prompt: a cat" in card
    assert "- a cat is seen" in card
    assert "| 0 | 8 | 2 |" in card
    assert "| 1 | 8 | 3 |" in card


def test_a_run_without_a_trained_round_has_nothing_to_export(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task())
    with pytest.raises(InputError, match="no round is trained yet"):
        export(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""What a run leaves behind: a LoRA that diffusers loads, the noise pool, a model card."""

import json
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from safetensors.torch import load_file, save_file

from hero_engine import __version__
from hero_engine.errors import EngineError, InputError
from hero_engine.folder import RunFolder
from hero_engine.record import Record
from hero_engine.task import Task

LORA_FILE = "pytorch_lora_weights.safetensors"
POOL_FILE = "noise_pool.safetensors"


def export(folder: RunFolder, destination: Path) -> list[Path]:
    """Writes the latest round's LoRA, its noise pool and README.md into `destination`.

    Raises:
        InputError: no round is trained yet.
        EngineError: a file cannot be read or written.
    """
    record, task = folder.open_record(), folder.task()
    trained = [r.number for r in record.rounds() if r.trained is not None]
    if not trained:
        raise InputError(f"{folder.path}: no round is trained yet, there is nothing to export")
    checkpoint = folder.checkpoint(trained[-1])
    try:
        destination.mkdir(parents=True, exist_ok=True)
        # peft names a weight base_model...to_q.lora_A.default.weight; diffusers' converter takes
        # the names without the adapter's.
        lora = {
            name.replace(".default.", "."): tensor
            for name, tensor in load_file(checkpoint / "lora.safetensors").items()
        }
        StableDiffusionPipeline.save_lora_weights(
            str(destination),
            unet_lora_layers=convert_state_dict_to_diffusers(lora),
            weight_name=LORA_FILE,
            safe_serialization=True,
        )
        drawing = {
            "noise": task.noise.model_dump(),
            "scheduler": "DDIM",
            "steps": task.sampling.steps,
            "eta": task.sampling.eta,
        }
        save_file(
            load_file(checkpoint / POOL_FILE),
            destination / POOL_FILE,
            # One key: safetensors writes several in an order that changes from call to call.
            metadata={"hero_tui": json.dumps(drawing)},
        )
        (destination / "README.md").write_text(model_card(record, task, trained[-1]), "utf-8")
    except OSError as error:
        raise EngineError(f"{destination}: cannot export: {error}") from error
    return [destination / name for name in (LORA_FILE, POOL_FILE, "README.md")]


def model_card(record: Record, task: Task, last_round: int) -> str:
    """Markdown that says what the LoRA is, how it was made and how to use it."""
    lines = [
        f"# {task.name}: a LoRA taught by labeling",
        "",
        f"- Prompt: {'; '.join(task.prompts)}",
        f"- Base model: {task.model}" + (f" at {task.revision}" if task.revision else ""),
        f"- Seed {task.seed}, rank {task.update.lora_rank}, alpha {task.update.lora_rank}, "
        f"{task.sampling.steps} DDIM steps, guidance {task.sampling.guidance_scale:g}, "
        f"eta {task.sampling.eta:g}",
        f"- Written by hero-tui {__version__} with torch {torch.__version__}",
        "",
        "What counts as good:",
        *(f"- {criterion}" for criterion in task.criteria),
        "",
        "| Round | Pictures | Good |",
        "|---|---|---|",
    ]
    for r in record.rounds():
        if r.number <= last_round and r.submitted is not None:
            lines.append(f"| {r.number} | {r.images} | {len(record.labels(r.number).good)} |")
    final = record.final()
    for which, said in (("pi", "the noise pool"), ("fresh", "fresh noise N(0, I)")):
        if which in final:
            measured = final[which]
            lines += [
                "",
                f"Final success from {said}: {measured.good} of {measured.images}, "
                f"diversity {measured.diversity:.3f}.",
            ]
    lines += [
        "",
        "## Use",
        "```python",
        f'pipeline.load_lora_weights(".", weight_name="{LORA_FILE}")',
        "```",
        f"`{POOL_FILE}` holds the initial noises that made good pictures: `best_z_T` [C, H, W] and",
        "`good_z_T` [G, C, H, W]. Its metadata (key `hero_tui`) says how to draw around one, mu:",
        "`variance-preserving` is sqrt(1 - s^2) mu + s eps, `additive` is mu + s eps.",
        "",
    ]
    return "\n".join(lines)

"""What a run leaves for other programs: its LoRA in two formats, the noise pool, a model card."""

import hashlib
import json
import logging
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from safetensors.torch import save

from hero_engine.errors import EngineError, InputError
from hero_engine.method.pool import POOL_FILE
from hero_engine.method.state import load_pool_tensors
from hero_engine.model import lora
from hero_engine.model.lora import LoraBase
from hero_engine.results.modelcard import (
    CARD_FILE,
    DIFFUSERS_FILE,
    is_model_card,
    labels_of,
    model_card,
    taught_rounds,
)
from hero_engine.run.folder import RunFolder, trained_round, write_complete
from hero_engine.run.record import Record
from hero_engine.run.task import Task

log = logging.getLogger(__name__)


def export(folder: RunFolder, destination: Path, wanted: int | None = None) -> list[Path]:
    """Writes the files of the round `wanted`, or of the latest, into `destination`.

    The same round of the same run gives the same bytes. Where no names fit every layer of the UNet,
    the kohya-format file is left out, and the log says so.

    Raises:
        InputError: the round is not trained, or none is; or somebody's files would be replaced.
        EngineError: a file cannot be read or written.
    """
    if destination.exists() and not destination.is_dir():
        raise InputError(f"{destination}: it is no folder; name another with -o")
    with closing(folder.open_record()) as record:
        return _export(folder, record, destination, wanted)


def _export(folder: RunFolder, record: Record, destination: Path, wanted: int | None) -> list[Path]:
    task = folder.task()
    number = trained_round(folder, wanted)
    checkpoint = folder.checkpoint(number)
    tensors, base = lora.load_checkpoint(checkpoint / "lora.safetensors")
    peft = lora.peft_state_dict(tensors)
    name = task.name if wanted is None else f"{task.name}-round-{number}"
    kohya_name = f"{name}.safetensors"
    try:
        kohya = lora.serialise(
            lora.kohya_state_dict(peft, base), _metadata(record, task, base, number, name)
        )
    except ValueError as error:
        log.warning("%s for ComfyUI, A1111 and Forge is left out: %s", kohya_name, error)
        kohya = None
    pool = load_pool_tensors(checkpoint)
    drawing = json.dumps(how_to_draw(task, base, number), ensure_ascii=False)
    files = {
        DIFFUSERS_FILE: save(lora.diffusers_state_dict(peft, base), {"format": "pt"}),
        **({} if kohya is None else {kohya_name: kohya}),
        POOL_FILE: save(pool, {"hero_tui": drawing}),
    }
    if not destination.resolve().is_relative_to(folder.path.resolve()):
        _check_free(destination, [*files, CARD_FILE])
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    card = model_card(record, task, base, number, len(pool.get("good_z_T", ())), hashes).encode()
    try:
        # The card first: by it an export that was cut short is known as one.
        for name, data in {CARD_FILE: card, **files}.items():
            write_complete(destination / name, partial(_write, data=data))
    except OSError as error:
        raise EngineError(f"{destination}: cannot export: {error}") from error
    return [destination / name for name in (*files, CARD_FILE)]


def _check_free(destination: Path, names: list[str]) -> None:
    """Only an earlier export is replaced, and that is told by its model card.

    Raises:
        InputError: there are files of other origin.
    """
    taken = [name for name in names if (destination / name).exists()]
    if taken and not is_model_card(destination / CARD_FILE):
        raise InputError(
            f"{destination}: there is {' and '.join(taken)} of another origin, which the export "
            "would replace; name another folder with -o"
        )


def how_to_draw(task: Task, base: LoraBase, round_number: int) -> dict[str, object]:
    """What the noise pool's metadata says: how z_T is drawn around its tensors, and denoised."""
    return {
        "format": 1,
        "shapes": {
            "best_z_T": "[C, H, W], the initial noise of the best picture",
            "good_z_T": "[G, C, H, W], of the other good ones",
            "best_z_0": "[C, H, W], the best picture's clean latent",
        },
        "draw": {
            "variance-preserving": "z_T = sqrt(1 - s^2) mu + s epsilon",
            "additive": "z_T = mu + s epsilon",
            "none": "z_T = epsilon: this run did not start from its pool",
        }[task.noise.pool],
        "mu": "best_z_T for best_ratio of a batch, then good_z_T in turn; epsilon is N(0, I)",
        # Of a round, not of the pool.
        "noise": task.noise.model_dump(exclude={"fresh_share"}),
        **(
            {"scheduler": "FlowMatchEulerDiscreteScheduler"}
            if base.prediction_type == "flow"
            else {"scheduler": "DDIMScheduler", "clip_sample": False}
        ),
        "steps": task.sampling.steps,
        "eta": task.sampling.eta,
        "guidance_scale": task.sampling.guidance_scale,
        "prediction_type": base.prediction_type,
        "prompts": list(task.taught_prompts),
        "negative_prompt": task.negative_prompt,
        "model": task.model,
        "revision": task.revision,
        "round": round_number,
    }


def _metadata(record: Record, task: Task, base: LoraBase, number: int, name: str) -> dict[str, str]:
    taught = taught_rounds(record, number)
    labels, _ = labels_of(record, taught)
    finished = taught[-1].trained
    assert finished is not None, "the exported round is trained"
    # sd-scripts' count of captions, which user interfaces offer as words for the prompt.
    frequency = {prompt: labels // len(task.prompts) for prompt in task.taught_prompts}
    return lora.kohya_metadata(
        base,
        task.update.lora_rank,
        name=name,
        title=name,
        description=f"Taught by {labels} labels with hero-tui. Good is: {' '.join(task.criteria)}",
        trigger="; ".join(task.taught_prompts),
        date=datetime.fromtimestamp(int(finished), UTC).isoformat(),
        model=task.model,
        extra={
            "ss_seed": str(task.seed),
            "ss_num_train_images": str(labels),
            "ss_learning_rate": str(task.update.learning_rate),
            "ss_optimizer": "torch.optim.AdamW",
            "ss_training_started_at": str(taught[0].started),
            "ss_training_finished_at": str(finished),
            "ss_tag_frequency": json.dumps({task.name: frequency}, ensure_ascii=False),
        },
    )


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)

"""What a run has learned so far, and its checkpoints: tensors only, in safetensors.

A checkpoint is everything that the next round depends on: the LoRA and its AdamW, the embedding,
its head and their Adam, the reigning best, the noise pool.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.method.embedding import Embedder, initialise
from hero_engine.method.pool import POOL_FILE, NoisePool
from hero_engine.model import lora, seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.tensorfile import save_tensors
from hero_engine.run.folder import RunFolder, write_complete
from hero_engine.run.task import Task

EMBEDDER_FILE, OPTIMIZERS_FILE = "embedder.safetensors", "optimizers.safetensors"
EMBEDDER, EMBEDDER_ADAM, LORA_ADAM = "the embedding", "the embedding's Adam", "the LoRA's AdamW"

log = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """What changes from round to round.

    Attributes:
        best_z_0: the reigning best's clean latent [C, H, W], the embedding's anchor; None before
            the first good picture.
        pool: the noises that the next round starts from; None: fresh noise.
        begun_anew: what its checkpoint no longer had, in words for the person; "" is usual.
    """

    model: Model
    lora_optimizer: torch.optim.AdamW
    embedder: Embedder
    embedder_optimizer: torch.optim.Adam
    best_z_0: Tensor | None = None
    pool: NoisePool | None = None
    begun_anew: str = ""


def initial_state(model: Model, task: Task) -> TrainingState:
    """The state before round 0."""
    update, settings = task.update, task.embedding
    embedder = Embedder(model.latent_shape, settings)
    initialise(embedder, seeds.generator(task.seed, "embedding"))
    embedder.to(model.device)
    return TrainingState(
        model=model,
        lora_optimizer=torch.optim.AdamW(
            list(model.lora().values()),
            lr=update.learning_rate,
            betas=update.betas,
            weight_decay=update.weight_decay,
            fused=True,
        ),
        embedder=embedder,
        embedder_optimizer=torch.optim.Adam(
            embedder.parameters(), lr=settings.learning_rate, fused=True
        ),
    )


def bytes_held(state: TrainingState) -> int:
    """Memory of what learns beside the model once it has trained: with gradients and moments."""
    parameters = [*state.embedder.parameters(), *state.model.lora().values()]
    return 4 * sum(p.numel() * p.element_size() for p in parameters)


def save(state: TrainingState, folder: RunFolder, round_number: int) -> None:
    """Writes the checkpoint of `round_number`; it appears only when it is whole.

    The moments of the embedding's Adam, by far the largest part, are kept for the latest two rounds
    only. All else stays, so that a run can go on from any round.
    """
    write_complete(folder.checkpoint(round_number), lambda path: _write(state, path))
    _drop_moments(folder.checkpoint(round_number - 2) / OPTIMIZERS_FILE)


def _drop_moments(path: Path) -> None:
    """Leaves out the embedding's part of an optimizers' file, which says so from then on."""
    if not path.is_file():
        return
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            kept = {n: file.get_tensor(n) for n in sorted(names) if not n.startswith("embedder.")}
    except (OSError, SafetensorError) as error:
        # No round depends on it; who goes back there is told.
        log.warning("%s: cannot be read, and stays as it is: %s", path, error)
        return
    if len(kept) < len(names):
        write_complete(path, lambda new: save_tensors(kept, new, {"dropped": "embedder"}))


def _write(state: TrainingState, path: Path) -> None:
    path.mkdir()
    model = state.model
    base = lora.LoraBase.of(model.pipeline)
    lora.save_checkpoint(path / "lora.safetensors", model.lora(), base)
    save_tensors(
        {n: p.detach().cpu().contiguous() for n, p in state.embedder.state_dict().items()},
        path / EMBEDDER_FILE,
    )
    save_tensors(
        _optimizer_tensors("lora", state.lora_optimizer)
        | _optimizer_tensors("embedder", state.embedder_optimizer),
        path / OPTIMIZERS_FILE,
    )
    noise: dict[str, Tensor] = {}
    if state.best_z_0 is not None and state.pool is not None:
        noise = {
            "best_z_0": state.best_z_0,
            "best_z_T": state.pool.best,
            "good_z_T": state.pool.goods,
        }
    save_tensors({n: t.clone() for n, t in noise.items()}, path / POOL_FILE)


def load(
    state: TrainingState, folder: RunFolder, round_number: int, rolled_back: bool = False
) -> None:
    """Puts the checkpoint of `round_number` into `state`.

    Args:
        rolled_back: the run went back to this round, so that an older checkpoint is read than is
            usual: what is no longer kept of it begins anew, which `state.begun_anew` says.

    Raises:
        EngineError: a file of it is missing or damaged, or does not fit the task's model.
    """
    path = folder.checkpoint(round_number)
    with _explained(path):
        load_lora(state.model, path)
        noise = load_pool_tensors(path)
        if noise:
            state.best_z_0, state.pool = noise["best_z_0"], _pool(noise)
        lost = _lost(path) if rolled_back else []
        if EMBEDDER not in lost:
            state.embedder.load_state_dict(load_file(path / EMBEDDER_FILE))
        if LORA_ADAM not in lost:
            tensors = load_file(path / OPTIMIZERS_FILE)
            _load_optimizer(state.lora_optimizer, "lora", tensors)
            _load_optimizer(state.embedder_optimizer, "embedder", tensors)
        if lost and noise:  # without a good picture, nothing has been learned that could be lost
            state.begun_anew = (
                f"Begun anew, since round {round_number}'s checkpoint no longer has it: "
                f"{', '.join(lost)}."
            )


def _lost(path: Path) -> list[str]:
    """What the checkpoint folder `path` of an earlier round keeps no longer.

    Earlier versions dropped both files as wholes.
    """
    lost = [] if (path / EMBEDDER_FILE).exists() else [EMBEDDER]
    if not (path / OPTIMIZERS_FILE).exists():
        return [*lost, EMBEDDER_ADAM, LORA_ADAM]
    with safe_open(path / OPTIMIZERS_FILE, "pt") as optimizers:
        dropped = "dropped" in (optimizers.metadata() or {})
    return [*lost, EMBEDDER_ADAM] if dropped else lost


def load_result(model: Model, path: Path) -> NoisePool | None:
    """Puts the LoRA of the checkpoint folder `path` into the model; returns its noise pool.

    Raises:
        EngineError: a file of it is missing or damaged, or does not fit the model.
    """
    with _explained(path):
        load_lora(model, path)
        noise = load_pool_tensors(path)
        return _pool(noise) if noise else None


def load_pool_tensors(path: Path) -> dict[str, Tensor]:
    """The noise pool of the checkpoint folder `path` and the best's z_0; empty without a good.

    Raises:
        EngineError: the file is missing or damaged.
    """
    with _explained(path):
        noise: dict[str, Tensor] = load_file(path / POOL_FILE)
        return noise


def load_lora(model: Model, path: Path) -> None:
    """Puts the LoRA of the checkpoint folder `path` into the model.

    Raises:
        ValueError: its tensors are not those of the model's LoRA.
    """
    tensors, parameters = load_file(path / "lora.safetensors"), model.lora()
    if tensors.keys() != parameters.keys():
        raise ValueError("its LoRA belongs to another model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def _pool(noise: Mapping[str, Tensor]) -> NoisePool:
    return NoisePool(noise["best_z_T"], noise["good_z_T"])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EngineError(
            f"{path}: the checkpoint cannot be read: {reason}; restore the folder from a copy, or "
            "start again and replay the labels (`hero-tui labels`)"
        ) from error


def _optimizer_tensors(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}.{index}.{name}": tensor.cpu().contiguous()
        for index, tensors in state.items()
        for name, tensor in tensors.items()
    }


def _load_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        owner, index, name = key.split(".")
        if owner == prefix:
            state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

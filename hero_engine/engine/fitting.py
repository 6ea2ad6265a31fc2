"""Fitting an engine into a machine's memory: `--memory`.

What one transition and one picture take is measured on the loaded model, by trying one of each.
A preset and `auto` differ in the memory that may be used: so many GiB, or what is free now. The
effective batch, and so the method, stays as it is.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from accelerate.utils.memory import clear_device_cache
from torch import Tensor

from hero_engine.errors import EngineError
from hero_engine.model.diffusion import Model
from hero_engine.model.memory import is_shortage
from hero_engine.run.options import EngineOptions, Memory
from hero_engine.run.task import Task

log = logging.getLogger(__name__)

MARGIN = 0.85
"""The share of the memory that is planned with: allocators fragment, and kernels need workspace."""

TOO_MUCH = 2**62

FEW = 4
"""With fewer transitions a pass than this, recomputing activations is the lesser slowness."""


@dataclass(frozen=True)
class Costs:
    """Bytes: of one transition trained, with and without checkpointing, one picture denoised, one
    decoded, and the weights that can wait off the accelerator (VAE and text encoders).
    """

    transition: int
    checkpointed: int
    picture: int
    decoding: int
    spare_weights: int


@dataclass(frozen=True)
class Plan:
    """How a run uses memory.

    Attributes:
        checkpointing: activations are computed again in the backward pass.
        slicing, tiling: the VAE decodes one picture at a time, or one part of it. Tiling blends
            the seams, which changes pictures by more than rounding, but no latent.
        offload: VAE and text encoders are on the accelerator only while they work.
    """

    chunk: int
    micro_batch: int
    checkpointing: bool = False
    slicing: bool = False
    tiling: bool = False
    offload: bool = False


def plan(costs: Costs, spare: int, task: Task, device: torch.device) -> Plan:
    """The quickest plan for `spare` bytes beside the denoiser, with chunks of at most the task's.

    What is planned may still not fit: then the engine halves (`memory`).
    """
    whole = task.update.batch_size * (
        task.sampling.steps if task.update.steps == "all" else task.update.k
    )
    beside_all = max(0, spare - costs.spare_weights)
    micro_batch = min(whole, beside_all // costs.transition)
    checkpointing = micro_batch < min(FEW, whole)
    offload = checkpointing and device.type != "cpu"
    if not offload:
        spare = beside_all
    if checkpointing:
        micro_batch = min(whole, spare // costs.checkpointed)
    chunk = max(1, min(task.sampling.chunk_size, spare // costs.picture))
    return Plan(
        chunk=chunk,
        micro_batch=max(1, micro_batch),
        checkpointing=checkpointing,
        slicing=costs.decoding * chunk > spare,
        tiling=costs.decoding > spare,
        offload=offload,
    )


def apply_options(model: Model, task: Task, options: EngineOptions, held: int = 0) -> None:
    """Makes a model that was just loaded work as an engine's options say.

    Args:
        held: bytes that what learns beside the model holds or will (the embedding and the
            optimizers' states).

    Raises:
        EngineError: there is not enough memory to try one transition.
    """
    if options.memory is not None:
        fit(model, task, options.memory, held)
    if options.compile:
        model.compile()


def fit(model: Model, task: Task, memory: Memory, held: int) -> Plan:
    """Measures, plans and makes the model work so."""
    costs = measure(model, task)
    if memory == "auto":
        there = 0 if model.offload else costs.spare_weights
        spare = int(MARGIN * _free(model.device)) + there - held
    else:
        spare = int(MARGIN * int(memory) * 2**30) - _bytes_of(model.denoiser) - held
    chosen = plan(costs, max(0, spare), task, model.device)
    apply(chosen, model)
    log.info("memory %s: %.1f GiB beside weights, %s: %s", memory, spare / 2**30, costs, chosen)
    return chosen


def apply(chosen: Plan, model: Model) -> None:
    """Makes the model work as planned."""
    model.sizes.chunk, model.sizes.micro_batch = chosen.chunk, chosen.micro_batch
    model.set_offload(chosen.offload)
    if chosen.checkpointing:
        model.denoiser.enable_gradient_checkpointing()
    else:
        model.denoiser.disable_gradient_checkpointing()
    if chosen.slicing:
        model.vae.enable_slicing()
    if chosen.tiling:
        model.vae.enable_tiling()


def measure(model: Model, task: Task) -> Costs:
    """Tries one transition, one denoising step and one decoding.

    On CUDA a cost is the peak of what was allocated. Elsewhere it is what autograd keeps, which for
    sampling and decoding, where nothing is kept, is more than they take.

    Raises:
        EngineError: memory does not suffice for one transition.
    """
    device = model.device
    latent = torch.zeros(1, *model.latent_shape, device=device)
    scale = task.sampling.guidance_scale
    training_scale = scale if task.update.guidance else 1.0

    def train() -> None:
        _predict(model, latent, training_scale).sum().backward()
        for parameter in model.lora().values():
            parameter.grad = None

    def sample() -> None:
        with torch.set_grad_enabled(device.type != "cuda"):
            _predict(model, latent, scale)

    def decode() -> None:
        with torch.set_grad_enabled(device.type != "cuda"):
            model.decode(latent.clone().requires_grad_(device.type != "cuda"))

    transition = _cost(device, model, train)
    model.denoiser.enable_gradient_checkpointing()
    checkpointed, picture = (_cost(device, model, work) for work in (train, sample))
    model.denoiser.disable_gradient_checkpointing()
    if TOO_MUCH in (checkpointed, picture):
        raise EngineError(
            "there is not enough memory to train one transition of this model, even with its "
            "activations computed again; free memory that other programs hold, or take a smaller "
            "model"
        )
    return Costs(
        transition=transition,
        checkpointed=checkpointed,
        picture=picture,
        decoding=_cost(device, model, decode),
        spare_weights=sum(_bytes_of(part) for part in (model.vae, *model.text_encoders)),
    )


def _predict(model: Model, latent: Tensor, scale: float) -> Tensor:
    prompt = torch.zeros(1, dtype=torch.int64, device=model.device)
    return model.predict(latent, torch.zeros(1, dtype=torch.int64), prompt, scale)


def _cost(device: torch.device, model: Model, work: Callable[[], None]) -> int:
    """Bytes, at least 1; `TOO_MUCH` if memory does not suffice for it."""
    try:
        return max(1, _peak(work) if device.type == "cuda" else _kept(model, work))
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
    for parameter in model.lora().values():
        parameter.grad = None
    clear_device_cache(garbage_collection=True)
    return TOO_MUCH


def _peak(work: Callable[[], None]) -> int:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() - before


def _kept(model: Model, work: Callable[[], None]) -> int:
    known = {p.untyped_storage().data_ptr() for m in model.resident for p in m.parameters()}
    kept: dict[int, tuple[Any, int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            # The storage itself is kept, so that its address is not given to another.
            kept[storage.data_ptr()] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(size for _, size in kept.values())


def _bytes_of(module: Any) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return torch.cuda.mem_get_info()[0] + cached
    return int(psutil.virtual_memory().available)

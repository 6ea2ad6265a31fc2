"""How the engine's processes share a round's work: pure rules, and sums through Accelerate.

Chunks are dealt out whole, so the arithmetic of a picture is that of an engine of one process.
An optimizer step's transitions are split evenly and their gradients summed, which differs from one
process by rounding.
"""

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector


def dealt(chunks: Sequence[Sized], processes: int, to: int) -> list[int]:
    """The chunks that process `to` samples: each goes to who has the fewest pictures so far.

    The first one, which somebody waits for, is process 0's: it need not be handed over.
    """
    loads, owners = [0] * processes, []
    for chunk in chunks:
        owner = loads.index(min(loads))
        loads[owner] += len(chunk)
        owners.append(owner)
    return [number for number, owner in enumerate(owners) if owner == to]


def share(values: Tensor, accelerator: Accelerator) -> Tensor:
    """This process's part of `values` along its first dimension; it may be empty."""
    index: int = accelerator.process_index
    return values.tensor_split(accelerator.num_processes)[index]


def sum_gradients(parameters: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """Makes every process's gradients the sum over the processes; a collective."""
    if accelerator.num_processes == 1:
        return
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            # Nothing of the group was this process's.
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    fill(gradients, accelerator.reduce(parameters_to_vector(gradients), reduction="sum"))


def combine(
    metrics: Mapping[str, float], how: Literal["sum", "max"], accelerator: Accelerator
) -> dict[str, float]:
    """Each metric's sum or maximum over the processes; a collective."""
    if accelerator.num_processes == 1:
        return dict(metrics)
    values = torch.tensor(list(metrics.values()), device=accelerator.device)
    return dict(zip(metrics, accelerator.reduce(values, reduction=how).tolist(), strict=True))


@torch.no_grad()
def copy_from_main(parameters: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """Makes every process's parameters those of the main process; a collective."""
    if accelerator.num_processes == 1:
        return
    parameters = list(parameters)
    fill(parameters, broadcast(parameters_to_vector(parameters)))


@torch.no_grad()
def fill(tensors: Sequence[Tensor], vector: Tensor) -> None:
    """Writes a vector into `tensors`, as `parameters_to_vector` reads one from them."""
    parts = vector.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))

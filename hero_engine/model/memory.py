"""How much goes through the network at once, and going on with less when memory runs out.

Only rounding depends on these sizes: pictures have random numbers of their own, and a group of
micro-batches has the gradient of the whole. Which sizes a machine begins with is `fitting`'s.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor

from hero_engine.errors import EngineError

log = logging.getLogger(__name__)

T = TypeVar("T")
Size = Literal["chunk", "micro_batch"]

_SHORTAGE = re.compile(
    r"out of memory|ALLOC_FAILED|AllocFailed|ErrorMemoryAllocation|ErrorOutOfMemory"
    r"|rocblas_status_memory_error",
    re.IGNORECASE,
)
"""How the libraries below PyTorch say it, which allocate by themselves: CUDA's and HIP's runtimes,
cuBLAS, cuDNN, cuSOLVER, cuFFT, cuSPARSE, rocBLAS, MIOpen."""

_UNITS: dict[Size, str] = {"chunk": "pictures", "micro_batch": "transitions"}


@dataclass
class Sizes:
    """What fits this machine, for the rest of the run; never larger than it was.

    Attributes:
        chunk: pictures sampled together. micro_batch: transitions a training pass.
        on_halved: called with the size that was halved.
    """

    chunk: int
    micro_batch: int
    on_halved: Callable[[Size], None] = lambda which: None
    _halved: set[Size] = field(default_factory=set)

    def of(self, which: Size) -> int:
        return self.chunk if which == "chunk" else self.micro_batch

    def halve(self, which: Size, tried: int) -> None:
        """Half of what was `tried`, rounded up, is the size from now on.

        Raises:
            EngineError: it was one.
        """
        if tried == 1:
            raise EngineError(
                f"out of memory with one of the {_UNITS[which]} at a time; continue the run with "
                "`--memory 8` (the least that this engine can do with), free memory that other "
                "programs hold, or start a run of a smaller model"
            )
        left = (tried + 1) // 2
        setattr(self, which, left)
        self._halved.add(which)
        log.warning("out of memory: going on with %d %s at a time", left, _UNITS[which])
        self.on_halved(which)

    def remark(self, which: Size) -> str:
        """What to add to a phase's name for the person: empty while memory has sufficed."""
        if which not in self._halved:
            return ""
        return f", {self.of(which)} at a time as memory ran out"


def attempt(work: Callable[[], T], sizes: Sizes, which: Size, tried: int) -> T | None:
    """What `work` returns; or None if memory ran out: then the size is half of `tried` already.

    accelerate's `find_executable_batch_size` is not used: it starts every call anew, cannot undo
    what a failed attempt left behind (half a gradient, say), and says nothing.

    Raises:
        EngineError: it ran out with one at a time.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        said = str(error).splitlines()[0]
    # Here, and not in the handler, whose traceback keeps the attempt's tensors alive.
    log.warning("%s", said)
    clear_device_cache(garbage_collection=True)
    sizes.halve(which, tried)
    return None


def is_shortage(error: Exception) -> bool:
    """Whether it says that memory ran out, of an accelerator or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return should_reduce_batch_size(error) or _SHORTAGE.search(str(error)) is not None


def in_chunks(
    chunks: Iterable[Tensor], sizes: Sizes, work: Callable[[Tensor], T]
) -> Iterator[tuple[Tensor, T]]:
    """Each chunk of picture numbers [B] with what `work` makes of it, in order.

    A chunk that memory does not suffice for is done again in halves, and so are all later ones.

    Raises:
        EngineError: it does not suffice for one picture.
    """
    waiting = list(chunks)
    while waiting:
        images, *rest = waiting.pop(0).split(sizes.chunk)
        waiting[:0] = rest
        done = attempt(lambda images=images: work(images), sizes, "chunk", len(images))  # type: ignore[misc]
        if done is None:
            waiting.insert(0, images)
        else:
            yield images, done

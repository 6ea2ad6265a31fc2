"""How an engine works on this machine: options of a start, not of the run.

None of them is in task.yaml, because none changes more than rounding; an engine that is started
again may be given others.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from hero_engine.errors import InputError

Memory = Literal["8", "12", "16", "24", "48", "auto"]
"""GiB that the engine may use, or as much as is free when it starts."""


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is started with.

    Attributes:
        memory: None: the sizes that the task says.
        idle_offload: minutes without a label after which the weights leave the accelerator.
        compile: the UNet's repeated blocks are compiled, where there is a CUDA GPU.
        num_processes: of the engine, one for each GPU.
    """

    memory: Memory | None = None
    idle_offload: float | None = None
    compile: bool = False
    num_processes: int = 1

    @property
    def is_small(self) -> bool:
        """Whether the parts of a pipeline may not fit beside each other."""
        return self.memory in ("8", "12")

    def arguments(self) -> list[str]:
        """As options of a command line: the engine's, `hero-tui run`'s and `hero-tui resume`'s."""
        given = []
        if self.memory is not None:
            given += ["--memory", self.memory]
        if self.idle_offload is not None:
            given += ["--idle-offload", str(self.idle_offload)]
        if self.compile:
            given += ["--compile"]
        if self.num_processes > 1:
            given += ["--num-processes", str(self.num_processes)]
        return given


DEFAULT_OPTIONS = EngineOptions()
"""No option given."""


def memory_of(text: str | None) -> Memory | None:
    """What `--memory` says.

    Raises:
        InputError: something else than one of the presets or auto.
    """
    if text is not None and text not in get_args(Memory):
        expected = ", ".join(get_args(Memory))
        raise InputError(f"--memory {text}: expected one of {expected}")
    return cast(Memory | None, text)


def parse(arguments: Sequence[str]) -> EngineOptions:
    """What `EngineOptions.arguments` wrote.

    Raises:
        SystemExit: the arguments are not that (exit code 2).
    """
    parser = argparse.ArgumentParser(prog="python -m hero_engine run FOLDER", add_help=False)
    parser.add_argument("--memory", choices=get_args(Memory))
    parser.add_argument("--idle-offload", type=float)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--num-processes", type=int, default=1)
    return EngineOptions(**vars(parser.parse_args(arguments)))

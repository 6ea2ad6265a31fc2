"""Processes forked from one that has imported the engine: a start takes milliseconds, not seconds.

All else is a process's own: its id, memory, signals, locks, output and exit code.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["hero_engine.__main__", "hero_engine.engine.loop", "tests.fake_engine"]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("PYTHONPATH", str(ROOT))
        # Read when the packages are imported, so what a test sets later is too late for them.
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        multiprocessing.forkserver.ensure_running()
    return context


class Forked:
    """Of `subprocess.Popen`, what is used of engines."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def fork(main: Callable[[list[str]], int], arguments: list[str], log_file: Path) -> Forked:
    """Runs `main` (a module's function) on `arguments`; what it prints is appended to `log_file`.

    It has this process's folder and environment, and a session of its own; it ends with this one.
    """
    process = _server().Process(
        target=_run,
        args=(main, arguments, str(log_file), str(Path.cwd()), dict(os.environ)),
        daemon=True,
    )
    process.start()
    return Forked(process)


def _run(
    main: Callable[[list[str]], int],
    arguments: list[str],
    log_file: str,
    folder: str,
    environment: dict[str, str],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.exit(main(arguments))

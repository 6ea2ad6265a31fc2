"""An engine of several processes: starts them with `accelerate launch`, and says how they ended.

Accelerate's own configuration, if the user has one, counts for what is not set here (which GPUs,
say). The main process takes the run's lock and keeps its record; what happened to a process that
could not say so itself is recorded here, when all are gone.
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import closing
from dataclasses import replace

from hero_engine.engine.interrupts import Stop
from hero_engine.errors import EngineError, HeroError, InputError
from hero_engine.run import rollback
from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.options import EngineOptions
from hero_engine.run.process import ending

Ends = Mapping[int, tuple[int, int]]
"""How processes ended, by rank: (pid, exit code); a negative code is a signal's number."""

log = logging.getLogger(__name__)


SIGN = "HERO_ENGINE_LAUNCHER"
"""The environment's variable that says that `launch` has started a process."""

_OF_LAUNCHERS = re.compile(
    r"(RANK|WORLD_SIZE|(LOCAL|GROUP|ROLE)_(RANK|WORLD_SIZE)|ROLE_NAME|NODE_RANK|MASTER_(ADDR|PORT)"
    r"|CROSS_(RANK|SIZE)|(TORCHELASTIC|ACCELERATE|FSDP|OMPI|PMI|PMIX|MPI|MV2|SLURM)_.*)"
)


def is_launched() -> bool:
    """Whether this process is one of several that `launch` has started."""
    return SIGN in os.environ


def forget_other_launchers(environment: MutableMapping[str, str]) -> None:
    """Removes what a launcher has told its processes, unless that launcher is `launch`.

    A job on a cluster, or the shell that it has opened, says in its environment that it is one of
    so many processes. PyTorch and Accelerate would wait for the others, without end. Under a
    user's own torchrun each process so is an engine by itself: the first holds the run, the others
    are refused; `--num-processes` is the way.
    """
    if SIGN in environment:
        return
    for name in [name for name in environment if _OF_LAUNCHERS.fullmatch(name)]:
        del environment[name]


def is_helper() -> bool:
    """Whether it is one of them and not the main process."""
    return is_launched() and os.environ.get("RANK") != "0"


def launch(folder: RunFolder, options: EngineOptions) -> int:
    """Runs the engine as `options.num_processes` processes on this machine until all have ended.

    Returns:
        The exit code: 0 finished, 3 paused, or the main process's own, which has said why.

    Raises:
        InputError: another engine holds the run, or Accelerate refuses its configuration.
        EngineError: a process was killed, or failed without a word to the others.
    """
    with engine_lock(folder), closing(folder.open_record()) as record:
        rollback.complete(folder, record)  # before a process reads the task
        if record.state()[0] == "finished":
            return 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    failure: HeroError | None = None
    try:
        failed = _start_and_wait(folder, options)
        if failed:
            said = failed.get(0, (0, 0))[1]
            if said in (InputError.exit_code, EngineError.exit_code):
                return said
            failure = EngineError(why(failed, options.num_processes))
    except InputError as error:
        failure = error
    except Stop:
        log.info("asked to stop by a signal")
    return _settle(folder, failure)


def _stop(number: int, frame: object) -> None:
    raise Stop


def _start_and_wait(folder: RunFolder, options: EngineOptions) -> Ends:
    """Returns how processes ended that ended badly; none, if it is empty.

    Raises:
        Stop: by a signal; the processes have been told, and have ended.
        InputError: Accelerate refuses its configuration.
    """
    # They take seconds to import.
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    processes, each = options.num_processes, replace(options, num_processes=1)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ[SIGN] = str(os.getpid())
    if sys.flags.safe_path:
        os.environ["PYTHONSAFEPATH"] = "1"
    # --multi_gpu is Accelerate's word for torch's launcher, which starts CPU processes, too.
    launching = (
        f"--multi_gpu --num_machines 1 --num_processes {processes} --main_process_port 0 "
        "--mixed_precision no --dynamo_backend no -m hero_engine run"
    )
    try:
        launch_command(
            launch_command_parser().parse_args(
                [*launching.split(), str(folder.path), *each.arguments()]
            )
        )
    except ChildFailedError as error:
        return {rank: (each.pid, each.exitcode) for rank, each in error.failures.items()}
    except SignalException as error:
        raise Stop from error
    except ValueError as error:
        raise InputError(f"Accelerate does not start: {error}; see `accelerate env`") from error
    return {}


def why(failed: Ends, processes: int) -> str:
    """What brought the engine down: the first to fail, that is, not one that was ended for it.

    Once one has failed, the launcher ends the others by SIGTERM.
    """
    rank, (pid, code) = min(failed.items(), key=lambda end: end[1][1] == -signal.SIGTERM)
    which = "the main process" if rank == 0 else f"helper {rank}"
    return (
        f"{which} of the engine's {processes} processes (pid {pid}) {ending(code)}, so the others "
        "were ended, too; nothing that was recorded is lost, the run can be continued"
    )


def _settle(folder: RunFolder, failure: HeroError | None) -> int:
    """Records `failure` and raises it; else the exit code for what the main process recorded."""
    with engine_lock(folder), closing(folder.open_record()) as record:
        if record.state()[0] == "finished":
            return 0
        if failure is not None:
            record.set_state("failed", str(failure))
            raise failure
        record.set_state("paused")
        return 3

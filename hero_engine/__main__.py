"""The engine process: `python -m hero_engine run FOLDER [OPTIONS]`, and other heavy commands.

`hero-tui` starts it; its standard error is the run's engine.log. With `--num-processes N` it starts
`run FOLDER` N times and waits for them: the first is the main process, the others its helpers.
"""

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from urllib.request import getproxies

from hero_engine.engine.failures import explained
from hero_engine.engine.interrupts import Interrupts, Stop
from hero_engine.engine.launcher import forget_other_launchers, is_helper, is_launched, launch
from hero_engine.errors import HeroError
from hero_engine.run import rollback
from hero_engine.run.evaluation_request import EvaluationRequest
from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.functions import USERS_ERRORS
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions, parse
from hero_engine.run.picture_request import PictureRequest
from hero_engine.run.record import Record
from hero_engine.run.text import plain, plain_lines

USAGE = (
    "usage: python -m hero_engine run FOLDER [OPTIONS] | export FOLDER DESTINATION [ROUND] | "
    "generate FOLDER REQUEST [DESTINATION] | evaluate FOLDER REQUEST | report FILE FOLDER | "
    "compare FILE FOLDER FOLDER... | figure RESULTS FILE | doctor MODEL"
)

PAUSED = 3

HUB = "https://huggingface.co"

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 done, 2 wrong input, 3 paused, 4 failed."""
    # Its hints about image processors, which nothing here uses, would fill the log.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    forget_other_launchers(os.environ)
    match arguments:
        case ["run", folder, *given]:
            options = parse(given)
            start = launch if options.num_processes > 1 else run
            return _reported(lambda: start(_engine_folder(folder), options))
        case ["export", folder, destination, *number]:
            wanted = int(number[0]) if number else None
            return _reported(lambda: export(RunFolder(Path(folder)), Path(destination), wanted))
        case ["generate", folder, request, *new_folder]:
            place = Path(new_folder[0]) if new_folder else None
            return _reported(lambda: generate(RunFolder(Path(folder)), request, place))
        case ["report", file, folder]:
            return _reported(lambda: report(Path(file), RunFolder(Path(folder))))
        case ["compare", file, *folders]:
            runs = [RunFolder(Path(each)) for each in folders]
            return _reported(lambda: compare(Path(file), runs))
        case ["evaluate", folder, request]:
            return _reported(lambda: evaluate(RunFolder(Path(folder)), request))
        case ["figure", results, file]:
            return _reported(lambda: figure(Path(results), Path(file)))
        case ["doctor", model]:
            return _reported(lambda: doctor(model))
    print(USAGE, file=sys.stderr)
    return 2


@contextmanager
def _importing() -> Iterator[None]:
    """For what imports torch: half a million objects, none of them garbage.

    To look for it among them again and again is a third of the seconds that they take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _engine_folder(path: str) -> RunFolder:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return RunFolder(Path(path).absolute())


def run(folder: RunFolder, options: EngineOptions = DEFAULT_OPTIONS) -> int:
    """The engine's process, or one of several: the main one, or a helper that it asks for work."""
    if is_helper():
        with _importing():
            from hero_engine.engine.team import help_main

        help_main(folder, options)
        return 0
    return _exit_code(run_main(folder, options))


def _exit_code(code: int) -> int:
    # A launcher takes every other code for a failure; that the run is paused is in the record.
    return 0 if is_launched() and code == PAUSED else code


def run_main(folder: RunFolder, options: EngineOptions) -> int:
    """Holds the run's lock and runs it; what happened is in its record, too."""
    with engine_lock(folder):
        record = folder.open_record()
        rollback.complete(folder, record)
        task = folder.task()
        if record.state()[0] == "finished":
            log.info("the run is finished, there is nothing left to do")
            return 0
        interrupts = Interrupts(record)
        interrupts.listen(lambda: _leave(folder, record))
        if record.state()[0] == "failed":
            record.set_state("paused")  # nobody is told again why an earlier engine failed
        try:
            # torch takes seconds to import; another engine is refused before that.
            with _importing():
                from hero_engine.engine.context import Run
                from hero_engine.engine.loop import run_to_the_end
                from hero_engine.engine.team import Team

            team = Team.of_this_engine()
            run_to_the_end(Run(folder, record, task, interrupts, options, team))
        except Stop:
            _say_paused(folder, record)
            return PAUSED
        except USERS_ERRORS as error:
            failure = explained(error)
            if not isinstance(error, HeroError):
                log.exception("the engine failed")
            _try_to_record(record, failure)
            raise failure from error
    return 0


def _say_paused(folder: RunFolder, record: Record) -> None:
    log.info("stopped; continue with `hero-tui attach %s`", folder.reference)
    record.set_state("paused")


def _leave(folder: RunFolder, record: Record) -> NoReturn:
    """Ends the process in the midst of what it does, wherever its threads are."""
    _say_paused(folder, record)
    with suppress(OSError):
        os.truncate(folder.lock_file, 0)  # as `engine_lock` leaves it
    os._exit(_exit_code(PAUSED))


def export(folder: RunFolder, destination: Path, wanted: int | None) -> int:
    """Exports a round of the run, the latest for None, and prints the paths of the files."""
    with _importing():
        from hero_engine.results.export import export as export_run

    print(*map(plain, export_run(folder, destination, wanted)), sep="\n")
    return 0


def generate(folder: RunFolder, request: str, destination: Path | None) -> int:
    """Draws the pictures of a request in JSON and prints the folder that they are in."""
    with _importing():
        from hero_engine.results.generate import generate as draw_pictures

    drawn = draw_pictures(folder, PictureRequest.model_validate_json(request), destination)
    print(plain(drawn))
    return 0


def report(file: Path, folder: RunFolder) -> int:
    """Writes the page of a run and prints its path."""
    _quiet_matplotlib()
    from hero_engine.results.report.write import write_report

    return _written(file, write_report(folder, file))


def compare(file: Path, folders: Sequence[RunFolder]) -> int:
    """Writes the page of several runs and prints its path."""
    _quiet_matplotlib()
    from hero_engine.results.report.write import write_comparison

    return _written(file, write_comparison(folders, file))


def figure(results: Path, file: Path) -> int:
    """Draws the figure of a bench's results and prints its path."""
    _quiet_matplotlib()
    from hero_engine.results.report.figure import write_figure

    write_figure(results, file)
    return _written(file, [])


def _quiet_matplotlib() -> None:
    # It warns of a cache that it cannot keep, and refuses to start with a notebook's way to draw
    # that is not installed; the pages need neither.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    os.environ["MPLBACKEND"] = "svg"


def _written(file: Path, left_out: list[str]) -> int:
    for picture in left_out:
        print(f"left out: {plain(picture)}", file=sys.stderr)
    print(plain(file))
    return 0


def evaluate(folder: RunFolder, request: str) -> int:
    """Draws and measures the pictures by which a run is judged."""
    with _importing():
        from hero_engine.results.evaluate import evaluate as evaluate_run

    evaluate_run(folder, EvaluationRequest.model_validate_json(request))
    return 0


def doctor(model: str) -> int:
    """Prints what the engine finds here for teaching `model`."""
    try:
        if not getproxies():
            socket.getaddrinfo(urlsplit(os.environ.get("HF_ENDPOINT", HUB)).hostname, None)
    except OSError:
        os.environ["HF_HUB_OFFLINE"] = "1"  # else the hub's library tries for half a minute
    with _importing():
        from hero_engine.engine.doctor import examine, show

    show(examine(model))
    return 0


def _try_to_record(record: Record, failure: HeroError) -> None:
    try:
        record.set_state("failed", plain_lines(str(failure)))
    except HeroError as also:
        log.error("the failure could not be recorded: %s", also)


def _reported(command: Callable[[], int]) -> int:
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who reads has gone, as of `| head`; at the end Python would complain of it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return HeroError.exit_code
    except HeroError as error:
        print(f"hero-engine: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("hero-engine: interrupted; what is complete stays", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

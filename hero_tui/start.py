"""The start of the interface, from the terminal that is asked what it can do to the exit code.

Textual takes its colours from the environment when it is imported: what needs it is imported after
the terminal has been asked.
"""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_engine.run.record.evaluations import PERSON, Kind
from hero_engine.run.sources import Evaluated
from hero_tui.choices import load_choices
from hero_tui.config import Config, config_file, load_config
from hero_tui.ending import when_told_to_end
from hero_tui.hangup import when_terminal_goes
from hero_tui.output import message
from hero_tui.preview.asked import Asked
from hero_tui.preview.decision import tell_textual, why_not_utf8
from hero_tui.preview.probe import probe
from hero_tui.preview.terminal import QUADRANTS, Images, why_no_screen
from hero_tui.streams import write_utf8

if TYPE_CHECKING:
    from hero_tui.terminalapp import TerminalApp

ResultT = TypeVar("ResultT")


def has_terminal() -> bool:
    """Whether there is somebody who sees what is shown, and can answer.

    Standard error may be led elsewhere: the interface is written to standard output's terminal.
    """
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def require_terminal(command: str) -> None:
    """Refuses to start `hero-tui COMMAND` where nobody can label.

    Raises:
        InputError: says what can be done instead.
    """
    why = why_no_screen(os.environ) if has_terminal() else "there is no terminal to label in"
    if why:
        instead = "--labels FILE, --oracle or --labeler module:function"
        raise InputError(
            f"hero-tui {command}: {why}; use {instead}"
            + ("" if command == "run" else " with `hero-tui resume`")
        )


def choose_and_label(runs_dir: Path) -> int:
    """Has the person choose a run of `runs_dir`, and shows it; the exit code.

    Raises:
        InputError: see `label`.
    """
    if why := why_no_screen(os.environ):
        raise InputError(f"hero-tui: {why}; `hero-tui runs` lists the runs")
    config = _preferences(None)
    asked = _ask_terminal(config)
    from hero_tui.screens.runs import RunsApp

    _check_keys(config)
    app = RunsApp(runs_dir, config, asked=asked)
    folder = _show(app, lambda: None)
    if app.told_to_end is not None:
        return app.told_to_end
    # What was typed early has been read by now.
    asked.signs = replace(asked.signs, typed=b"")
    return 0 if folder is None else run_interface(folder, config, asked)


def label(
    run: Callable[[], RunFolder],
    images: Images | None,
    options: EngineOptions = DEFAULT_OPTIONS,
) -> int:
    """Shows a run, which is found or made once it is known that the interface can start.

    Args:
        run: finds or makes it.
        images: how pictures are to be shown, if `--images` says so.
        options: of the engine, if it is started now.

    Returns:
        the exit code, see `run_interface`.

    Raises:
        InputError: the preferences are wrong, the terminal does not take UTF-8, the run cannot be
            read or made, or its engine cannot be started.
    """
    config = _preferences(images)
    asked = _ask_terminal(config)
    _check_keys(config)
    return run_interface(run(), config, asked, options)


def run_interface(
    folder: RunFolder,
    config: Config,
    asked: Asked | None = None,
    options: EngineOptions = DEFAULT_OPTIONS,
) -> int:
    """Shows a run until it is left, with an engine working on it; the exit code.

    `asked` is what the terminal was asked before; None: nothing, it is taken for a plain one.

    0 if the run is finished, or was left to its engine; 3 if it is paused; 4 if the engine failed;
    128 and the signal's number if it was ended by a signal.

    Raises:
        InputError: the run cannot be read, or its engine cannot be started.
    """
    from hero_engine.run.process import start_engine
    from hero_tui.app import HeroApp
    from hero_tui.client.run_client import RunClient
    from hero_tui.parting import parting_words

    client = RunClient(folder, partial(start_engine, options=options))
    app = HeroApp(client, config, asked.terminal() if asked else QUADRANTS, asked=asked)
    code = _show(app, client.close)
    failed = client.close()
    if app.wants_to_judge and not failed:
        from hero_tui import evaluate

        return evaluate.evaluate([folder], evaluate.Asked(shown_as=config.images), terminal=True)
    for problem in failed:
        message(f"Not kept: {problem}")
    if app.told_to_end is not None:
        code = app.told_to_end
    elif code is None:
        return app.return_code or 1
    message(parting_words(app.view))
    return InputError.exit_code if failed else code


def judge(what: Evaluated, kind: Kind, images: Images | None) -> int:
    """Has the person judge pictures of a run blind; 0 once they are all judged, 3 before that.

    Raises:
        InputError: see `label`.
    """
    if why := why_no_screen(os.environ):
        raise InputError(f"hero-tui evaluate: {why}; judge with --labels FILE, or another judge")
    config = _preferences(images)
    asked = _ask_terminal(config)
    _check_keys(config)
    from hero_engine.run.process import start_engine
    from hero_tui.client.judging import Judging
    from hero_tui.client.run_client import RunClient
    from hero_tui.judgingapp import PAUSED, JudgingApp

    with closing(what.folder.open_record()) as record:
        evaluation = record.evaluations.begin(what.round, kind, PERSON, what.count)
    client = RunClient(what.folder, start_engine, evaluation.number)
    app = JudgingApp(client, Judging(what, evaluation), config, asked.terminal(), asked=asked)
    code = _show(app, client.close)
    for problem in client.close():
        message(f"Not kept: {problem}")
    if app.told_to_end is not None:
        return app.told_to_end
    if code == PAUSED:
        judging = app.judging
        message(
            f"{len(app.view.verdicts)} of {len(judging.order)} are judged, and kept. Go on with "
            "the same command."
        )
    return app.return_code or 1 if code is None else code


def _show(app: "TerminalApp[ResultT]", keep: Callable[[], object]) -> ResultT | None:
    """Runs an app until it is left or told to end; `keep` is called if its terminal goes."""
    terminal = sys.__stdin__.fileno() if sys.__stdin__ else -1
    with when_terminal_goes(terminal, keep), when_told_to_end(app.end, app.give_terminal_back):
        return app.run()


def _preferences(images: Images | None) -> Config:
    config = load_config(config_file())
    return config.model_copy(update={"images": images}) if images else config


def _check_keys(config: Config) -> None:
    if config.keys:
        from hero_tui.keymap import check_keys

        check_keys(config.keys, config_file())


def _ask_terminal(config: Config) -> Asked:
    """What the terminal can do, and what was typed meanwhile; it is written to in UTF-8.

    Raises:
        InputError: it does not take UTF-8.
    """
    with when_told_to_end():
        asked = Asked(probe(), config.images, kept=load_choices().mosaics)
    if problem := why_not_utf8(asked.signs, os.environ):
        raise InputError(f"hero-tui: {problem}")
    write_utf8()
    tell_textual(asked.terminal().colours, os.environ)
    return asked

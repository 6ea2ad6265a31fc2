"""The start of the interface, from the terminal that is asked what it can do to the exit code.

Textual takes its colours from the environment when it is imported: what needs it is imported after
the terminal has been asked.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.run.folder import RunFolder
from hero_engine.run.options import DEFAULT_OPTIONS, EngineOptions
from hero_tui.choices import load_choices
from hero_tui.config import Config, config_file, load_config
from hero_tui.hangup import when_terminal_goes
from hero_tui.output import message
from hero_tui.preview.decision import decide, tell_textual
from hero_tui.preview.probe import probe
from hero_tui.preview.terminal import QUADRANTS, Images, Terminal


def has_terminal() -> bool:
    """Whether there is somebody who sees what is shown, and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def require_terminal(command: str) -> None:
    """Refuses to start `hero-tui COMMAND` where nobody can label.

    Raises:
        InputError: says what can be done instead.
    """
    if not has_terminal():
        instead = "--labels FILE, --oracle or --labeler module:function"
        raise InputError(
            f"hero-tui {command}: there is no terminal to label in; use {instead}"
            + ("" if command == "run" else " with `hero-tui resume`")
        )


def choose_and_label(runs_dir: Path) -> int:
    """Has the person choose a run of `runs_dir`, and shows it; the exit code.

    Raises:
        InputError: see `label`.
    """
    config = _preferences(None)
    terminal, _ = _ask_terminal(config)
    from hero_tui.screens.runs import choose_run

    _check_keys(config)
    folder = choose_run(runs_dir, config)
    return 0 if folder is None else run_interface(folder, config, terminal)


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
        InputError: the preferences are wrong, the run cannot be read or made, or its engine cannot
            be started.
    """
    config = _preferences(images)
    terminal, typed = _ask_terminal(config)
    _check_keys(config)
    return run_interface(run(), config, terminal, typed, options)


def run_interface(
    folder: RunFolder,
    config: Config,
    terminal: Terminal = QUADRANTS,
    typed: bytes = b"",
    options: EngineOptions = DEFAULT_OPTIONS,
) -> int:
    """Shows a run until it is left, with an engine working on it; the exit code.

    `typed` is what was typed while the terminal was asked what it can do.

    0 if the run is finished, or was left to its engine; 3 if it is paused; 4 if the engine failed.

    Raises:
        InputError: the run cannot be read, or its engine cannot be started.
    """
    from hero_engine.run.process import start_engine
    from hero_tui.app import HeroApp
    from hero_tui.client.run_client import RunClient
    from hero_tui.parting import parting_words

    client = RunClient(folder, partial(start_engine, options=options))
    app = HeroApp(client, config, terminal, typed=typed)
    when_terminal_goes(sys.__stdin__.fileno() if sys.__stdin__ else -1, client.close)
    code = app.run()
    failed = client.close()
    for problem in failed:
        message(f"Not kept: {problem}")
    if code is None:
        return app.return_code or 1
    message(parting_words(app.view))
    return InputError.exit_code if failed else code


def _preferences(images: Images | None) -> Config:
    config = load_config(config_file())
    return config.model_copy(update={"images": images}) if images else config


def _check_keys(config: Config) -> None:
    if config.keys:
        from hero_tui.keymap import check_keys

        check_keys(config.keys, config_file())


def _ask_terminal(config: Config) -> tuple[Terminal, bytes]:
    """What the terminal can do, and what was typed meanwhile."""
    signs = probe()
    terminal = decide(signs, os.environ, config.images, load_choices().mosaics)
    tell_textual(terminal.colours, os.environ)
    return terminal, signs.typed

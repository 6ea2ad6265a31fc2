"""What the commands print: nothing is obeyed, whatever a file, a name or an argument says; and
every locale takes it. The commands are read from the command line itself: a new one is among them.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from hero_engine.errors import EngineError
from hero_engine.results.bar import PictureBar
from hero_engine.run import process
from hero_engine.run.folder import RunFolder
from hero_tui import cli, enginecommand
from hero_tui.enginecommand import Relayed, run_engine_command
from hero_tui.streams import plain_streams
from tests.interface_runs import make_sampled_run, submit_round

# ESC, an OSC sequence, CSI as C1, DEL, a bidi override; then what ASCII and Latin-1 do not have.
HOSTILE = "a\x1b[31m\x1b]0;t\x07\x9b31m\x7f\u202e\rb 猫é"
TASK = f"""
name: hostile
prompts: [{json.dumps(HOSTILE)}]
criteria: [{json.dumps(HOSTILE)}]
model: {json.dumps(HOSTILE)}
"""
ENGINE = f"""
import sys
print({HOSTILE!r})
print({HOSTILE!r}, file=sys.stderr)
sys.exit(4)
"""

Call = Callable[..., tuple[int, str, str]]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(its words, the command): every command of the command line, with its parameters."""
    if not hasattr(group, "commands"):
        yield path, group
        return
    for name, command in group.commands.items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(get_command(cli.app)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run in the folder that the commands run in, in which every text is hostile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HERO_TUI_RUNS_DIR", raising=False)
    Path("task.yaml").write_text(TASK, "utf-8")
    Path(HOSTILE).write_text(f"{json.dumps(HOSTILE)}: {json.dumps(HOSTILE)}\n", "utf-8")
    run = make_sampled_run(
        tmp_path / "runs", images=4, prompts=(HOSTILE,), criteria=(HOSTILE,), model=HOSTILE
    )
    run = RunFolder(run.path.rename(run.path.with_name(HOSTILE)))
    with closing(run.open_record()) as record:
        submit_round(record, 0, good=[1, 2], best=2)
        record.set_state("failed", HOSTILE)
    run.log_file.write_text(HOSTILE, "utf-8")

    def fail(*_: object) -> None:
        raise EngineError(process.failure(run, HOSTILE))

    monkeypatch.setattr(process, "start_engine", fail)
    monkeypatch.setattr(process, "start_detached", fail)
    monkeypatch.setattr(
        enginecommand, "command", lambda *_: [sys.executable, "-I", "-S", "-c", ENGINE]
    )
    return run


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs one command under an encoding; its exit code, stdout and stderr."""

    def run(*arguments: str, encoding: str = "utf-8") -> tuple[int, str, str]:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(sys, "argv", ["hero-tui", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = []
        for stream in (out, err):
            stream.flush()
            said.append(stream.buffer.getvalue().decode(encoding))
        return int(ended.value.code or 0), said[0], said[1]

    return run


def invocations(command: Any) -> Iterator[list[str]]:
    """Right and wrong arguments for a command, with hostile text wherever there is text."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    right = ["task.yaml" if each.required else HOSTILE for each in arguments]
    yield []
    yield right
    yield [HOSTILE] * len(arguments)
    yield ["no-such" + HOSTILE] * len(arguments)
    yield [*right, HOSTILE]
    yield [*right, f"--{HOSTILE}"]
    for option in options:
        yield [*right, option.opts[0], *([] if option.is_flag else [HOSTILE])]


def is_harmless(text: str) -> bool:
    return all(char == "\n" or char.isprintable() for char in text)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_what_a_terminal_obeys_or_a_locale_lacks(
    words: tuple[str, ...], encoding: str, run: RunFolder, call: Call
) -> None:
    for arguments in invocations(COMMANDS[words]):
        code, out, err = call(*words, *arguments, encoding=encoding)
        assert code in {0, 2, 3, 4}, (arguments, err)
        assert "Traceback" not in err, (arguments, err)
        assert is_harmless(out + err), (arguments, out, err)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_other_programs_read_stays_valid(encoding: str, run: RunFolder, call: Call) -> None:
    status = json.loads(call("status", "--json", encoding=encoding)[1])
    assert (status["run"], status["model"]) == (HOSTILE, HOSTILE)
    labels = yaml.safe_load(call("labels", encoding=encoding)[1])
    assert labels["rounds"] == [{"good": [1, 2], "best": 2}]
    assert json.loads(call("tasks", "schema", encoding=encoding)[1])["properties"]


def test_text_is_shown_by_its_escapes(run: RunFolder, call: Call) -> None:
    shown = r"a\x1b[31m\x1b]0;t\x07\x9b31m\x7f\u202e\rb 猫é"
    assert shown in call("tasks", "show", "task.yaml")[1]
    assert shown in call("tasks", "check", HOSTILE)[2]
    assert shown in call("runs")[1]
    assert shown in call("status")[1]
    assert shown in call("attach", HOSTILE)[2] or shown in call("stop")[2]
    _, out, err = call("export")
    assert shown in out
    assert shown in err
    assert r"\u732b" in call("runs", encoding="ascii")[1]


def test_a_bug_is_reported_without_being_obeyed(
    run: RunFolder, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr("hero_tui.runlist.read_runs", broken)
    code, _, err = call("runs")
    assert code == 1
    assert r"RuntimeError: a\x1b[31m" in err
    assert is_harmless(err)


def test_a_locale_without_utf_8_takes_what_a_process_prints(run: RunFolder) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "hero_tui", "tasks", "show", "task.yaml"],
        capture_output=True,
        env={**os.environ, **locale, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u732b" in done.stdout


# -- what the engine says --------------------------------------------------------------------


def test_a_bar_of_the_engine_is_drawn_in_its_place_and_nothing_else_is_obeyed() -> None:
    said = "\rdrawing 1\rdrawing\x1b 2\nerror: a\rb\x1b[2J\n\rbar\n"
    assert Relayed(in_place=True)(said) == (
        "\rdrawing 1\rdrawing\\x1b 2\nerror: a\\rb\\x1b[2J\n\rbar\n"
    )
    piecewise = Relayed(in_place=True)
    assert "".join(map(piecewise, said)) == Relayed(in_place=True)(said)
    assert Relayed(in_place=False)(said) == (
        "drawing 1\ndrawing\\x1b 2\nerror: a\\rb\\x1b[2J\nbar\n"
    )


def test_the_bar_of_generate_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HERO_TUI_BAR", "1")
    with PictureBar(4) as bar:
        bar.within(2)(0.5)
        bar.advance(2)
        bar.advance(2)
    drawn = capsys.readouterr().err
    assert "[" + "#" * 24 + "] 4 of 4" in drawn
    assert Relayed(in_place=True)(drawn) == drawn


def test_an_engine_that_is_killed_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    kill = "import os; os.kill(os.getpid(), 9)"
    monkeypatch.setattr(enginecommand, "command", lambda *_: [sys.executable, "-c", kill])
    with plain_streams(), pytest.raises(EngineError, match="export: the engine was killed by sig"):
        run_engine_command("export")

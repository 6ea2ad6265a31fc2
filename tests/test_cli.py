"""The commands, driven as from a shell, with an engine that has no model."""

import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hero_engine.run import folder as folders
from hero_engine.run import process
from hero_engine.run.folder import RunFolder, engine_holder, list_runs
from hero_engine.run.labels import Labels
from hero_engine.run.options import EngineOptions, parse
from hero_tui import cli, enginecommand
from hero_tui.preview.terminal import why_no_screen
from hero_tui.screens.runs import RunsApp
from tests import fake_engine
from tests.forked import Forked

TASK = """
name: test-task
prompts: [a thing]
criteria: [it is a thing]
oracle: black-cat
model: embedded
feedback: {batch_size: 4, rounds: 3}
"""
LABELS = """
task: test-task
rounds:
  - {good: [0, 1], best: 1}
  - {good: [2, 3], best: keep}
  - {good: []}
"""

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands run in, with a task and labels for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HERO_TUI_RUNS_DIR", raising=False)
    Path("task.yaml").write_text(TASK)
    Path("labels.yaml").write_text(LABELS)
    return tmp_path


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Forked]]:
    """The engines that the commands start: fakes; none outlives the test."""
    started: list[Forked] = []

    def start(folder: RunFolder, options: EngineOptions) -> Forked:
        started.append(fake_engine.start(folder))
        return started[-1]

    monkeypatch.setattr(process, "start_engine", start)
    yield started
    for engine in started:
        engine.kill()
        engine.wait()


@pytest.fixture
def hero_tui(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs one command; returns its exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["hero-tui", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def the_run() -> RunFolder:
    (found,) = list_runs(Path("runs"))
    return found


def write_labeler(body: str) -> str:
    """A labeler module in the current folder; its name is new, so that it is imported afresh."""
    name = f"labeler_{abs(hash((body, Path.cwd())))}"
    lines = "\n".join(f"    {line}" for line in body.strip().split("\n"))
    Path(f"{name}.py").write_text(f"def label(paths, task):\n{lines}\n")
    return f"{name}:label"


# -- running without a terminal --------------------------------------------------------------


@pytest.mark.slow
def test_a_label_file_labels_a_run_to_its_end(hero_tui: Cli) -> None:
    code, out, err = hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    assert code == 0
    assert out == ""
    assert "Round 0: 2 of 4 good (50%), best 1" in err
    assert "Round 1: 2 of 4 good (50%), the best stays" in err
    assert "Round 2: 0 of 4 good (0%)" in err
    assert "No good picture." in err
    assert "8 of 10 good, 80% (49 to 94%)" in err
    assert "hero-tui evaluate runs/" in err
    with closing(the_run().open_record()) as record:
        assert [record.labels(n) for n in range(3)] == [
            Labels.of([0, 1], 1),
            Labels.of([2, 3], "keep"),
            Labels.of([], "keep"),
        ]


def test_a_terminal_is_shown_a_bar(hero_tui: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    code, _, err = hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    assert code == 0
    assert "starting the engine" in err
    assert "Round 0: 2 of 4 good" in err


def test_the_labels_of_a_run_replay_it(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "first")
    code, written, _ = hero_tui("labels", "first")
    assert code == 0
    Path("again.yaml").write_text(written)
    assert hero_tui("run", "task.yaml", "--labels", "again.yaml", "--name", "second")[0] == 0
    assert hero_tui("labels", "second")[1] == written
    assert hero_tui("labels", "second", "-o", "out.yaml")[:2] == (0, "")
    assert Path("out.yaml").read_text() == written


def test_labels_replace_nothing_but_the_runs_own(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    written = hero_tui("labels", "done")[1]
    beginning = written[: written.rindex("  - good")]
    for kept in (
        "mine: true\n",
        f"{written}  - good: [1]\n",
        written.replace("good: [", "good: [3, "),
    ):
        Path("mine.yaml").write_text(kept)
        code, _, err = hero_tui("labels", "done", "-o", "mine.yaml")
        assert (code, Path("mine.yaml").read_text()) == (2, kept)
        assert "mine.yaml: there is something in it that is not of this run's labels" in err
    for own in ("", "task: test-task\nrounds: []\n", beginning, written):
        Path("own.yaml").write_text(own)
        assert hero_tui("labels", "done", "-o", "own.yaml")[0] == 0
        assert Path("own.yaml").read_text() == written


def test_too_few_labels_pause_the_run_and_a_longer_file_continues_it(hero_tui: Cli) -> None:
    Path("short.yaml").write_text("task: test-task\nrounds:\n  - {good: [0, 1], best: 1}\n")
    code, out, err = hero_tui("run", "task.yaml", "--labels", "short.yaml")
    assert (code, out) == (3, "")
    assert "labels have run out" in err
    assert f"hero-tui resume runs/{the_run().name}" in err
    assert engine_holder(the_run()) is None
    assert json.loads(hero_tui("status", "--json")[1])["state"] == "paused"

    code, _, err = hero_tui("resume", "--labels", "labels.yaml")
    assert code == 0
    assert "Round 0" not in err
    assert "Round 1" in err


def test_a_file_that_contradicts_submitted_labels_is_refused(hero_tui: Cli) -> None:
    Path("short.yaml").write_text("task: test-task\nrounds:\n  - {good: [3], best: 3}\n")
    hero_tui("run", "task.yaml", "--labels", "short.yaml")
    code, _, err = hero_tui("resume", "--labels", "labels.yaml")
    assert code == 2
    assert "labels.yaml: round 0: the run has other labels" in err


def test_the_oracle_labels_the_embedded_model_only(hero_tui: Cli) -> None:
    assert hero_tui("run", "task.yaml", "--oracle", "--name", "judged")[0] == 0
    code, _, err = hero_tui("run", "task.yaml", "--oracle", "--model", "some/model")
    assert code == 2
    assert "embedded" in err
    assert "some/model" in err
    Path("blind.yaml").write_text(TASK.replace("oracle: black-cat", ""))
    code, _, err = hero_tui("run", "blind.yaml", "--oracle")
    assert code == 2
    assert "names no oracle" in err
    Path("unicorn.yaml").write_text(TASK.replace("oracle: black-cat", "oracle: unicorn"))
    code, _, err = hero_tui("run", "unicorn.yaml", "--oracle")
    assert code == 2
    assert "unicorn" in err
    assert the_run().name == "judged"


def test_a_function_labels(hero_tui: Cli) -> None:
    name = write_labeler("assert task.name == 'test-task'\nreturn {len(paths) - 1}, 3")
    assert hero_tui("run", "task.yaml", "--labeler", name)[0] == 0
    with closing(the_run().open_record()) as record:
        assert record.labels(2) == Labels.of([3], 3)


def test_a_function_that_fails_pauses_the_run_and_says_where(hero_tui: Cli) -> None:
    name = write_labeler("x = 1\nreturn x / 0")
    code, _, err = hero_tui("run", "task.yaml", "--labeler", name)
    assert code == 2
    assert f"{name.split(':')[0]}.py:3: ZeroDivisionError" in err
    assert "hero-tui resume" in err
    assert "Traceback" not in err
    assert engine_holder(the_run()) is None


def test_without_terminal_or_labeler_a_run_is_refused_before_it_is_made(hero_tui: Cli) -> None:
    code, out, err = hero_tui("run", "task.yaml")
    assert (code, out) == (2, "")
    assert "no terminal" in err
    for instead in ("--labels", "--oracle", "--labeler"):
        assert instead in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--labels", "missing.yaml"], "missing.yaml: there is no such file"),
        (["--labels", "labels.yaml", "--oracle"], "expected one of them"),
        (["--labeler", "nonsense"], "expected module:function"),
        (["--labeler", "no_such_module:f"], "cannot import no_such_module"),
        (["--labeler", "os:no_such_function"], "no function no_such_function"),
        (["--labels", "labels.yaml", "--set", "feedback.rounds=2"], "3 rounds, the run has 2"),
        (["--oracle", "--set", "sampling.steps=many"], "sampling.steps"),
        (["--oracle", "--set", "nonsense"], "nonsense"),
        (["--oracle", "--name", "../elsewhere"], "--name"),
        (["--oracle", "--set", "oracle=blak-cat"], "did you mean 'black-cat'"),
        (["--labels", "labels.yaml", "--model", "."], "has no model_index.json"),
    ],
)
def test_wrong_options_make_no_run(arguments: list[str], expected: str, hero_tui: Cli) -> None:
    code, out, err = hero_tui("run", "task.yaml", *arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert not Path("runs").exists() or not list_runs(Path("runs"))


def test_resume_wants_to_know_who_labels(hero_tui: Cli) -> None:
    Path("short.yaml").write_text("task: test-task\nrounds: []\n")
    hero_tui("run", "task.yaml", "--labels", "short.yaml")
    code, _, err = hero_tui("resume")
    assert code == 2
    assert "0 of 3 rounds are labelled" in err


def test_resume_ends_a_fully_labelled_run_with_nobody_to_label(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    assert hero_tui("resume")[0] == 0


def test_resume_of_a_finished_run_says_so_and_starts_nothing(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    monkeypatch.setattr(process, "start_engine", lambda *args: pytest.fail("it is finished"))
    code, _, err = hero_tui("resume", "done", "--labels", "labels.yaml")
    assert code == 0
    assert "done is finished: no more is learned" in err


def test_finish_ends_a_run_early(hero_tui: Cli) -> None:
    Path("short.yaml").write_text("task: test-task\nrounds:\n  - {good: [0, 1], best: 1}\n")
    hero_tui("run", "task.yaml", "--labels", "short.yaml")
    with closing(the_run().open_record()) as record:
        record.send("finish")
    assert hero_tui("resume")[0] == 0
    assert json.loads(hero_tui("status", "--json")[1])["state"] == "finished"


# -- stopping and dying ----------------------------------------------------------------------


def test_ctrl_c_stops_the_engine_and_says_how_to_continue(hero_tui: Cli) -> None:
    code, _, err = hero_tui(
        "run", "task.yaml", "--labeler", write_labeler("raise KeyboardInterrupt")
    )
    assert code == 3
    assert "hero-tui resume" in err
    assert engine_holder(the_run()) is None
    with closing(the_run().open_record()) as record:
        assert record.state() == ("paused", "")


def test_sigterm_is_as_ctrl_c(hero_tui: Cli) -> None:
    before = signal.getsignal(signal.SIGTERM)
    name = write_labeler("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nreturn [], None")
    assert hero_tui("run", "task.yaml", "--labeler", name)[0] == 3
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_ctrl_c_does_not_wait_for_the_engine(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "stop_engine", interrupted)
    code, _, err = hero_tui(
        "run", "task.yaml", "--labeler", write_labeler("raise KeyboardInterrupt")
    )
    assert code == 3
    assert "Not waiting" in err


def test_a_stop_from_elsewhere_pauses(hero_tui: Cli) -> None:
    name = write_labeler(
        "from pathlib import Path\n"
        "from hero_engine.run.record import Record\n"
        "Record.open(paths[0].parents[3] / 'run.sqlite').send('stop')\n"
        "import time\n"
        "from hero_engine.run.folder import RunFolder, engine_holder\n"
        "while engine_holder(RunFolder(paths[0].parents[3])): time.sleep(0.01)\n"
        "return [], None"
    )
    code, _, err = hero_tui("run", "task.yaml", "--labeler", name)
    assert code == 3
    assert "Stopped." in err


def test_a_run_folder_that_is_removed_is_an_error_and_no_traceback(hero_tui: Cli) -> None:
    name = write_labeler("import shutil\nshutil.rmtree(paths[0].parents[3])\nreturn [], None")
    code, _, err = hero_tui("run", "task.yaml", "--labeler", name, "--name", "gone")
    assert code == 2
    assert "runs/gone/run.sqlite" in err


def test_a_killed_engine_is_reported_and_its_run_continues(
    hero_tui: Cli, engines: list[Forked], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def start(folder: RunFolder, options: EngineOptions) -> Forked:
            engines.append(fake_engine.start(folder, "dying"))
            engines[-1].wait()
            return engines[-1]

        patch.setattr(process, "start_engine", start)
        code, _, err = hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    assert code == 4
    assert "killed by signal 9" in err
    assert "the fake engine starts" in err
    assert "engine.log" in err
    assert "hero-tui resume" in err
    status = json.loads(hero_tui("status", "--json")[1])
    assert status["state"] == "paused"

    assert hero_tui("resume", "--labels", "labels.yaml")[0] == 0


@pytest.mark.parametrize("code", [4, 2])
def test_a_failed_engine_gives_its_reason(
    code: int,
    hero_tui: Cli,
    engines: list[Forked],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(folder: RunFolder, options: EngineOptions) -> Forked:
        engines.append(fake_engine.start(folder, f"failing with {code}"))
        return engines[-1]

    monkeypatch.setattr(process, "start_engine", start)
    found, _, err = hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    assert found == code
    assert ("engine.log" in err) == (code == 4)
    assert "the model does not load" in err
    assert json.loads(hero_tui("status", "--json")[1])["state"] == "failed"
    assert "the model does not load" in hero_tui("status")[1]


def test_options_of_the_engine_reach_it(
    hero_tui: Cli, engines: list[Forked], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[EngineOptions] = []

    def start(folder: RunFolder, options: EngineOptions) -> Forked:
        started.append(options)
        engines.append(fake_engine.start(folder))
        return engines[-1]

    monkeypatch.setattr(process, "start_engine", start)
    given = ["--num-processes", "2", "--memory", "16", "--idle-offload", "5", "--compile"]
    hero_tui("run", "task.yaml", "--detach", "--name", "one", *given)
    _, _, err = hero_tui("resume", "one", "--labels", "labels.yaml", "--num-processes", "3")
    assert re.search(r"running already \(process \d+ on .*\), so --num-processes 3 changes", err)
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--num-processes", "4")
    assert started == [EngineOptions("16", 5.0, True, 2), EngineOptions(num_processes=4)]
    assert [parse(options.arguments()) for options in started] == started


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--num-processes", "0"], "--num-processes"),
        (["--memory", "7"], "--memory 7: expected one of 8, 12, 16, 24, 48, auto"),
        (["--idle-offload", "-1"], "--idle-offload"),
    ],
)
def test_impossible_options_of_the_engine_are_refused(
    given: list[str], expected: str, hero_tui: Cli
) -> None:
    code, _, err = hero_tui("run", "task.yaml", "--oracle", *given)
    assert code == 2
    assert expected in err


def test_detached_engines_are_listed_and_stopped(hero_tui: Cli) -> None:
    code, out, err = hero_tui("run", "task.yaml", "--detach", "--name", "away")
    assert (code, out) == (0, "away\n")
    assert "hero-tui attach runs/away" in err
    assert engine_holder(the_run()) is not None
    code, _, err = hero_tui("stop", "away")
    assert code == 0
    assert "Stopped away" in err
    assert engine_holder(the_run()) is None
    code, _, err = hero_tui("stop", "away")
    assert code == 0
    assert "no engine is running" in err


def test_another_commands_engine_is_followed_and_not_stopped(
    hero_tui: Cli, engines: list[Forked]
) -> None:
    Path("short.yaml").write_text("task: test-task\nrounds:\n  - {good: [0, 1], best: 1}\n")
    hero_tui("run", "task.yaml", "--detach", "--name", "away")
    goes_on = f"Its engine (process {engines[0].pid} on "
    for given, code in (
        (["--labels", "short.yaml"], 3),
        (["--labeler", write_labeler("raise KeyboardInterrupt")], 3),
        (["--labeler", write_labeler("raise ValueError")], 2),
    ):
        found, _, err = hero_tui("resume", "away", *given)
        assert found == code
        assert goes_on in err
        assert engine_holder(the_run()) is not None
    assert hero_tui("resume", "away", "--labels", "labels.yaml")[0] == 0
    assert len(engines) == 1


def test_of_two_commands_that_start_an_engine_at_once_one_follows(
    hero_tui: Cli, engines: list[Forked], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(folder: RunFolder, options: EngineOptions) -> "subprocess.Popen[bytes]":
        engines.append(fake_engine.start(folder))
        while engine_holder(folder) is None:
            time.sleep(0.01)
        refused = subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"])
        refused.wait()
        return refused

    monkeypatch.setattr(process, "start_engine", too_late)
    Path("short.yaml").write_text("task: test-task\nrounds: []\n")
    code, _, err = hero_tui("run", "task.yaml", "--labels", "short.yaml")
    assert code == 3
    assert f"running already (process {engines[0].pid} on " in err
    assert engine_holder(the_run()) is not None
    assert hero_tui("resume", "--labels", "labels.yaml")[0] == 0


def test_a_round_that_another_labels_meanwhile_is_theirs(hero_tui: Cli) -> None:
    name = write_labeler(
        "from hero_engine.run.labels import Labels\n"
        "from hero_engine.run.record import Record\n"
        "record = Record.open(paths[0].parents[3] / 'run.sqlite')\n"
        "number = int(paths[0].parents[1].name)\n"
        "record.label(number, Labels.of([2], 2))\n"
        "record.submit(number)\n"
        "return {0}, 0"
    )
    code, _, err = hero_tui("run", "task.yaml", "--labeler", name)
    assert code == 0
    assert "Round 0 was labelled by somebody else meanwhile" in err
    with closing(the_run().open_record()) as record:
        assert record.labels(0) == Labels.of([2], 2)


def test_an_engine_on_another_machine_is_named(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("short.yaml").write_text("task: test-task\nrounds: []\n")
    hero_tui("run", "task.yaml", "--labels", "short.yaml")
    the_run().lock_file.write_text('{"pid": 42, "host": "another-machine"}')
    monkeypatch.setattr(folders, "shared_file_system", lambda path: "nfs4")
    for command in (["resume", "--oracle"], ["resume", "--oracle", "--detach"], ["stop"]):
        code, _, err = hero_tui(*command)
        assert code == 2
        assert "process 42 on another-machine" in err
    assert hero_tui("status")[0] == 0


def test_a_run_of_another_user_is_named_and_the_others_are_listed(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("theirs", "mine"):
        hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", name)
    monkeypatch.setattr(folders, "_is_closed", lambda path: path.name == "theirs" and path.is_dir())
    monkeypatch.setattr(folders, "_user", lambda number: "alice")
    code, out, _ = hero_tui("runs")
    assert code == 0
    assert "it is alice's" in out
    assert re.search(r"mine +test-task .*finished", out)
    for command in ("status", "resume", "labels", "export", "attach", "stop"):
        code, _, err = hero_tui(command, "theirs")
        assert code == 2
        assert "theirs: it is alice's (mode 0700)" in err


def test_a_labeler_in_the_background_ends_the_run(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--detach", "--name", "away")
    code, out, _ = hero_tui("resume", "away", "--labels", "labels.yaml", "--detach")
    assert (code, out) == (0, "away\n")
    deadline = time.monotonic() + 60
    while json.loads(hero_tui("status", "--json")[1])["state"] != "finished":
        assert time.monotonic() < deadline, Path("runs/away/headless.log").read_text()
        time.sleep(0.05)


def test_a_run_that_has_just_gone_into_the_background_can_be_stopped(hero_tui: Cli) -> None:
    given = ["--labels", "labels.yaml", "--detach", "--name", "away"]
    assert hero_tui("run", "task.yaml", *given)[0] == 0
    assert "Stopped away" in hero_tui("stop", "away")[2]
    deadline = time.monotonic() + 60
    while "Continue with" not in (said := Path("runs/away/headless.log").read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    assert engine_holder(the_run()) is None


# -- looking ---------------------------------------------------------------------------------


def test_status_json_has_the_documented_keys_and_figures(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    code, out, err = hero_tui("status", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == [
        "run", "task", "model", "state", "line", "round", "rounds",
        "labels_used", "labels_budget", "history", "final",
    ]  # fmt: skip
    history = found.pop("history")
    approx = partial(pytest.approx, abs=1e-4)
    assert found == {
        "run": "done",
        "task": "test-task",
        "model": "embedded",
        "state": "finished",
        "line": 0,
        "round": 2,
        "rounds": 3,
        "labels_used": 12,
        "labels_budget": 12,
        "final": {
            "pi": {
                "images": 10,
                "success_rate": 0.8,
                "diversity": 0.15,
                "good_diversity": None,
                "low": approx(0.4902),
                "high": approx(0.9433),
                "judge": "oracle",
            },
            "fresh": {
                "images": 10,
                "success_rate": 0.6,
                "diversity": 0.18,
                "good_diversity": None,
                "low": approx(0.3127),
                "high": approx(0.8318),
                "judge": "oracle",
            },
            "base": {
                "images": 10,
                "success_rate": 0.0,
                "diversity": 0.25,
                "good_diversity": None,
                "low": 0.0,
                "high": approx(0.2775),
                "judge": "oracle",
            },
        },
    }
    assert [r["best"] for r in history] == [1, "keep", "keep"]
    times = {"label_s", "wait_s"}
    assert {key: value for key, value in history[0].items() if key not in times} == {
        "round": 0, "images": 4, "good": 2, "bad": 2, "unsure": 0, "best": 1, "success_rate": 0.5,
        "diversity": 0.2, "good_diversity": None, "fresh_good_diversity": None, "noise_norm": 1.0,
        "fresh_images": 0, "fresh_good": 0, "reward_spread": None, "base_drift": None,
        "sample_s": 0.5, "train_s": 0.25, "outcome": "",
    }  # fmt: skip
    assert history[0]["wait_s"] == 0.0
    assert all(r["label_s"] >= 0 and r["wait_s"] >= 0 for r in history)


def test_a_collapse_is_told_with_the_way_back(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    with closing(the_run().open_record()) as record:
        record.set_collapse(2, "Collapse: all is lost.", 0)
    found = json.loads(hero_tui("status", "--json")[1])
    assert found["history"][2]["outcome"] == "Collapse: all is lost. No good picture."
    assert found["collapse"] == {"round": 2, "said": "Collapse: all is lost.", "back_to": 0}
    out = hero_tui("status")[1]
    assert out.count("Collapse: all is lost.") == 1
    assert "hero-tui rollback runs/done --round 0" in out


def test_a_finished_run_goes_back_and_on_with_other_settings(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    changed = "update.learning_rate=0.0005"
    code, out, err = hero_tui("rollback", "done", "--round", "0", "--set", changed)
    assert (code, out) == (0, "")
    assert "runs/done/lines/done-line-0" in err
    assert "hero-tui attach runs/done" in err
    assert the_run().task().update.learning_rate == 5e-4
    assert the_run().task().seed != 0
    assert len(json.loads(hero_tui("status", "--json")[1])["history"]) == 1
    assert hero_tui("labels", "done")[1].count("good:") == 1
    assert hero_tui("labels", "done-line-0")[1].count("good:") == 3
    assert "gone back" in hero_tui("status")[1]
    assert hero_tui("resume", "done", "--labels", "labels.yaml")[0] == 0
    assert the_run().open_record().state()[0] == "finished"


def test_a_running_engine_is_stopped_before_its_run_goes_back(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    stopped: list[RunFolder] = []

    def stop(folder: RunFolder, seconds: float) -> bool:
        assert seconds == process.STOP_SECONDS  # a hung engine is not waited for without an end
        stopped.append(folder)
        return True

    monkeypatch.setattr(process, "stop_engine", stop)
    code, _, err = hero_tui("rollback", "--round", "1", "--seed", "0")
    assert code == 0
    assert stopped == [the_run()]
    assert "The engine was stopped." in err
    assert the_run().task().seed == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--round", "7"], "--round 7: expected a trained round of done, 0 to 2"),
        (["--round", "2"], "no round after it"),
        (["--round", "0", "--set", "update.lora_rank=8"], "cannot change in the middle of a run"),
        (["--round", "0", "--set", "update.k=many"], "update.k"),
        ([], "--round"),
    ],
)
def test_what_cannot_be_gone_back_to_is_refused(
    arguments: list[str], expected: str, hero_tui: Cli
) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    code, _, err = hero_tui("rollback", "done", *arguments)
    assert code == 2
    assert expected in err
    assert the_run().open_record().line() == 0


def test_status_and_runs_for_people_are_not_cut_when_piped(hero_tui: Cli) -> None:
    name = "a-name-of-some-length-" * 8
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", name)
    code, out, _ = hero_tui("runs")
    assert code == 0
    header, row = out.splitlines()
    assert row.split() == [name, "test-task", "embedded", "finished", "3/3", "0%"]
    assert header.index("state") == row.index("finished")
    code, out, _ = hero_tui("status", name[:5])
    assert code == 0
    assert "3 of 3 rounds labelled, 12 of 12 labels used" in out


def test_no_runs_are_said_on_stderr(hero_tui: Cli) -> None:
    code, out, err = hero_tui("runs")
    assert (code, out) == (0, "")
    assert "there are no runs yet" in err


def test_a_damaged_run_does_not_hide_the_others(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "good")
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "damaged")
    Path("runs/damaged/run.sqlite").write_bytes(b"nothing of the kind")
    code, out, _ = hero_tui("runs")
    assert code == 0
    assert "finished" in out
    assert "not a hero-tui record" in out


def test_what_files_say_is_shown_and_not_obeyed(hero_tui: Cli) -> None:
    Path("evil.yaml").write_text(
        TASK.replace("[a thing]", r'["\e[31m[bold]red[/bold]\a ‮reversed"]'), "utf-8"
    )
    code, out, _ = hero_tui("tasks", "show", "evil.yaml")
    assert code == 0
    assert r"\x1b[31m[bold]red[/bold]\x07 \u202ereversed" in out
    assert "\x1b" not in out
    code, _, err = hero_tui("run", "no\x1b[31msuch", "--oracle")
    assert code == 2
    assert r"no\x1b[31msuch" in err


def test_exports_pictures_and_reports_are_the_engines_work(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    asked: list[list[str]] = []

    def failing(*arguments: str) -> list[str]:
        asked.append(list(arguments))
        return [sys.executable, "-I", "-S", "-c", "raise SystemExit(4)"]

    monkeypatch.setattr(enginecommand, "command", failing)
    run = Path("runs/done")
    assert hero_tui("export")[0] == 4
    assert hero_tui("export", "done", "--round", "1")[0] == 4
    assert hero_tui("export", "done", "--round", "1", "-o", "out")[0] == 4
    assert asked == [
        ["export", str(run), str(run.absolute() / "exports")],
        ["export", str(run), str(run.absolute() / "exports" / "round-001"), "1"],
        ["export", str(run), str(Path("out").absolute()), "1"],
    ]
    asked.clear()
    assert hero_tui("report")[0] == 4
    assert hero_tui("report", "done", "-o", "page.html")[0] == 4
    assert hero_tui("compare", "done", "done")[0] == 4
    assert asked == [
        ["report", str(run.absolute() / "exports" / "report.html"), str(run)],
        ["report", str(Path("page.html").absolute()), str(run)],
        ["compare", str(Path("runs/compare.html").absolute()), str(run), str(run)],
    ]
    asked.clear()
    options = ["-n", "3", "--noise", "fresh", "--scheduler", "euler", "--guidance", "2"]
    assert hero_tui("generate", "done", *options, "-o", "out")[0] == 4
    ((command, folder, request, place),) = asked
    assert (command, folder, place) == ("generate", str(run), str(Path("out").absolute()))
    assert {k: v for k, v in json.loads(request).items() if v is not None} == {
        "images": 3, "transfer": False, "noise": "fresh", "scheduler": "euler", "guidance": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["generate", "--noise", "pink"], "hero-tui generate: noise: "),
        (["generate", "-n", "0"], "hero-tui generate: images: "),
        (["generate", "--round", "9"], "--round 9: expected a trained round of done, 0 to 2"),
        (["export", "--round", "9"], "--round 9: expected a trained round of done, 0 to 2"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_at_once(
    arguments: list[str], expected: str, hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "done")
    monkeypatch.setattr(enginecommand, "command", None)
    code, out, err = hero_tui(*arguments)
    assert (code, out) == (2, "")
    assert expected in err


# -- tasks -----------------------------------------------------------------------------------


def test_tasks_are_listed_shown_and_checked(hero_tui: Cli) -> None:
    code, out, _ = hero_tui("tasks", "list")
    assert code == 0
    assert "black-cat  a black cat sitting inside a cardboard box" in out
    code, out, _ = hero_tui("tasks", "show", "hand", "--model", "embedded", "--set", "noise.s=0.2")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "task file hand.yaml" in rows["feedback.batch_size"]
    assert "command line" in rows["noise.s"]
    assert "profile embedded" in rows["update.steps"]
    assert "paper" in rows["noise.best_ratio"]
    Path("wrong.yaml").write_text(TASK + "color: blue\n")
    Path("weighted.yaml").write_text(TASK.replace("a thing", "a (red:1.3) thing", 1))
    given = ("task.yaml", "wrong.yaml", "missing.yaml", "weighted.yaml")
    code, out, err = hero_tui("tasks", "check", *given)
    assert code == 2
    first, second, remark = out.splitlines()
    assert (first, second) == ("task.yaml: ok", "weighted.yaml: ok")
    assert remark.startswith("weighted.yaml: (red:1.3) is read letter by letter")
    assert "wrong.yaml: color: there is no such field" in err
    assert "missing.yaml" in err


def test_the_schema_is_a_json_schema(hero_tui: Cli) -> None:
    code, out, _ = hero_tui("tasks", "schema")
    assert code == 0
    assert set(json.loads(out)["required"]) == {"name", "prompts", "criteria"}


# -- no command ------------------------------------------------------------------------------


def test_without_a_command_or_a_terminal_the_help_is_shown(hero_tui: Cli) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    code, out, err = hero_tui()
    assert (code, out) == (2, "")
    assert re.search("attach +Show a run in the terminal", err)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TERM": ""}, "TERM is not set"),
        ({"TERM": "dumb"}, "TERM=dumb"),
        ({"TERM": "dumb-emacs-ansi"}, "TERM=dumb-emacs-ansi"),
        ({"TERM": "unknown"}, "TERM=unknown"),
        ({"TERM": "dumb", "INSIDE_EMACS": "29.1,comint"}, "Emacs's shell"),
        ({"TERM": "xterm-256color", "INSIDE_EMACS": "30.1,eshell"}, "`unset INSIDE_EMACS`"),
        ({"TERM": "eterm-color", "INSIDE_EMACS": "29.1,term:0.96"}, "Emacs's shell"),
    ],
)
def test_a_terminal_without_a_screen_is_refused_in_a_line(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "one")
    monkeypatch.setattr("hero_tui.start.has_terminal", lambda: True)
    monkeypatch.delenv("INSIDE_EMACS", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for command in (["run", "task.yaml", "--name", "two"], ["attach", "one"], []):
        code, out, err = hero_tui(*command)
        assert (code, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1
    assert not Path("runs/two").exists()


@pytest.mark.parametrize("emacs", ["vterm", "29.1,eat"])
def test_a_terminal_in_emacs_that_has_a_screen_is_one(emacs: str) -> None:
    assert not why_no_screen({"TERM": "xterm-256color", "INSIDE_EMACS": emacs})


def test_in_a_terminal_a_run_is_chosen_and_opened(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hero_tui.start.has_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    asked: list[Path] = []
    opened: list[RunFolder] = []
    answers: list[RunFolder | None] = []

    def choose(app: RunsApp, *_: object) -> RunFolder | None:
        asked.append(app._runs_dir)
        return answers[-1]

    def open_run(folder: RunFolder, *_: object) -> int:
        opened.append(folder)
        return 3

    monkeypatch.setattr("hero_tui.start._show", choose)
    monkeypatch.setattr("hero_tui.start.run_interface", open_run)
    assert hero_tui()[0] == 2  # no runs yet: the help
    assert asked == []
    monkeypatch.setenv("HERO_TUI_RUNS_DIR", "elsewhere")
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "one")
    answers.append(None)
    assert hero_tui()[0] == 0
    assert opened == []
    answers.append(list_runs(Path("elsewhere"))[0])
    assert hero_tui()[0] == 3
    assert opened == answers[1:]
    assert asked == [Path("elsewhere")] * 2


# -- the command line itself -----------------------------------------------------------------


def test_runs_are_private_and_their_place_can_be_chosen(
    hero_tui: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERO_TUI_RUNS_DIR", "elsewhere")
    hero_tui("run", "task.yaml", "--labels", "labels.yaml", "--name", "mine")
    assert stat.S_IMODE(Path("elsewhere/mine").stat().st_mode) == 0o700
    assert hero_tui("status", "mine", "--runs-dir", "nowhere")[0] == 2


@pytest.mark.parametrize(
    "command",
    ["status", "stop", "labels", "resume", "attach", "export", "generate", "report", "compare"],
)
def test_commands_on_a_run_say_when_there_is_none(command: str, hero_tui: Cli) -> None:
    if command != "compare":  # which takes no latest run
        code, out, err = hero_tui(command)
        assert (code, out) == (2, "")
        assert "there are no runs yet" in err
    code, _, err = hero_tui(command, "no-such-run")
    assert code == 2
    assert "no-such-run" in err


@pytest.fixture
def preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A preferences file that the commands read."""
    file = tmp_path / "config.yaml"
    monkeypatch.setenv("HERO_TUI_CONFIG", str(file))
    return file


def test_the_keys_are_listed_with_those_of_the_preferences(
    hero_tui: Cli, preferences: Path
) -> None:
    preferences.write_text("keys:\n  page.next: j,space\n")
    code, out, _ = hero_tui("keys")
    assert code == 0
    (line,) = [
        line for line in out.splitlines() if line.startswith("labeling  ") and "next page" in line
    ]
    assert line.split() == ["labeling", "page.next", "j,space", "next", "page"]


def test_keys_that_cannot_work_are_refused_with_a_list_of_the_usual_ones(
    hero_tui: Cli, preferences: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences.write_text("keys:\n  page.next: u\n")
    code, out, err = hero_tui("keys")
    assert code == 2
    assert f"{preferences}: keys.page.next: u is the key of edit.undo too" in err
    assert "edit.undo" in out
    monkeypatch.setattr("hero_tui.start.require_terminal", lambda command: None)
    code, _, err = hero_tui("run", "task.yaml")
    assert code == 2
    assert "keys.page.next" in err
    assert not Path("runs").exists()
    hero_tui("run", "task.yaml", "--labels", "labels.yaml")
    monkeypatch.setattr("hero_tui.start.has_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    code, _, err = hero_tui()  # before the runs are shown
    assert code == 2
    assert "keys.page.next" in err


def test_the_version_is_said(hero_tui: Cli) -> None:
    code, out, _ = hero_tui("--version")
    assert code == 0
    assert out.startswith("hero-tui 0.")


def test_unknown_commands_and_options_are_wrong_input(hero_tui: Cli) -> None:
    assert hero_tui("frobnicate")[0] == 2
    assert hero_tui("run", "--frobnicate")[0] == 2

"""What a shell completes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hero_tui import cli, completion
from tests.interface_runs import make_run

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Complete:
    """The completions of a line's last word, as bash asks for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HERO_TUI_RUNS_DIR", raising=False)

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv(completion.VARIABLE, "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setattr("sys.argv", ["hero-tui"])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    return ask


def test_commands(complete: Complete) -> None:
    assert complete("hero-tui st") == ["stop", "status"]
    assert complete("hero-tui tasks s") == ["show", "schema"]


def test_experiments(complete: Complete) -> None:
    assert complete("hero-tui bench ta") == ["table-2", "table-3", "table-4", "table-5"]


def test_tasks_by_name_and_by_file(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bird.yaml").touch()
    (tmp_path / "bla.yaml").touch()
    (tmp_path / "black\x1b.yaml").touch()
    assert complete("hero-tui run bla") == ["black-cat", "bla.yaml"]
    assert complete("hero-tui run m") == ["mountain", "mine/"]
    assert complete("hero-tui tasks show mine/") == ["mine/bird.yaml"]
    assert complete("hero-tui run no/such/") == []


def test_runs_of_the_folder_that_is_named(complete: Complete, tmp_path: Path) -> None:
    make_run(tmp_path / "runs")
    make_run(tmp_path / "elsewhere").path.rename(tmp_path / "elsewhere" / "black-dog")
    assert complete("hero-tui attach b") == ["black-cat-1"]
    assert complete("hero-tui stop --runs-dir elsewhere ") == ["black-dog"]
    assert complete("hero-tui compare black-cat-1 b") == ["black-cat-1"]
    assert complete("hero-tui status --runs-dir nowhere ") == []


def test_settings_and_their_values(complete: Complete) -> None:
    assert complete("hero-tui run x --set sampling.s") == ["sampling.steps="]
    assert "reward.name=" in complete("hero-tui tasks show x --set re")
    assert complete("hero-tui run x --set reward.name=b") == ["reward.name=binary"]
    assert complete("hero-tui run x --set sampling.steps=") == []
    assert complete("hero-tui run x --set no.such=") == []
    assert complete("hero-tui run x --model e") == ["embedded"]

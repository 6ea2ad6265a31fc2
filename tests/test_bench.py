"""`hero-tui bench`: cells, tables and figures of made-up runs, and two real cells, reduced."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hero_engine.cartoons import canvas, vision
from hero_engine.cartoons.drawing import draw
from hero_engine.cartoons.judges import tastes
from hero_engine.cartoons.subjects import black_cat, mountain
from hero_engine.errors import EngineError, InputError
from hero_engine.run.labels import KEEP
from hero_engine.run.methods import METHODS
from hero_engine.run.status import status
from hero_tui.bench import command, raters, side_by_side, work
from hero_tui.bench.cell import ORACLE, Cell, Variant, settle
from hero_tui.bench.command import Asked, bench, cells_of, seeds_of
from hero_tui.bench.experiments import EXPERIMENTS, TABLE_2, find_experiment
from hero_tui.bench.figures import figure
from hero_tui.bench.measures import COLUMNS, fell_in, labels_to, mean_of, warned_in
from hero_tui.bench.paper import PAPER
from hero_tui.bench.results import Known, result_of, results, write_notes
from hero_tui.bench.tables import markdown
from hero_tui.bench.work import Outcome, Workshop
from hero_tui.headless.labelers import RoundView, from_function

REDUCED = (
    "feedback.batch_size=8",
    "feedback.rounds=1",
    "evaluation.images=4",
    "sampling.steps=5",
    "embedding.steps=5",
)


def asked(name: str, tmp_path: Path, **more: Any) -> Asked:
    given: dict[str, Any] = {"seeds": ("0",), "jobs": 2, **more}
    return Asked(name, runs_dir=tmp_path / "runs", output=tmp_path / "results", **given)


def history(*rates: float, images: int = 64) -> list[dict[str, Any]]:
    return [
        {
            "round": number,
            "images": images,
            "good": round(rate * images),
            "bad": images - round(rate * images),
            "success_rate": rate,
            "noise_norm": 1.0 + number / 10,
            "diversity": 0.2,
            "good_diversity": 0.15,
            "train_s": 2.0 + number,
        }
        for number, rate in enumerate(rates)
    ]


def made_up(cell: Cell, **more: Any) -> dict[str, Any]:
    """What a finished cell's result says."""
    final = {
        noise: {"images": 200, "success_rate": rate, "diversity": 0.2}
        for noise, rate in (("pi", 0.9), ("fresh", 0.7 + cell.task.seed / 10))
    }
    judges = {"images": 200, **dict.fromkeys(cell.variant.judges, 50)}
    return {
        **result_of(cell, Path("nowhere")),
        "state": "finished",
        "history": history(0.3, 0.5, 0.9),
        "final": final,
        "seconds": 60.0,
        "measured": {"pi": judges, "fresh": judges},
        "machine": "a machine",
        "versions": {"torch": "2.13.0"},
        **more,
    }


def found_of(name: str, seeds: str = "0,1", without: int = 0, **more: Any) -> dict[str, Any]:
    """An experiment's results, of which the last `without` cells are not begun."""
    cells = cells_of(find_experiment(name), Asked(name, seeds=(seeds,), **more))
    told = [made_up(cell) for cell in cells[: len(cells) - without]]
    told += [result_of(cell, Path("nowhere")) for cell in cells[len(told) :]]
    finished = sum(each["state"] == "finished" for each in told)
    return {
        "bench": name,
        "complete": not without,
        "finished": finished,
        "cells_in_all": len(told),
        "command": f"hero-tui bench {name}",
        "jobs": "",
        "cells": told,
    }


# -- cells -----------------------------------------------------------------------------------


def test_every_experiment_settles_to_cells_of_methods_columns_and_rows_that_exist() -> None:
    for name, experiment in EXPERIMENTS.items():
        cells = cells_of(experiment, Asked(name, seeds=("0",)))
        assert {cell.task.method for cell in cells} <= METHODS.keys()
        assert set(experiment.columns) <= COLUMNS.keys()
        rows = {(cell.task.name, row) for cell in cells for row in (cell.row, cell.variant.name)}
        hand = {key for key in PAPER.get(name, {}) if key[0] == "hand"}
        assert set(PAPER.get(name, {})) - hand <= rows, name


def test_a_cell_is_named_by_what_determines_it_and_shared_by_experiments() -> None:
    def names(name: str, **more: Any) -> set[str]:
        given = Asked(name, seeds=("0",), **more)
        return {cell.name for cell in cells_of(find_experiment(name), given)}

    # hero at 512 labels: of Table 2, of Table 4, and with the defaults spelled out in Figure 5.
    assert len(names("table-2") & names("table-4")) == 8  # pretrained and hero, of four tasks
    assert len(names("table-2") & names("figure-5")) == 1
    assert not names("table-3") & names("table-3", overrides=("noise.s=0.2",))
    assert not names("table-3") & names("table-3", labeler="mine:label")


def test_budgets_are_rounds_of_the_tasks_batch_and_a_reduced_form_wins() -> None:
    cells = cells_of(find_experiment("table-2"), Asked("table-2", ("0",), ("black-cat", "hand")))
    heroes = [cell for cell in cells if cell.variant.name == "hero"]
    rounds = [(cell.task.name, cell.task.feedback.rounds) for cell in heroes]
    assert rounds == [
        *(("black-cat", number) for number in (2, 4, 8)),
        *(("hand", number) for number in (1, 2, 4)),
    ]
    reduced = Asked("table-2", ("0",), ("black-cat",), overrides=REDUCED)
    cells = cells_of(EXPERIMENTS["table-2"], reduced)
    budgets = {cell.row: cell.task.labels_budget for cell in cells}
    assert len(budgets) == len(cells), "one row for a method whose budgets have become the same"
    assert budgets["hero at 8 labels"] == 8
    assert budgets["pretrained"] == 0  # of another row it would be


def test_what_another_row_has_too_is_another_rows_first_rounds() -> None:
    cells = {cell.row: cell for cell in cells_of(TABLE_2, Asked("table-2", ("0",), ("black-cat",)))}
    longest = cells["hero at 512 labels"]
    assert cells["hero at 128 labels"].is_beginning_of(longest)
    assert not longest.is_beginning_of(cells["hero at 128 labels"])
    assert not cells["hero+ at 128 labels"].is_beginning_of(longest)
    assert not cells["pretrained"].is_beginning_of(longest)
    assert cells["pretrained"].shares_base_with(longest)
    assert not cells["enhanced"].shares_base_with(longest), "it is asked for another prompt"
    families = side_by_side.in_families(list(cells.values()))
    assert [[cell.task.labels_budget for cell in family] for family in families] == [
        *([0], [0], [256]),
        *([512, 256, 128] for _ in range(3)),
    ]


def test_dreambooth_learns_after_the_last_round_only() -> None:
    few, many = (
        settle(Variant("dreambooth", "dreambooth", labels=n), "black-cat", 0, model="embedded")
        for n in (128, 256)
    )
    assert not few.is_beginning_of(many)


def test_an_untaught_model_is_asked_the_transfer_prompts() -> None:
    cells = cells_of(find_experiment("transfer"), Asked("transfer", ("0",), overrides=REDUCED))
    asks = {(c.task.name, c.variant.name): len(c.task.prompts) for c in cells}
    assert asks["mountain", "pretrained"] == 1
    assert asks["safety", "pretrained"] == 14
    assert asks["safety", "hero"] == 5


def test_seeds() -> None:
    assert seeds_of(()) == [0, 1, 2]
    assert seeds_of(("0,2", "5-7", "2")) == [0, 2, 5, 6, 7]
    for wrong in ("x", "-1", "3-1", "0-99999"):
        with pytest.raises(InputError, match="expected numbers from 0"):
            seeds_of((wrong,))


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("tabel-2", {}, "did you mean table-2\\? expected one of table-2, figure-3"),
        ("table-3", {"tasks": ("black-hat",)}, "black-hat: no such task file"),
        ("raters", {"tasks": ("hand",)}, "expected, of raters, black-cat"),
        ("raters", {"labeler": "mine:label"}, "expected no --labeler"),
        ("label-noise", {"model": "somebody/model"}, "--model embedded or none"),
        ("table-3", {"model": "somebody/model"}, "can only judge the cartoons"),
        ("table-3", {"overrides": ("nosuch=1",)}, "--set nosuch=1"),
        ("table-3", {"overrides": ("seed=5",)}, "--set seed=5: expected --seeds"),
        ("table-3", {"overrides": ("name=x",)}, "--set name=x: a table tells"),
        ("table-3", {"overrides": ("reward.name=binary",)}, "binary and no-embedding are the same"),
        ("table-5", {"overrides": ("update.k=3",)}, "first 1 and first 2 are the same run of hand"),
        ("table-3", {"labeler": "nosuch:judge", "model": "embedded"}, "cannot import nosuch"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    tmp_path: Path, name: str, more: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        bench(asked(name, tmp_path, **more))
    assert not list(tmp_path.iterdir())


def test_a_results_folder_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match="results: no results can be written there"):
        bench(asked("table-3", tmp_path))
    assert not (tmp_path / "runs").exists()


def test_a_place_for_the_runs_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match=r"no runs can be written there.*--runs-dir"):
        bench(asked("table-3", tmp_path))


def test_tasks_of_one_name_do_not_share_rows(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: narcissus\nprompts: [a lily]\ncriteria: [x]\noracle: narcissus\n")
    tasks = ("narcissus", "narcissus", str(mine))
    with pytest.raises(InputError, match="two tasks are called narcissus"):
        cells_of(find_experiment("table-3"), Asked("table-3", ("0",), tasks))
    once = cells_of(find_experiment("table-3"), Asked("table-3", ("0",), tasks[:2]))
    assert len(once) == len(find_experiment("table-3").variants)
    # Nor those of an earlier table.
    told = found_of("table-3")
    (tmp_path / "table-3.json").write_text(json.dumps(told))
    cells = cells_of(find_experiment("table-3"), Asked("table-3", ("5",), (str(mine),)))
    with pytest.raises(InputError, match="with another prompts"):
        Known.of(tmp_path, tmp_path / "table-3.json").check_same_rows(cells, tmp_path)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"cells": {"a": 1}}',
        b'{"cells": [{"row": "hero", "run": "r", "state": "finished"}]}',
        "a folder",
    ],
)
def test_damaged_results_are_not_written_over(tmp_path: Path, damaged: bytes | str) -> None:
    given = asked("table-3", tmp_path)
    file = given.output / "table-3.json"
    given.output.mkdir()
    if isinstance(damaged, str):
        file.mkdir()
    else:
        file.write_bytes(damaged)
    with pytest.raises(InputError, match=r"json: (it is damaged|cannot be read)"):
        bench(given)
    assert file.is_dir() or file.read_bytes() == damaged
    assert not given.runs_dir.exists()


def test_a_dry_run_begins_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(asked("table-3", tmp_path), dry_run=True) == 0
    said = capsys.readouterr()
    assert said.out.count("narcissus-hero-s0-") == 4
    assert "4 cells; 4 runs to do: about 0:" in said.err
    assert not list(tmp_path.iterdir())


def test_runs_that_wait_for_each_other_are_no_faster_by_more_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs of 128 and 256 labels begin as the one of 512 does, and come after it."""
    given = asked("table-2", tmp_path, rows=("noise-only",), tasks=("black-cat",))
    said = []
    for jobs in (1, 16):
        assert bench(replace(given, jobs=jobs), dry_run=True) == 0
        said.append(capsys.readouterr().err)
    assert "3 runs to do" in said[0]
    assert said[0] == said[1]
    assert "1 at a time" in said[1]


# -- tables and figures ----------------------------------------------------------------------


def test_a_table_has_means_over_seeds_beside_the_papers_figures() -> None:
    experiment, found = EXPERIMENTS["table-4"], found_of("table-4")
    table = markdown(experiment, found)
    assert "All 24 cells are finished." in table
    line = next(line for line in table.split("\n") if line.startswith("| narcissus | hero |"))
    assert line == (
        "| narcissus | hero | 512 | 2 | 0.90 ± 0.00 | 0.75 ± 0.07 | 0.90 ± 0.00 | 60.0 ± 0.0 "
        "| 0.912 (Table 4) |"
    )
    # Without a pool there is no success from it, and nobody labelled ddpo's pictures.
    assert "| black-cat | ddpo | 0 | 2 | – | 0.75 ± 0.07 | – |" in table  # noqa: RUF001
    assert "Stable Diffusion 1.5" in table


def test_partial_results_say_how_many_there_are() -> None:
    found = found_of("table-3", seeds="0", without=1)
    table = markdown(EXPERIMENTS["table-3"], found)
    assert "**Partial: 3 of 4 cells are finished.**" in table
    assert "| narcissus | hero | 512 | 0 | – | – | – | – |" in table  # noqa: RUF001
    assert "| narcissus | binary | 512 | 1 | 0.90 | 0.70 |" in table


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_table_and_values_to_draw(name: str) -> None:
    experiment, found = EXPERIMENTS[name], found_of(name)
    assert markdown(experiment, found)
    panels = figure(experiment, found)["panels"]
    assert panels
    assert panels == figure(experiment, json.loads(json.dumps(found)))["panels"]
    nothing = {**found, "cells": [{**each, "state": "missing"} for each in found["cells"]]}
    assert markdown(experiment, nothing)
    assert figure(experiment, nothing)["panels"] == []


def test_the_same_results_are_the_same_drawing(tmp_path: Path) -> None:
    from hero_engine.__main__ import main

    found = found_of("figure-5")
    found["figure"] = figure(EXPERIMENTS["figure-5"], found)
    results_file = tmp_path / "figure-5.json"
    results_file.write_text(json.dumps(found))
    drawn = []
    for name in ("one.svg", "other.svg"):
        assert main(["figure", str(results_file), str(tmp_path / name)]) == 0
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert b"best ratio 1.0" in drawn[0]
    results_file.write_text("{}")
    assert main(["figure", str(results_file), str(tmp_path / "none.svg")]) == 2


def test_labels_to_a_rate() -> None:
    def reached(*rates: float, final: float | None = None, rate: float = 0.75) -> float | None:
        more = {} if final is None else {"final": {"pi": {"success_rate": final}}}
        return labels_to(
            rate, {"history": history(*rates), "labelled": True, "has_pool": True, **more}
        )

    assert reached(0.75, 0.1) == 0  # the base model did
    assert reached(0.5, 0.7, 0.8, 0.9) == 128  # .75 of the second and the third round
    assert reached(0.5, 0.5, 0.5) is None
    assert reached(0.5, 0.7, final=0.8) == 128
    assert reached(0.5, 0.5, final=0.99) is None  # together with the round before: .745
    assert reached() is None


def test_the_round_that_is_warned_of_and_the_one_that_fell() -> None:
    def rounds(
        *rates: float, diversity: Sequence[float], final: float
    ) -> tuple[float | None, float | None]:
        found = {
            "history": [
                {**each, "good_diversity": now}
                for each, now in zip(history(*rates), diversity, strict=True)
            ],
            "labelled": True,
            "has_pool": True,
            "final": {"pi": {"success_rate": final}},
        }
        return warned_in(found), fell_in(found)

    wide, narrow = [1.0, 0.9, 0.8, 0.8], [1.0, 0.8, 0.5, 0.4]
    assert rounds(0.3, 0.94, 0.98, 0.4, diversity=narrow, final=0.1) == (2, 3)
    assert rounds(0.3, 0.94, 0.98, 0.98, diversity=narrow, final=0.5) == (2, 4)
    assert rounds(0.3, 0.94, 0.98, 0.9, diversity=wide, final=0.95) == (None, None)
    # What never succeeded has nothing to lose.
    assert rounds(0.3, 0.8, 0.5, 0.4, diversity=narrow, final=0.1) == (None, None)


def test_means() -> None:
    assert mean_of([]) is None
    assert mean_of([None]) is None
    only = mean_of([0.5, None])
    assert only is not None
    assert (only.mean, only.deviation, only.seeds) == (0.5, None, 1)


# -- raters ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cats(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pictures, of which the even ones are right."""
    folder, rng = tmp_path_factory.mktemp("cats"), np.random.default_rng(3)
    paths = []
    for image in range(12):
        paths.append(folder / f"{image:03d}.png")
        draw("black-cat", rng, right=image % 2 == 0).image.save(paths[-1])
    return paths


def view(paths: Sequence[Path], number: int = 0, best: Path | None = None) -> RoundView:
    task = cells_of(EXPERIMENTS["raters"], Asked("raters", ("0",)))[0].task
    return RoundView(number, paths, task, best)


def test_an_oracle_errs_in_its_share_whatever_came_before(cats: list[Path]) -> None:
    wrong = [
        raters.is_wrong(0.2, seed, r, n) for seed in range(3) for r in range(8) for n in range(64)
    ]
    assert 0.17 < np.mean(wrong) < 0.23
    # Who errs more errs in the same places, and in others.
    assert all(
        raters.is_wrong(0.2, 0, 0, n) or not raters.is_wrong(0.1, 0, 0, n) for n in range(64)
    )
    label = from_function("hero_tui.bench.raters:errs_in_20")
    for number in range(4):
        found = label(view(cats, number))
        assert found is not None
        right = {n for n, path in enumerate(cats) if raters.quality(view(cats).task, path) > 0}
        flipped = {n for n in range(12) if raters.is_wrong(0.2, 0, number, n)}
        assert found.good == right ^ flipped
        assert found == label(view(cats, number))
        assert found.best in found.good


def test_raters_of_different_tastes_share_the_good_pictures(cats: list[Path]) -> None:
    warm, cool = (from_function(f"hero_tui.bench.raters:{name}_room") for name in ("warm", "cool"))
    likes = [label(view(cats)) for label in (warm, cool)]
    assert likes[0] is not None
    assert likes[1] is not None
    right = {n for n, path in enumerate(cats) if raters.quality(view(cats).task, path) > 0}
    assert likes[0].good | likes[1].good == right
    assert not likes[0].good & likes[1].good
    best = likes[0].best
    assert isinstance(best, int)
    kept = warm(view(cats, 1, best=cats[best]))
    assert kept is not None
    assert kept.best == KEEP


@pytest.mark.parametrize("paint", [mountain.paint, mountain.paint_hiker])
def test_green_and_snowy_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, paint: Callable[..., Any]
) -> None:
    snowy: list[bool] = []
    peak = mountain._peak

    def seen(pen: Any, x: float, top: float, half: float, is_snowy: bool) -> None:
        snowy.append(is_snowy)
        peak(pen, x, top, half, is_snowy)

    monkeypatch.setattr(mountain, "_peak", seen)
    rng = np.random.default_rng(5)
    for _ in range(60):
        pixels = vision.read(paint(rng))
        assert tastes.TASTES["snowy"](pixels) == snowy[-1]
        assert tastes.TASTES["green"](pixels) != snowy[-1]


def test_warm_rooms_are_violet_and_pink(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: list[int] = []

    def seen(rng: np.random.Generator, choices: Any) -> Any:
        chosen = canvas.pick(rng, choices)
        if choices is black_cat.ROOMS:
            rooms.append(black_cat.ROOMS.index(chosen))
        return chosen

    monkeypatch.setattr(black_cat, "pick", seen)
    rng = np.random.default_rng(6)
    for _ in range(60):
        pixels = vision.read(black_cat.paint(rng))
        assert tastes.TASTES["warm room"](pixels) == (rooms[-1] in (2, 3))


# -- running cells ---------------------------------------------------------------------------


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Replaces the processes of cells by a function; the commands that were given to it."""

    def use(process: Callable[[str], int]) -> list[list[str]]:
        commands: list[list[str]] = []

        def instead(self: Workshop, command: list[str], folder: Any) -> None:
            commands.append(command)
            code = process(folder.name)
            if code:
                raise work.CellFailed(code, f"resume ended with exit code {code}")
            record = folder.open_record()
            for noise in ("pi", "fresh"):
                record.set_figures(noise, {"images": 8, "good": 4, "diversity": 0.2})
            record.set_state("finished")
            record.close()

        monkeypatch.setattr(Workshop, "_process", instead)
        monkeypatch.setattr("hero_tui.bench.results._computes_on", lambda: "cpu, float32")
        return commands

    return use


@pytest.mark.slow
def test_finished_cells_are_kept_and_interrupted_ones_resumed(
    tmp_path: Path, pretend: Callable[..., list[list[str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    given = asked("table-3", tmp_path, overrides=REDUCED)
    cells = cells_of(EXPERIMENTS["table-3"], given)
    cells[1].made(given.runs_dir)  # interrupted, before its first round
    commands = pretend(lambda _: 0)
    assert bench(given) == 0
    assert sorted(command[5] for command in commands) == sorted(
        str(given.runs_dir / cell.name) for cell in cells
    )
    assert {tuple(command[6:]) for command in commands} == {("--oracle",)}
    said = capfd.readouterr()
    assert "2 at a time, one thread each" in said.err
    assert "The last call finished 4 cells in 0:00:" in said.err
    assert said.out.split() == [
        str(tmp_path / "results" / f"table-3.{suffix}") for suffix in ("json", "md", "svg")
    ]
    found = json.loads((tmp_path / "results" / "table-3.json").read_text())
    assert found["complete"]
    assert [each["final"]["pi"]["success_rate"] for each in found["cells"]] == [0.5] * 4
    assert all(each["attempts"] == 1 and each["seconds"] is not None for each in found["cells"])
    again = pretend(lambda _: 1)
    assert bench(given) == 0
    shutil.rmtree(given.runs_dir)
    assert bench(given) == 0, "what was committed counts without its runs"
    assert again == []
    with pytest.raises(EngineError):
        bench(replace(given, seeds=("1",)))
    more = json.loads((tmp_path / "results" / "table-3.json").read_text())
    assert [each["seed"] for each in more["cells"]] == [1] * 4 + [0] * 4, "other seeds are kept"
    for each in more["cells"]:
        del each["settings"]["noise"]["fresh_share"]  # as an earlier version wrote it
    (tmp_path / "results" / "table-3.json").write_text(json.dumps(more))
    assert bench(given) == 0
    other = replace(given, seeds=("1",), overrides=(*REDUCED, "sampling.steps=6"))
    with pytest.raises(
        InputError, match=r"table-3\.json: .*, binary, with another sampling; .* -o"
    ):
        bench(other)
    assert json.loads((tmp_path / "results" / "table-3.json").read_text())["finished"] == 4


@pytest.mark.slow
def test_some_rows_are_run_now_and_the_others_later(
    tmp_path: Path, pretend: Callable[..., list[list[str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    given = asked("table-3", tmp_path, overrides=REDUCED)
    commands = pretend(lambda _: 0)
    assert bench(replace(given, rows=("hero, binary",))) == 0
    assert len(commands) == 2
    assert "2 of 4 cells are finished; those of the other rows are left." in capfd.readouterr().err
    found = json.loads((tmp_path / "results" / "table-3.json").read_text())
    assert "--rows" not in found["command"], "the others come to the same table"
    assert [e["row"] for e in found["cells"] if e["state"] == "finished"] == ["binary", "hero"]
    assert bench(given) == 0
    assert len(commands) == 4
    with pytest.raises(InputError, match="--rows hera: expected rows of table-3: binary, no-emb"):
        bench(replace(given, rows=("hera",)))
    of_noise = asked("label-noise", tmp_path, rows=("hero, 5 % wrong",))
    chosen = command._in_rows(cells_of(EXPERIMENTS["label-noise"], of_noise), of_noise)
    assert {cell.row for cell in chosen} == {"hero, 5 % wrong"}, "a name with a comma is one"


@pytest.mark.slow
def test_a_failed_cell_is_named_and_the_others_go_on(
    tmp_path: Path, pretend: Callable[..., list[list[str]]]
) -> None:
    given = asked("table-3", tmp_path, overrides=REDUCED)
    failing = cells_of(EXPERIMENTS["table-3"], given)[0]
    pretend(lambda run: 4 if run == failing.name else 0)
    with pytest.raises(EngineError, match="1 of 4 cells failed") as failed:
        bench(given)
    assert "narcissus, binary, seed 0: resume ended with exit code 4" in str(failed.value)
    assert "`hero-tui bench table-3" in str(failed.value)
    found = json.loads((tmp_path / "results" / "table-3.json").read_text())
    assert found["finished"] == 3
    assert not found["complete"]


def test_a_bug_in_a_cell_does_not_end_the_bench(
    tmp_path: Path, pretend: Callable[..., list[list[str]]]
) -> None:
    def broken(_: str) -> int:
        raise ZeroDivisionError("a bug")

    pretend(broken)
    with pytest.raises(EngineError, match=r"4 of 4 cells failed(.|\n)*a bug(.|\n)*bench\.log"):
        bench(asked("table-3", tmp_path, overrides=REDUCED))


def test_ctrl_c_stops_the_running_cells_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def waits(cell: Cell, folder: Any) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)", "", "resume"]

    monkeypatch.setattr(work, "run_command", waits)
    shown = 0

    def interrupted(self: side_by_side.Board) -> None:
        nonlocal shown
        shown += 1
        if shown == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    monkeypatch.setattr(side_by_side.Board, "show", interrupted)
    monkeypatch.setattr(side_by_side, "LOOK_SECONDS", 0.3)
    began = time.monotonic()
    assert bench(asked("table-3", tmp_path, overrides=REDUCED)) == 3
    assert time.monotonic() - began < 30
    said = capfd.readouterr().err
    assert "0 of 4 cells are finished; `hero-tui bench table-3 --seeds 0" in said
    assert len(list((tmp_path / "runs").iterdir())) == 2  # the others were not begun


def test_what_is_judged_besides_is_part_of_being_finished(tmp_path: Path) -> None:
    given = asked("raters", tmp_path, overrides=REDUCED)
    cell = cells_of(EXPERIMENTS["raters"], given)[0]
    folder = cell.made(given.runs_dir)
    record = folder.open_record()
    record.set_state("finished")
    record.close()
    assert result_of(cell, given.runs_dir)["state"] == "not judged"
    judges = {"images": 8, "warm room": 1, "cool room": 2}
    write_notes(folder, {"measured": {"pi": judges, "fresh": judges}})
    assert Known(given.runs_dir, {}).is_done(cell)


def test_the_command_is_one_that_can_be_typed_again() -> None:
    given = Asked("table-3", ("0,1",), ("hand",), labeler="mine:label", overrides=("noise.s=0.1",))
    assert given.command == (
        "hero-tui bench table-3 --seeds 0,1 --tasks hand --set noise.s=0.1 --labeler mine:label"
    )


def test_another_model_is_labelled_by_a_function_one_run_at_a_time() -> None:
    given = Asked("table-3", ("0",), model="somebody/model", labeler="mine:label")
    cells = cells_of(EXPERIMENTS["table-3"], given)
    assert {cell.labeler for cell in cells} == {"mine:label"}
    assert command._jobs(given) == 1
    assert ORACLE not in {cell.labeler for cell in cells}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_real_cells_side_by_side(tmp_path: Path) -> None:
    """The base model's pictures of the transfer prompts, and those of one that was taught."""
    given = asked("transfer", tmp_path)
    runs, output = str(given.runs_dir), str(given.output)
    settings = [word for text in REDUCED for word in ("--set", text)]
    done = subprocess.run(
        [sys.executable, "-m", "hero_tui", "bench", "transfer", "--tasks", "safety", *settings,
         "--seeds", "0", "--jobs", "2", "--runs-dir", runs, "-o", output],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((given.output / "transfer.json").read_text())
    assert [each["row"] for each in found["cells"]] == ["pretrained", "hero"]
    for each in found["cells"]:
        assert each["measured"]["fresh"]["images"] == each["final"]["fresh"]["images"] == 4
    assert (given.output / "transfer.svg").read_text().startswith("<?xml")
    assert "| safety | hero | 8 | 1 |" in (given.output / "transfer.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_smaller_budget_is_taken_from_the_larger_ones_run(tmp_path: Path) -> None:
    given = asked("table-2", tmp_path, overrides=[s for s in REDUCED if "rounds" not in s])
    rows = [
        Variant("pretrained", "pretrained", fixed=("feedback.rounds=0",)),
        *(Variant("noise-only", "noise-only", labels=labels) for labels in (8, 16)),
    ]
    cells = [
        settle(row, "black-cat", 0, model="embedded", overrides=given.overrides) for row in rows
    ]
    workshop = Workshop(given.runs_dir, cells, threads=1)
    outcomes = [workshop.work(cells[each]) for each in (0, 2, 1)]
    assert [outcome.state for outcome in outcomes] == ["finished"] * 3, outcomes
    base, first, whole = (cell.folder(given.runs_dir) for cell in cells)
    assert [len(status(folder)["history"]) for folder in (base, first, whole)] == [0, 1, 2]
    assert result_of(cells[1], given.runs_dir)["begins"] == whole.name
    assert result_of(cells[1], given.runs_dir)["seconds"] is None
    assert result_of(cells[2], given.runs_dir)["seconds"] > 0
    drawn = [folder.final_image("base", 3).stat() for folder in (base, first, whole)]
    drawn.append(base.final_image("fresh", 3).stat())  # its model has learned nothing
    assert len({file.st_ino for file in drawn}) == 1, "drawn once"
    own = [folder.final_image("pi", 3).stat() for folder in (first, whole)]
    assert own[0].st_ino != own[1].st_ino


def test_outcomes_and_results_agree_on_what_is_finished(tmp_path: Path) -> None:
    given = asked("table-3", tmp_path, overrides=REDUCED)
    cells = cells_of(EXPERIMENTS["table-3"], given)
    found = results(
        EXPERIMENTS["table-3"], cells, Known(given.runs_dir, {}), {"command": given.command}
    )
    assert found["finished"] == 0
    assert {each["state"] for each in found["cells"]} == {"missing"}
    assert Outcome(cells[0], "stopped").said == ""

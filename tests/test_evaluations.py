"""Evaluations in a record, their blind order, and what comes of them; without a model."""

import json
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from hero_engine.errors import InputError
from hero_engine.results.modelcard import _success
from hero_engine.results.report.facts import read_run
from hero_engine.run import answers, verdict
from hero_engine.run.blind import order, taught_is_left
from hero_engine.run.diversity import diversity
from hero_engine.run.folder import RunFolder
from hero_engine.run.intervals import Rate
from hero_engine.run.pictures import read_picture
from hero_engine.run.record import Noise, Record
from hero_engine.run.record.evaluations import PERSON, Picture, Verdict
from hero_engine.run.sources import SOURCES, Evaluated, evaluated
from hero_engine.run.status import status
from hero_engine.run.verdict import Tally, by_prompt, by_source, compared, pairs_in_words, score_of
from hero_tui import cli, evaluate, statusview
from hero_tui.evaluate import Asked
from hero_tui.headless.drive import summary
from hero_tui.headless.judging import function_judge, record_verdicts
from hero_tui.verdictview import rows_and_words
from tests.interface_runs import make_finished_run

HIKERS = ("hiker on a hill", "hiker in a valley")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_finished_run(tmp_path, images=4)


@pytest.fixture
def what(run: RunFolder) -> Evaluated:
    return evaluated(run, None, None)


@pytest.fixture
def record(run: RunFolder) -> Record:
    return run.open_record()


# -- the record --------------------------------------------------------------------------------


def test_the_last_word_on_a_picture_counts_and_steps_are_taken_back(record: Record) -> None:
    of = record.evaluations
    number = of.begin(0, "pictures", PERSON, 4).number
    of.say(number, {("pi", 0): "good"})
    of.say(number, {("pi", 0): "unsure", ("base", 1): "good"})
    assert of.verdicts(number) == {("pi", 0): "unsure", ("base", 1): "good"}
    of.step(number, "undo")
    assert of.verdicts(number) == {("pi", 0): "good"}
    of.step(number, "redo")
    assert of.verdicts(number) == {("pi", 0): "unsure", ("base", 1): "good"}
    of.step(number, "undo")
    of.say(number, {("base", 2): "good"})
    of.step(number, "redo")
    assert of.verdicts(number) == {("pi", 0): "good", ("base", 2): "good"}, "nothing to redo"


def test_what_was_only_looked_at_is_bad_and_stays_when_a_key_is_taken_back(record: Record) -> None:
    of = record.evaluations
    number = of.begin(0, "pictures", PERSON, 4).number
    of.say(number, {("pi", 0): "good"})
    of.look(number, [("pi", 0), ("base", 0)])
    assert of.verdicts(number) == {("pi", 0): "good", ("base", 0): "bad"}
    of.step(number, "undo")
    assert of.verdicts(number) == {("base", 0): "bad"}
    of.step(number, "undo")
    assert of.verdicts(number) == {("base", 0): "bad"}


def test_a_step_in_place_of_the_last_is_one_step(record: Record) -> None:
    of = record.evaluations
    number = of.begin(0, "pictures", PERSON, 4).number
    of.say(number, {("pi", 0): "good"})
    of.say(number, {("pi", 1): "good"})
    of.say(number, {("pi", 1): "good", ("pi", 2): "good"}, in_place_of_last=True)
    of.step(number, "undo")
    assert of.verdicts(number) == {("pi", 0): "good"}


def test_who_goes_on_has_the_same_evaluation_and_after_its_end_another(record: Record) -> None:
    of = record.evaluations
    first = of.begin(0, "pictures", PERSON, 4)
    assert of.begin(0, "pictures", PERSON, 4) == first
    assert of.begin(0, "pairs", PERSON, 4) != first
    of.close(first.number)
    for write in (of.close, lambda n: of.say(n, {}), lambda n: of.step(n, "undo")):
        with pytest.raises(InputError, match="closed"):
            write(first.number)
    assert of.begin(0, "pictures", PERSON, 4).number != first.number


def test_a_run_that_goes_back_has_no_evaluation_any_more(record: Record) -> None:
    begun = record.evaluations.begin(0, "pictures", PERSON, 4)
    record.evaluations.say(begun.number, {("pi", 0): "good"})
    record.set_verdict(PERSON, {"pi": {"images": 4, "good": 1, "diversity": 0.1}})
    assert record.roll_back(0, "", if_unchanged=record.changes())
    assert record.evaluations.find(begun.number) is None
    assert record.evaluations.verdicts(begun.number) == {}
    assert record.evaluations.measured(0, 4) == {}
    assert (record.figures(), record.judge()) == ({}, "oracle")


def test_nothing_is_closed_that_is_not_judged(record: Record, what: Evaluated) -> None:
    begun = record.evaluations.begin(0, "pictures", PERSON, 4)
    record.evaluations.say(begun.number, dict.fromkeys(order(what, "pictures")[1:], "good"))
    with pytest.raises(InputError, match="1 pictures or pairs are not judged yet"):
        verdict.close(record, what, begun)
    assert record.figures() == {}


# -- the order -----------------------------------------------------------------------------------


def test_the_order_has_every_picture_once_is_mixed_and_stays(tmp_path: Path) -> None:
    what = evaluated(make_finished_run(tmp_path, images=20), None, None)
    shown = order(what, "pictures")
    assert sorted(shown) == sorted((s, n) for s in ("base", "fresh", "pi") for n in range(20))
    assert shown == order(what, "pictures")
    for half in (shown[:30], shown[30:]):
        assert all(3 <= [s for s, _ in half].count(source) <= 17 for source in ("base", "pi"))
    sides = taught_is_left(what, "pairs")
    assert sorted(sides) == [("fresh", n) for n in range(20)]
    assert list(sides.values()).count(True) == 10
    assert list(sides.values()) != [True, False] * 10


def test_fewer_pictures_are_spread_over_all(run: RunFolder) -> None:
    assert evaluated(run, None, 2).numbers("pi") == [0, 2]
    with pytest.raises(InputError, match="--images 5: expected 1 to 4"):
        evaluated(run, None, 5)


def test_pictures_of_a_transfer_prompt_come_together(tmp_path: Path) -> None:
    what = evaluated(make_finished_run(tmp_path, transfer_prompts=HIKERS), None, None)
    shown = [what.prompt(*each) for each in order(what, "transfer")]
    assert shown == [HIKERS[0]] * 4 + [HIKERS[1]] * 4


# -- what comes of it ------------------------------------------------------------------------------


def test_the_rates_leave_unsure_ones_out() -> None:
    found = by_source(
        {("pi", 0): "good", ("pi", 1): "unsure", ("pi", 2): "bad", ("base", 0): "bad"}
    )
    assert found == {"pi": Tally(Rate(1, 2), 1), "base": Tally(Rate(0, 1), 0)}


def test_models_differ_if_their_intervals_have_nothing_in_common() -> None:
    assert "not shown" in compared(Rate(12, 20), Rate(8, 20), "than x")
    assert compared(Rate(60, 64), Rate(20, 64), "than x").startswith("better than x")
    assert compared(Rate(20, 64), Rate(60, 64), "than x").startswith("worse than x")


def test_pairs_are_won_by_a_share_with_its_interval_and_ties_are_named() -> None:
    said = pairs_in_words(Tally(Rate(40, 50), 14))
    assert "won 40 of 50 pairs, 80% (67 to 89%): the taught model's pictures are better" in said
    assert "In 14 pairs neither was better." in said
    assert "not shown" in pairs_in_words(Tally(Rate(26, 50), 0))
    assert "base model's pictures are better" in pairs_in_words(Tally(Rate(10, 50), 0))
    assert "No pair was won" in pairs_in_words(Tally(Rate(0, 0), 3))


def test_a_score_has_a_mean_and_a_standard_error() -> None:
    score = score_of({0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0})
    assert score is not None
    assert (score.images, score.mean) == (4, 2.5)
    assert score.error == pytest.approx(0.6455, abs=1e-4)


def test_what_a_judge_found_of_the_final_model_is_the_runs_verdict(
    run: RunFolder, record: Record, what: Evaluated
) -> None:
    found: dict[Noise, int] = {"pi": 4, "fresh": 3}
    for noise, good in found.items():
        record.set_figures(noise, {"images": 4, "good": good, "diversity": 0.1})
    assert status(run)["final"]["pi"]["judge"] == "oracle"
    begun = record.evaluations.begin(0, "pictures", PERSON, 4)
    record.evaluations.say(
        begun.number,
        {each: "unsure" if each == ("pi", 3) else "good" if each[0] == "pi" else "bad"
         for each in order(what, "pictures")},
    )  # fmt: skip
    verdict.close(record, what, begun)
    final = status(run)["final"]
    pictures = np.stack([read_picture(what.path("pi", image)) for image in range(3)])
    assert final["pi"] == {
        "images": 3, "success_rate": 1.0, "diversity": 0.25,
        "good_diversity": pytest.approx(diversity(pictures)),
        "low": pytest.approx(0.4385, abs=1e-4), "high": 1.0, "judge": "person",
    }  # fmt: skip
    assert final["base"]["success_rate"] == 0.0
    assert final["base"]["good_diversity"] is None
    json.dumps(final)


def test_a_judge_who_looks_at_fewer_pictures_does_not_change_the_verdict(
    run: RunFolder, record: Record
) -> None:
    def judge(name: str, images: int | None, said: Verdict) -> None:
        what = evaluated(run, None, images)
        for source in SOURCES:
            record.evaluations.add_measured(0, source, what.count, "diversity", 0.2)
        begun = record.evaluations.begin(0, "pictures", name, what.count)
        record.evaluations.say(begun.number, dict.fromkeys(order(what, "pictures"), said))
        verdict.close(record, what, begun)

    for said, counted in ("bad", "0 of 4"), ("unsure", "0 of 0, 4 unsure"):
        judge("oracle", None, cast(Verdict, said))
        judge("oracle", 2, "good")
        final = status(run)["final"]
        assert final["pi"]["images"] == (4 if said == "bad" else 0)
        rows, words = rows_and_words(evaluated(run, None, 2))
        assert [row[2] for row in rows] == [*["2 of 2"] * 3, *[counted] * 3]
        stays = "oracle: The run's verdict stays that of 4 pictures of each, not of 2."
        assert words.count(stays) == 1
    judge(PERSON, 2, "good")
    assert record.judge() == PERSON, "another judge's, of fewer or not"


def test_an_earlier_rounds_or_pairs_verdict_is_not_the_runs(
    record: Record, what: Evaluated
) -> None:
    begun = record.evaluations.begin(0, "pairs", PERSON, 4)
    record.evaluations.say(begun.number, dict.fromkeys(order(what, "pairs"), "won"))
    verdict.close(record, what, begun)
    assert record.figures() == {}


def test_transfer_prompts_are_told_one_by_one(tmp_path: Path) -> None:
    what = evaluated(make_finished_run(tmp_path, transfer_prompts=HIKERS), None, None)
    said: dict[Picture, Verdict] = {
        each: "good" if what.prompt(*each) == HIKERS[0] else "bad"
        for each in order(what, "transfer")
    }
    assert by_prompt(what, "transfer-fresh", said) == {
        HIKERS[0]: Tally(Rate(2, 2), 0),
        HIKERS[1]: Tally(Rate(0, 2), 0),
    }


# -- label files -----------------------------------------------------------------------------------

FILE = """
task: black-cat
evaluation:
  round: 0
  images: 4
"""


def answer(run: RunFolder, tmp_path: Path, more: str, file: str = FILE) -> object:
    path = tmp_path / "answers.yaml"
    path.write_text(file + more, "utf-8")
    return answers.load(path, run)[2]


def test_a_label_file_answers_by_places(run: RunFolder, what: Evaluated, tmp_path: Path) -> None:
    shown = order(what, "pictures")
    said = answer(run, tmp_path, "  good: [0, 3]\n  unsure: [1]\n")
    assert said == {
        each: {0: "good", 3: "good", 1: "unsure"}.get(n, "bad") for n, each in enumerate(shown)
    }


def test_a_label_file_answers_pairs_by_side(
    run: RunFolder, what: Evaluated, tmp_path: Path
) -> None:
    said = answer(run, tmp_path, "  of: pairs\n  left: [0]\n  right: [1]\n")
    sides = taught_is_left(what, "pairs")
    first, second, *others = order(what, "pairs")
    assert said == {
        first: "won" if sides[first] else "lost",
        second: "lost" if sides[second] else "won",
        **dict.fromkeys(others, "tied"),
    }


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("  good: [12]\n", "evaluation.good: there is no number 12, expected 0 to 11"),
        ("  good: [1]\n  unsure: [1]\n", "evaluation.unsure: 1 is given twice, in good"),
        ("  left: [1]\n", "evaluation.left: expected good and unsure"),
        ("  of: pairs\n  good: [1]\n", "evaluation.good: expected left and right"),
        ("  of: transfer\n", "evaluation.of: the task black-cat has no transfer_prompts"),
        ("  better: [1]\n", "evaluation.better"),
        ("  good: [yes]\n", "evaluation.good"),
    ],
)
def test_what_is_wrong_with_a_label_file_is_said(
    run: RunFolder, tmp_path: Path, more: str, reason: str
) -> None:
    with pytest.raises(InputError, match=r"answers\.yaml: .*") as raised:
        answer(run, tmp_path, more)
    assert reason in str(raised.value)


def test_a_label_file_of_another_round_or_task_is_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluation: --round 3: expected a trained round"):
        answer(run, tmp_path, "", FILE.replace("round: 0", "round: 3"))
    with pytest.raises(InputError, match="task: these answers are for 'hand'"):
        answer(run, tmp_path, "", FILE.replace("black-cat", "hand"))


# -- the command -----------------------------------------------------------------------------------


def test_the_command_judges_and_prints_a_table_with_intervals(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(FILE + "  good: []\n", "utf-8")
    assert evaluate.evaluate([run], Asked(labels=path), terminal=False) == 0
    out = capsys.readouterr().out
    assert "labels answers.yaml" in out
    assert "base, fresh noise" in out
    assert "0 of 4" in out
    assert "0% (0 to 49%)" in out
    assert "0.250 pixels" in out
    assert "not shown to be better or worse than the base model" in out


@pytest.mark.parametrize("pool", ["variance-preserving", "none"])
def test_a_run_without_a_pool_has_no_figure_of_one(
    pool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_finished_run(tmp_path, noise={"pool": pool})
    path = tmp_path / "answers.yaml"
    path.write_text(FILE + "  good: []\n", "utf-8")
    assert evaluate.evaluate([run], Asked(labels=path), terminal=False) == 0
    out = capsys.readouterr().out
    assert ("taught, other fresh noise" in out) == (pool == "none")
    assert ("noise pool" in out) == (pool != "none")
    with closing(run.open_record()) as record:
        said = summary(run, record)
    statusview.show(status(run), run.task(), "", "RUN")
    card = _success(run.open_record(), run.task(), 0)
    page = read_run(run)
    for words in (said, capsys.readouterr().out, page.noise_name("pi")):
        assert ("other fresh noise" in words) == (pool == "none")
    assert ("other draws" in card) == (pool == "none")
    assert ("the noise pool" in card) == (pool != "none")


def test_a_function_judges_the_transfer_prompts_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_finished_run(tmp_path, transfer_prompts=HIKERS)
    (tmp_path / "myjudge.py").write_text(
        "def judge(paths, task):\n"
        "    return (range(len(paths)), None) if 'valley' in task.prompts[0] else ([], None)\n",
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    what = evaluated(run, None, None)
    record_verdicts(function_judge("myjudge:judge", what.task), what)
    with closing(run.open_record()) as record:
        kinds = {each.kind: each.number for each in record.evaluations.all()}
        said = record.evaluations.verdicts(kinds["transfer"])
    assert {what.prompt(*each) for each, of in said.items() if of == "good"} == {HIKERS[1]}
    assert evaluate.evaluate([run], Asked(labeler="myjudge:judge"), terminal=False) == 0
    assert "0/2 -> 0/2" in capsys.readouterr().out


def test_without_a_terminal_a_numbered_sheet_can_be_answered(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.evaluate([run], Asked(), terminal=False) == 0
    said = capsys.readouterr().err
    assert (run.path / "evaluations" / "final" / "pictures-4.png").is_file()
    assert "--labels FILE" in said
    assert f"`hero-tui evaluate {run.reference}`" in said


def test_a_command_to_judge_is_about_the_pictures_that_were_asked_for(
    run: RunFolder, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in SOURCES:
        record.evaluations.add_measured(0, source, 2, "diversity", 0.25)
    fewer = Asked(round=0, images=2)
    assert evaluate.evaluate([run], fewer, terminal=False) == 0
    command = f"hero-tui evaluate {run.reference} --round 0 -n 2"
    assert f"`{command}`" in capsys.readouterr().err
    fewer_of = evaluated(run, 0, 2)
    mine = record.evaluations.begin(0, "pictures", PERSON, 2)
    record.evaluations.say(mine.number, dict.fromkeys(order(fewer_of, "pictures"), "good"))
    verdict.close(record, fewer_of, mine)
    assert evaluate.evaluate([run], fewer, terminal=False) == 0
    assert f"`{command} --again`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scorer", "taste"], "--scorer taste: expected pickscore, clip, blip-itm or all"),
        (["--oracle", "--labeler", "a:b"], "expected one of them"),
        (["--pairs", "--oracle"], "they are for a person"),
        (["--round", "4"], "--round 4: expected a trained round"),
        (["--transfer"], "--transfer: the task black-cat has no transfer_prompts"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    run: RunFolder,
    arguments: list[str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["hero-tui", "evaluate", str(run.path), *arguments])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == 2
    assert reason in capsys.readouterr().err

"""Going back to an earlier round: the run goes on from there, and what is left stays."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hero_engine import __main__ as engine
from hero_engine.engine import loop
from hero_engine.errors import InputError
from hero_engine.run import rollback
from hero_engine.run.folder import RunFolder, engine_lock, find_run, write_complete
from hero_engine.run.labelfile import submitted_labels
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.options import DEFAULT_OPTIONS
from hero_engine.run.record import Record
from hero_engine.run.resolve import with_changes
from hero_engine.run.status import status
from hero_engine.run.task import Task
from tests.engine_runs import final_hashes, new_run, run_here

FIRST = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2), Labels.of([4], KEEP)]
AGAIN = [FIRST[0], Labels.of([5, 7], 5), Labels.of([0, 1], KEEP)]


Finished = Callable[..., RunFolder]


@pytest.fixture
def finished(
    tmp_path: Path, finished_run: Callable[[Task, Sequence[Labels]], RunFolder]
) -> Finished:
    """A finished run to change: a task, its labels, and the run's name."""

    def finished(task: Task, script: Sequence[Labels] = FIRST, name: str = "run") -> RunFolder:
        return RunFolder(shutil.copytree(finished_run(task, script).path, tmp_path / name))

    return finished


@pytest.fixture
def labelled(tmp_path: Path, tiny_task: Callable[..., Task]) -> RunFolder:
    """A finished run of two rounds as no engine has made it: with a file in each of its folders."""
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 2}))
    with closing(folder.open_record()) as record:
        for number in range(2):
            record.begin_round(number, 8)
            record.add_images(number, range(8))
            record.finish_sampling(number, {})
            record.label(number, FIRST[number])
            record.submit(number)
            record.finish_training(number, {})
            write_complete(folder.image(number, 0), lambda path: path.write_text("picture"))
            for tensors in ("lora", "noise_pool"):
                file = folder.checkpoint(number) / f"{tensors}.safetensors"
                write_complete(file, lambda path: path.write_text("tensors"))
        for exported in (folder.final_image("pi", 0), folder.exports / "lora.safetensors"):
            write_complete(exported, lambda path: path.write_text("of the end"))
        record.set_state("finished")
    return folder


def of_the_current_line(folder: RunFolder) -> dict[str, str]:
    return {at: h for at, h in final_hashes(folder).items() if not at.startswith("lines/")}


def test_it_goes_on_from_the_round_and_what_is_left_is_a_run_of_its_own(
    tiny_task: Callable[..., Task], tmp_path: Path, finished: Finished
) -> None:
    folder = finished(tiny_task())
    before = final_hashes(folder)

    left = rollback.roll_back(folder, 0)
    found = status(folder)
    assert found["state"] == "paused"
    assert [r["round"] for r in found["history"]] == [0]
    assert (found["labels_used"], found["labels_budget"]) == (8, 24)
    assert found["line"] == 1
    assert [path.name for path in sorted((folder.path / "rounds").iterdir())] == ["000"]
    assert [path.name for path in sorted((folder.path / "checkpoints").iterdir())] == ["000"]
    assert not folder.exports.exists()

    assert find_run(left.name, tmp_path).path == left.path
    assert status(left)["state"] == "finished"
    with closing(left.open_record()) as record:
        assert submitted_labels(record) == FIRST
    assert final_hashes(left) == before

    run_here(folder, AGAIN).close()
    assert status(folder)["state"] == "finished"
    assert final_hashes(left) == before, "the new line writes to none of its files"
    after = of_the_current_line(folder)
    for path in ("rounds/001/rollout.safetensors", "rounds/001/images/000.png"):
        assert after[path] != before[path], "the next round has other pictures"
    for path in ("rounds/000/rollout.safetensors", "checkpoints/000/lora.safetensors"):
        assert after[path] == before[path]
    exported = load_file(folder.exports / "noise_pool.safetensors")
    kept = load_file(folder.checkpoint(2) / "noise_pool.safetensors")
    assert torch.equal(exported["best_z_0"], kept["best_z_0"])


def test_the_way_there_does_not_matter(tiny_task: Callable[..., Task], finished: Finished) -> None:
    """With the seed as it was, a run that went back is the run that never went there.

    The moments of the embedding's Adam are there, since the round is one of the latest two.
    """
    task = tiny_task(feedback={"rounds": 2})
    folder = finished(task, FIRST[:2])
    rollback.roll_back(folder, 0, lambda *_: task)
    run_here(folder, AGAIN[:2]).close()
    straight = finished(task, AGAIN[:2], "straight")
    assert of_the_current_line(folder) == final_hashes(straight)


def test_a_new_line_is_deterministic(tiny_task: Callable[..., Task], finished: Finished) -> None:
    folders = [finished(tiny_task(), name=name) for name in "ab"]
    for folder in folders:
        rollback.roll_back(folder, 0)
        run_here(folder, AGAIN).close()
    first, second = map(of_the_current_line, folders)
    assert first == second


def test_the_first_rounds_of_a_run_are_the_run_of_so_many(
    tiny_task: Callable[..., Task], tmp_path: Path, finished: Finished
) -> None:
    longer = finished(tiny_task(evaluation={"images": 4}))
    before = final_hashes(longer)
    first = RunFolder(tmp_path / "first")
    rollback.copy_until(longer, first.path, 1)
    assert status(first)["state"] == "paused"
    assert status(first)["labels_budget"] == 8
    assert status(first)["line"] == 0, "it has not gone back"
    run_here(first, []).close()
    alone = finished(
        tiny_task(evaluation={"images": 4}, feedback={"rounds": 1}), FIRST[:1], "alone"
    )
    # What the moments of an older round would be needed for is to go on.
    optimizers = "checkpoints/000/optimizers.safetensors"
    assert {**final_hashes(first), optimizers: ""} == {**final_hashes(alone), optimizers: ""}
    assert final_hashes(longer) == before
    with pytest.raises(InputError, match="round"):
        rollback.copy_until(longer, tmp_path / "more", 4)
    assert not list(tmp_path.glob("*more*"))


class KilledError(BaseException):
    """What no `except Exception` catches: the process is gone."""


MOMENTS = {
    "while the line that is left is copied": (shutil, "copy2"),
    "before it has its name": (Path, "replace"),
    "before the record changes": (Record, "roll_back"),
    "before the files are put in order": (rollback, "remove"),
    "before task.yaml is written": (rollback, "_write"),
    "before the record says that it is": (Record, "task_is_written"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_in_the_middle_it_is_as_before_or_as_asked_for(
    labelled: RunFolder, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder, task = labelled, labelled.task()
    before = final_hashes(folder)
    wanted = with_changes(task, ["update.learning_rate=5e-4"], 7)

    def killed(*args: object, **named: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(*MOMENTS[moment], killed)
        with pytest.raises(KilledError):
            rollback.roll_back(folder, 0, lambda *_: wanted)

    monkeypatch.setattr(loop, "run_to_the_end", lambda run: started.append(run.task))
    started: list[Task] = []
    engine.run_main(folder, DEFAULT_OPTIONS)
    with closing(folder.open_record()) as record:
        if record.line() == 0:
            assert started == []  # it is finished, as before
            assert of_the_current_line(folder) == before
            rollback.roll_back(folder, 0, lambda *_: wanted)
        else:
            assert started == [wanted]
        assert folder.task() == wanted
        assert [r.number for r in record.rounds()] == [0]
    assert not (folder.path / "rounds" / "001").exists()
    assert final_hashes(folder.line(0)) == before
    with closing(folder.line(0).open_record()) as record:
        assert submitted_labels(record) == FIRST[:2]


def test_settings_can_change_and_the_left_line_keeps_its_own(labelled: RunFolder) -> None:
    old = labelled.task()
    wanted = with_changes(old, ["update.learning_rate=1e-4", "feedback.rounds=5"], None)
    left = rollback.roll_back(labelled, 0, lambda *_: wanted)
    assert labelled.task() == wanted
    assert status(labelled)["labels_budget"] == 40
    assert left.task() == old


def test_a_run_can_go_back_again_and_from_a_line_that_was_left(labelled: RunFolder) -> None:
    seeds = {labelled.task().seed}
    for line in range(2):
        left = rollback.roll_back(labelled, 0)
        assert left.path == labelled.line(line).path
        seeds.add(labelled.task().seed)
    assert len(seeds) == 3
    first = labelled.line(0)
    assert rollback.roll_back(first, 0).path == first.line(0).path


def test_what_the_checkpoint_no_longer_has_begins_anew_and_is_told(
    tiny_task: Callable[..., Task], finished: Finished
) -> None:
    folder = finished(tiny_task())
    rollback.roll_back(folder, 0)
    with closing(run_here(folder, AGAIN)) as record:
        assert [r.outcome for r in record.rounds()] == [
            "",
            "Begun anew, since round 0's checkpoint no longer has it: the embedding's Adam.",
            "",
        ]


def test_a_run_of_an_earlier_version_goes_back_too(
    tiny_task: Callable[..., Task], finished: Finished
) -> None:
    """It kept neither the embedding nor the optimizers of older rounds."""
    folder = finished(tiny_task(feedback={"rounds": 2}), FIRST[:2])
    for name in ("embedder", "optimizers"):
        (folder.checkpoint(0) / f"{name}.safetensors").unlink()
    rollback.roll_back(folder, 0)
    with closing(run_here(folder, AGAIN[:2])) as record:
        assert record.state()[0] == "finished"
        assert "the embedding, the embedding's Adam, the LoRA's AdamW" in record.rounds()[1].outcome


def test_an_untrained_round_is_refused(labelled: RunFolder) -> None:
    with pytest.raises(InputError, match="--round 5: expected a trained round"):
        rollback.roll_back(labelled, 5)


def test_with_nothing_to_take_back_it_is_refused(labelled: RunFolder) -> None:
    with pytest.raises(InputError, match="no round after it"):
        rollback.roll_back(labelled, 1)
    rollback.roll_back(labelled, 1, lambda task, _: with_changes(task, ["feedback.rounds=3"], None))
    assert status(labelled)["labels_budget"] == 24


def test_under_a_running_engine_it_is_refused(labelled: RunFolder) -> None:
    with engine_lock(labelled), pytest.raises(InputError, match="hero-tui stop"):
        rollback.roll_back(labelled, 0)
    assert status(labelled)["line"] == 0


def test_a_label_given_while_the_rounds_are_copied_is_kept_with_them(
    labelled: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(labelled.open_record()) as another:
        another.begin_round(2, 8)
        given = [Labels.of([5]), Labels.of([5, 6])]

        def copied_while_labels_come(folder: RunFolder, record: Record, target: Path) -> None:
            copy(folder, record, target)
            if given:
                another.label(2, given.pop(0))

        copy = rollback._copy
        monkeypatch.setattr(rollback, "_copy", copied_while_labels_come)
        left = rollback.roll_back(labelled, 0)
        assert another.line() == 1
    with closing(left.open_record()) as record:
        assert record.labels(2) == Labels.of([5, 6])


def test_nobody_waited_while_the_line_that_was_left_went_on(labelled: RunFolder) -> None:
    rollback.roll_back(labelled, 0)
    with closing(labelled.open_record()) as record:
        went_back = record.went_back()
        assert went_back is not None
        record.begin_round(1, 8)
        record.add_images(1, range(8))
        record.finish_sampling(1, {})
        record.label(1, FIRST[1])
        record.submit(1)
        first_image = record.rounds()[1].first_image
        assert first_image is not None
        assert status(labelled)["history"][1]["wait_s"] == round(first_image - went_back[1], 3)


def test_where_there_are_no_hard_links_files_are_copied(
    labelled: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", unsupported)
    left = rollback.roll_back(labelled, 0)
    assert left.image(1, 0).read_text() == "picture"


@pytest.mark.parametrize(
    "override", ["feedback.batch_size=4", "embedding.width=8", "update.lora_rank=2", "model=x"]
)
def test_what_is_learned_so_far_cannot_change_its_shape(
    tiny_task: Callable[..., Task], override: str
) -> None:
    with pytest.raises(InputError, match="cannot change in the middle of a run"):
        with_changes(tiny_task(), [override], None)


def test_a_run_of_labels_stays_one(tiny_task: Callable[..., Task]) -> None:
    with pytest.raises(InputError, match=r"reward\.name: tiny learns from labels"):
        with_changes(tiny_task(), ["reward.name=function", "reward.function=a:b"], None)
    with_changes(tiny_task(), ["reward.name=binary", "prompts=[a dog]"], None)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("oracle=blak-cat", "--set: oracle: there is no oracle 'blak-cat'"),
        ("update.objective=no_such:Mine", "update.objective no_such:Mine: there is no module"),
        ("evaluation.images=3000", "--set: evaluation.images: expected at most 2000"),
        ("prompts=[a, b]", "--set: prompts: expected 1 of them, found 2"),
    ],
)
def test_what_does_not_go_with_the_run_is_refused(
    tiny_task: Callable[..., Task], override: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        with_changes(tiny_task(), [override], None)

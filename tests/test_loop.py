"""Algorithm 1 on the tiny pipeline: usual rounds, every degenerate round, finishing, resuming."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hero_engine.engine import learning, loop, measuring, sampling, waiting
from hero_engine.engine.context import Run
from hero_engine.engine.interrupts import Stop
from hero_engine.engine.team import Team
from hero_engine.errors import EngineError, InputError
from hero_engine.method import embedding
from hero_engine.method.batch import Batch
from hero_engine.method.ddpo import items_of_steps
from hero_engine.method.lesson import Lesson
from hero_engine.method.reward import Reward
from hero_engine.method.rollout import Rollout
from hero_engine.method.state import TrainingState
from hero_engine.run import labelfile
from hero_engine.run.diversity import diversity
from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.pictures import read_picture
from hero_engine.run.record import Record
from hero_engine.run.task import Task
from tests.engine_runs import final_hashes, new_run, run_here, wait_until

Finished = Callable[..., tuple[RunFolder, Record]]

USUAL = [Labels.of([0, 3], 3), Labels.of([1, 2, 6], 2), Labels.of([4], KEEP)]


@pytest.fixture
def run(tiny_task: Callable[..., Task], finished_run: Callable[..., RunFolder]) -> Finished:
    """A finished run by its script and settings; who asks for the same gets the same, to read."""

    def go(script: list[Labels], **changes: Any) -> tuple[RunFolder, Record]:
        feedback = {"rounds": len(script)} | dict(changes.pop("feedback", {}))
        task = tiny_task(feedback=feedback, **changes)
        folder = finished_run(task, script)
        return folder, folder.open_record()

    return go


def lora(folder: RunFolder, round_number: int) -> torch.Tensor:
    tensors = load_file(folder.checkpoint(round_number) / "lora.safetensors")
    return torch.cat([t.flatten() for _, t in sorted(tensors.items())])


def pool(folder: RunFolder, round_number: int) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(
        folder.checkpoint(round_number) / "noise_pool.safetensors"
    )
    return tensors


def rollout(folder: RunFolder, round_number: int) -> Rollout:
    return Rollout.load(folder.rollout(round_number))


def outcomes(record: Record) -> list[str]:
    return [r.outcome for r in record.rounds()]


def near(z_T: torch.Tensor, mean: torch.Tensor) -> bool:
    return bool((z_T - mean).norm() / z_T.norm() < 0.2)


def test_a_usual_run_learns_every_round_and_leaves_its_exports(run: Finished) -> None:
    folder, record = run(USUAL)
    assert record.state() == ("finished", "")
    assert outcomes(record) == ["", "", ""]
    assert not torch.equal(lora(folder, 0), lora(folder, 1))
    assert not torch.equal(lora(folder, 1), lora(folder, 2))
    assert {p.name for p in folder.exports.iterdir()} == {
        "pytorch_lora_weights.safetensors", "tiny.safetensors", "noise_pool.safetensors",
        "README.md",
    }  # fmt: skip
    for r in range(3):
        metrics = record.metrics(r)
        assert {"diversity", "noise_norm", "sample_s", "train_s", "ratio_error"} <= set(metrics)
        assert len(list((folder.round(r) / "images").glob("*.png"))) == 8
        good = [folder.image(r, image) for image in sorted(record.labels(r).good)]
        if len(good) > 1:
            pictures = np.stack([read_picture(path) for path in good])
            ((step, value),) = metrics["good_diversity"]
            assert step == 0
            assert value == pytest.approx(diversity(pictures))


def test_the_next_round_starts_near_the_noise_of_the_best_and_the_goods(run: Finished) -> None:
    folder, _ = run(USUAL)
    before, after = rollout(folder, 0), rollout(folder, 1)
    assert all(near(after.z_T[n], before.z_T[3]) for n in range(4))
    assert all(near(after.z_T[n], before.z_T[0]) for n in range(4, 8))


def test_from_the_first_best_on_pictures_come_with_a_guess(run: Finished) -> None:
    _, record = run(USUAL)
    assert record.scores(0) == {}
    for r in (1, 2):
        assert record.scores(r).keys() == set(range(8))
        assert all(-1.001 <= score <= 1.001 for score in record.scores(r).values())


def test_pictures_on_the_side_change_nothing_in_the_run(
    run: Finished, tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    plain, _ = run(USUAL)
    tried = new_run(tmp_path, tiny_task(feedback={"rounds": 3}))
    with closing(tried.open_record()) as record:
        record.ask_try("a dog")
        record.ask_try("too long a prompt " * 30)
    dog, long = run_here(tried, USUAL).tries()
    assert (dog.images, dog.round, dog.error) == (4, 0, "")
    assert tried.try_image(dog.number, 3).is_file()
    assert long.finished
    assert "tokens" in long.error
    hashes = final_hashes(tried)
    assert {p: h for p, h in hashes.items() if not p.startswith("tries")} == final_hashes(plain)


def test_keep_carries_the_reigning_best_over(run: Finished) -> None:
    folder, record = run(USUAL)
    second = rollout(folder, 1)
    assert record.reigning_best(3) == (1, 2)
    assert torch.equal(pool(folder, 2)["best_z_0"], second.z_0[2])
    assert torch.equal(pool(folder, 2)["best_z_T"], second.z_T[2])
    assert torch.equal(pool(folder, 2)["good_z_T"], rollout(folder, 2).z_T[[4]])


def test_goods_without_a_best_keep_the_reigning_one(run: Finished) -> None:
    folder, record = run([USUAL[0], Labels.of([1, 2])])
    assert record.labels(1) == Labels.of([1, 2], KEEP)
    assert torch.equal(pool(folder, 1)["best_z_T"], rollout(folder, 0).z_T[3])


def test_a_first_round_without_goods_changes_nothing_and_starts_afresh(run: Finished) -> None:
    folder, record = run([Labels(), USUAL[0]])
    assert outcomes(record)[0] == (
        "No good picture: nothing is learned, the next round starts from fresh noise."
    )
    assert pool(folder, 0) == {}
    assert not any(near(a, b) for a in rollout(folder, 1).z_T for b in rollout(folder, 0).z_T)


def test_success_that_is_lost_is_told_with_the_way_back(
    tiny_task: Callable[..., Task], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = new_run(tmp_path, tiny_task())
    record = run_here(folder, [Labels.of(range(8), 5), Labels.of(range(8), KEEP), Labels()])
    lost = record.rounds()[2]
    assert "0 of 8 pictures are good, in round 0 it was 8 of 8" in lost.collapse
    assert lost.back_to == 0
    assert lost.said == f"{lost.collapse} {lost.outcome}"
    assert f"hero-tui rollback {folder.path} --round 0" in caplog.text
    assert [r.collapse for r in record.rounds()[:2]] == ["", ""]


def test_pictures_that_have_become_one_are_told_before_they_are_trained_on(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([0.3, 0.25, 0.05])
    monkeypatch.setattr(measuring, "MEASURES", {"diversity": lambda batch: next(measured)})
    told = []

    def note_and_learn(run: Run, *args: Any) -> None:
        told.append(run.record.rounds()[-1].collapse)
        learning.learn(run, *args)

    monkeypatch.setattr(loop, "learn", note_and_learn)
    run_here(new_run(tmp_path, tiny_task()), USUAL)
    assert told[:2] == ["", ""]
    assert "diversity 0.05, in round 0 it was 0.3" in told[2]


def test_a_later_round_without_goods_keeps_model_and_pool(run: Finished) -> None:
    folder, record = run([USUAL[0], Labels(), USUAL[1]])
    assert "the same noise pool" in outcomes(record)[1]
    assert torch.equal(lora(folder, 0), lora(folder, 1))
    assert all(torch.equal(t, pool(folder, 1)[n]) for n, t in pool(folder, 0).items())
    assert near(rollout(folder, 2).z_T[0], rollout(folder, 0).z_T[3])


def test_all_good_updates_with_the_embedding_as_it_is(run: Finished) -> None:
    folder, record = run([USUAL[0], Labels.of(range(8), 5)])
    assert outcomes(record)[1].startswith("All good: there are no triplets")
    embedder = [load_file(folder.checkpoint(r) / "embedder.safetensors") for r in (0, 1)]
    assert all(torch.equal(t, embedder[1][n]) for n, t in embedder[0].items())
    assert not torch.equal(lora(folder, 0), lora(folder, 1))


def test_all_good_with_a_binary_reward_has_nothing_to_learn(run: Finished) -> None:
    folder, record = run([USUAL[0], Labels.of(range(8), 5)], reward={"name": "binary"})
    assert "the model is unchanged" in outcomes(record)[1]
    assert torch.equal(lora(folder, 0), lora(folder, 1))


def test_the_best_alone_is_enough(run: Finished) -> None:
    folder, record = run([Labels.of([3], 3), USUAL[1]])
    assert outcomes(record)[0] == ""
    assert torch.equal(pool(folder, 0)["good_z_T"], rollout(folder, 0).z_T[[3]])
    assert all(near(z, rollout(folder, 0).z_T[3]) for z in rollout(folder, 1).z_T)


def test_the_best_has_its_own_share_unless_that_share_is_zero(run: Finished) -> None:
    with_share, _ = run([USUAL[0]])
    without, _ = run([USUAL[0]], noise={"best_ratio": 0.0})
    drawn = rollout(without, 0)
    assert torch.equal(pool(with_share, 0)["good_z_T"], drawn.z_T[[0]])
    assert torch.equal(pool(without, 0)["good_z_T"], drawn.z_T[[0, 3]])


@pytest.mark.parametrize("name", ["similarity-to-positives", "binary", "no-embedding"])
def test_every_reward_trains(run: Finished, name: str) -> None:
    folder, record = run(USUAL[:1], reward={"name": name})
    assert lora(folder, 0).abs().sum() > 0
    assert record.metrics(0)["reward_std"][0][1] > 0


@pytest.mark.parametrize("name", ["binary", "no-embedding"])
def test_a_reward_without_the_embedding_does_not_train_it(run: Finished, name: str) -> None:
    """Nor is it spoken of, and nobody is shown guesses of what has learned nothing."""
    folder, record = run([USUAL[0], Labels.of(range(8), 5)], reward={"name": name})
    first, second = (load_file(folder.checkpoint(r) / "embedder.safetensors") for r in (0, 1))
    assert all(torch.equal(tensor, second[n]) for n, tensor in first.items())
    assert "embedding_loss" not in record.metrics(0)
    assert not any("embedding" in outcome for outcome in outcomes(record))
    assert record.scores(1) == {}


def test_a_round_can_be_submitted_before_its_pictures_are_measured(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))
    record = folder.open_record()

    def late(batch: Batch) -> float:
        wait_until(lambda: record.rounds()[0].submitted, "labels, which must not wait")
        assert "diversity" not in record.metrics(0)
        return len(batch.pictures) / 8

    monkeypatch.setattr(measuring, "MEASURES", {"diversity": late})
    assert run_here(folder, USUAL[:1]).metrics(0)["diversity"] == [(0, 1.0)]


def test_what_was_not_measured_when_the_engine_ended_is_by_the_next(
    run: Finished, tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, undisturbed = run(USUAL[:1])
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}))

    def end(*args: object) -> None:
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(loop, "measure", end)
        with pytest.raises(Stop):
            run_here(folder, USUAL[:1])
    assert not {"diversity", "latent_contrast"} & folder.open_record().metrics(0).keys()
    measured = run_here(folder, USUAL[:1]).metrics(0)
    for name in ("diversity", "latent_contrast"):
        assert measured[name] == undisturbed.metrics(0)[name]


def test_a_reward_that_is_no_number_is_said_with_a_way_out(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Reward(lambda batch: batch.z_0.flatten(1)[:, 0] * torch.nan, uses_embedding=False)
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 1}, reward={"name": "binary"}))
    monkeypatch.setattr(learning, "REWARDS", {"binary": nothing})
    with pytest.raises(EngineError, match="the reward binary of 8 pictures is not a finite number"):
        run_here(folder, USUAL[:1])


def test_advantages_of_each_prompt_teach_otherwise_than_those_of_the_batch(run: Finished) -> None:
    several = {"prompts": ["a cat", "b"]}
    batch, _ = run(USUAL[:1], **several)
    prompt, _ = run(USUAL[:1], **several, update={"advantages": "prompt"})
    assert not torch.equal(lora(batch, 0), lora(prompt, 0))


def test_the_embedding_can_learn_from_all_rounds(run: Finished) -> None:
    """Round 1 is all good, so only round 0's bad pictures give triplets."""
    script = [USUAL[0], Labels.of(range(8), 5)]
    _, record = run(script, embedding={"data": "all"})
    assert outcomes(record)[1] == ""
    assert "embedding_loss" in record.metrics(1)


# -- pictures that the person is unsure about ----------------------------------------------------

UNSURE = Labels.of([0, 3, 6], 3, unsure=[1, 4])


def test_an_unsure_picture_is_in_neither_triplets_nor_update_nor_pool(
    run: Finished, monkeypatch: pytest.MonkeyPatch, tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    triplets: list[Any] = []
    updates: list[Lesson] = []
    train, update = embedding.train, Team.update

    def note_triplets(*args: Any) -> object:
        triplets.append(args[3:5])
        return train(*args)

    def note_update(team: Team, lesson: Lesson, *args: Any) -> None:
        updates.append(lesson)
        update(team, lesson, *args)

    monkeypatch.setattr(embedding, "train", note_triplets)
    monkeypatch.setattr(Team, "update", note_update)
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 2}))
    record = run_here(folder, [UNSURE, USUAL[1]])

    drawn = rollout(folder, 0)
    goods, bads = triplets[0]
    assert torch.equal(goods, drawn.z_0[[0, 3, 6]])
    assert torch.equal(bads, drawn.z_0[[2, 5, 7]])
    lesson = updates[0]
    steps = items_of_steps(lesson.rollout, lesson.task, 0, lesson.images)
    taught = torch.cat([items[:, 0] for items in steps])
    assert sorted(set(taught.tolist())) == [0, 2, 3, 5, 6, 7]
    assert [len(items) for items in steps] == [4 * 2, 2 * 2], "whole steps, and a rest"
    earned = updates[0].advantage
    assert not earned[[1, 4]].any()
    assert float(earned.double().sum()) == pytest.approx(0, abs=1e-5), "normalised without them"
    assert torch.equal(pool(folder, 0)["good_z_T"], drawn.z_T[[0, 6]])
    after = rollout(folder, 1).z_T
    assert not any(near(z_T, drawn.z_T[image]) for z_T in after for image in (1, 4))
    assert outcomes(record) == ["", ""]


def test_what_is_learned_does_not_depend_on_what_an_unsure_picture_shows(
    tiny_task: Callable[..., Task], finished_run: Callable[..., RunFolder], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Another trajectory, latent and noise in its place: embedding and LoRA have the same bits."""
    task = tiny_task(feedback={"rounds": 1}, embedding={"data": "all"})
    usual = finished_run(task, [UNSURE])
    wait = waiting.wait_for_labels

    def exchanged(run: Run, learned: TrainingState, number: int) -> Labels:
        labels = wait(run, learned, number)
        for tensor in drawn[-1].__dict__.values():
            if tensor.is_floating_point():
                tensor[[1, 4]] = 17.0
        return labels

    def collected(*args: Any) -> Rollout:
        drawn.append(sampling.collect(*args))
        return drawn[-1]

    drawn: list[Rollout] = []
    monkeypatch.setattr(loop, "collect", collected)
    monkeypatch.setattr(waiting, "wait_for_labels", exchanged)
    other = new_run(tmp_path, task)
    run_here(other, [UNSURE]).close()
    for name in ("lora", "embedder", "noise_pool"):
        first, second = (load_file(f.checkpoint(0) / f"{name}.safetensors") for f in (usual, other))
        assert all(torch.equal(tensor, second[key]) for key, tensor in first.items()), name


def test_rewards_without_an_unsure_picture_are_those_of_a_batch_without_it(run: Finished) -> None:
    """Against a float64 reference over the pictures that are left."""
    folder, record = run([UNSURE], update={"deviation_floor": 0.0}, reward={"name": "no-embedding"})
    z_0 = rollout(folder, 0).z_0.double().flatten(1)
    left, goods = [0, 2, 3, 5, 6, 7], [0, 3, 6]
    mean = z_0[goods].mean(0)
    reward = (z_0[left] @ mean) / (z_0[left].norm(dim=1) * mean.norm())
    assert record.metrics(0)["reward_mean"][0][1] == pytest.approx(float(reward.mean()), rel=1e-5)
    assert record.metrics(0)["reward_std"][0][1] == pytest.approx(float(reward.std()), rel=1e-4)


def test_later_rounds_that_learn_from_all_leave_out_what_was_unsure(
    tiny_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    latents = learning.triplet_latents

    def note(*args: Any) -> object:
        found.append(latents(*args))
        return found[-1]

    monkeypatch.setattr(learning, "triplet_latents", note)
    folder = new_run(tmp_path, tiny_task(feedback={"rounds": 2}, embedding={"data": "all"}))
    run_here(folder, [UNSURE, Labels.of([0], 0, unsure=[7])]).close()
    goods, bads = found[1]
    assert (len(goods), len(bads)) == (1 + 3, 6 + 3)
    for z_0 in rollout(folder, 0).z_0[[1, 4]]:
        assert not any(torch.equal(z_0, other) for other in torch.cat([goods, bads]))


@pytest.mark.parametrize(
    ("labels", "said", "learns"),
    [
        (Labels.of([], unsure=range(8)), "Every picture is unsure: nothing is learned", False),
        (Labels.of([], unsure=[1]), "No good picture: nothing is learned", False),
        (Labels.of([2], 2, [0, 1, 3, 4, 5, 6, 7]), "Nothing tells the pictures apart", False),
        (Labels.of([2, 3, 5], 2, [0, 1, 4, 6, 7]), "All good but the unsure ones: there are", True),
        (Labels.of([2], 2, [0, 1, 3, 4, 5, 6]), "", True),
    ],
    ids=["all", "no good", "one left", "none bad", "fewer than a step"],
)
def test_every_round_with_unsure_pictures_has_an_outcome(
    run: Finished, labels: Labels, said: str, learns: bool
) -> None:
    folder, record = run([labels, USUAL[1]])
    assert said in outcomes(record)[0]
    assert bool(said) == bool(outcomes(record)[0])
    assert lora(folder, 0).isfinite().all()
    assert ("loss" in record.metrics(0)) == learns
    assert record.state() == ("finished", "")


def test_where_all_are_good_labels_alone_teach_nothing(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    """What is like the best and what is not is no difference that was labelled."""
    all_good = Labels.of(range(8), 0)
    for signs, learns in (("rewards", True), ("labels", False)):
        folder = new_run(
            tmp_path / signs, tiny_task(feedback={"rounds": 2}, update={"signs": signs})
        )
        with closing(run_here(folder, [USUAL[0], all_good])) as record:
            assert ("loss" in record.metrics(1)) == learns
            assert ("the model is unchanged" in outcomes(record)[1]) != learns
        assert torch.equal(lora(folder, 0), lora(folder, 1)) != learns


def test_unsure_labels_replay_to_the_same_tensors(run: Finished, tmp_path: Path) -> None:
    script = [UNSURE, Labels.of([1], 1, unsure=[0])]
    first, record = run(script)
    (tmp_path / "labels.yaml").write_text(
        labelfile.dump("tiny", labelfile.submitted_labels(record))
    )
    second = new_run(tmp_path, first.task())
    run_here(second, labelfile.load(tmp_path / "labels.yaml", first.task())).close()
    assert final_hashes(first) == final_hashes(second)


def test_the_model_card_counts_labels_without_the_unsure_ones(run: Finished) -> None:
    folder, _ = run([UNSURE, USUAL[1]])
    card = (folder.exports / "README.md").read_text()
    assert "after 14 labels in 2 rounds (2 unsure left out)" in card
    assert "| before | fresh, N(0, I) | 6 | 3 | 50% |" in card


def test_finish_ends_the_run_early(tiny_task: Callable[..., Task], tmp_path: Path) -> None:
    folder = new_run(tmp_path, tiny_task())
    record = folder.open_record()
    record.send("finish")
    assert run_here(folder, []).state()[0] == "finished"


def test_labels_replay_to_the_same_tensors(run: Finished, tmp_path: Path) -> None:
    first, record = run(USUAL)
    replayed = [record.labels(r) for r in range(3)]
    second = new_run(tmp_path, first.task())
    run_here(second, replayed)
    assert final_hashes(first) == final_hashes(second)


def test_another_seed_is_another_run(run: Finished) -> None:
    first, _ = run(USUAL[:1])
    second, _ = run(USUAL[:1], seed=1)
    assert final_hashes(first) != final_hashes(second)


def test_steps_that_do_not_begin_near_noise_are_refused_but_a_run_that_has_begun_goes_on(
    tiny_task: Callable[..., Task], tmp_path: Path
) -> None:
    folder = new_run(tmp_path, tiny_task(sampling={"steps": 2}, feedback={"rounds": 1}))
    with pytest.raises(InputError, match=r"2 steps .*take 4 steps"):
        run_here(folder, [])
    with closing(folder.open_record()) as record:
        assert record.rounds() == []
        record.begin_round(0, 8)
    run_here(folder, [Labels.of([])]).close()

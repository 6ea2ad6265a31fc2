"""Runs that begin with labelled pictures: what these teach, and that they end in the same bits."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from hero_engine.cartoons import drawing
from hero_engine.engine.start import most_central
from hero_engine.errors import EngineError
from hero_engine.method.rollout import Rollout
from hero_engine.model import diffusion
from hero_engine.model.family import FAMILIES, Architecture
from hero_engine.results.report.write import write_report
from hero_engine.run import process, rollback
from hero_engine.run.folder import RunFolder, create_run, engine_holder
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.options import EngineOptions
from hero_engine.run.record import START, Record, Start
from hero_engine.run.startpictures import start_pictures
from hero_engine.run.status import status
from hero_engine.run.task import Task
from hero_tui.client.runview import RunReader
from hero_tui.screens.working import best_so_far, headline
from hero_tui.widgets.side import of_round, task_text
from tests.engine_runs import final_hashes, label_open_round, run_here, start_engine, wait_until

FinishedRun = Callable[[Task, Sequence[Labels]], RunFolder]

NFT = {"objective": "nft", "guidance": False, "optimizer_steps": 4, "batch_size": 8, "beta": 0.3}
SCRIPT = [Labels.of([1, 4], KEEP), Labels.of([0, 3], 3)]
NO_BEST_SCRIPT = [Labels.of([1, 4], 4), Labels.of([0, 3], 3)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Bright good pictures and dark bad ones, 16x16 as the tiny pipeline's; the brightest is the
    best.
    """
    random = np.random.default_rng(0)
    for number in range(6):
        for label, base in (("good", 180), ("bad", 40)):
            pixels = base + random.integers(0, 40, (16, 16, 3)) + number
            path = tmp_path / "pictures" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    Image.new("RGB", (32, 32), (235, 230, 225)).save(tmp_path / "pictures" / "best.png")
    return tmp_path / "pictures"


@pytest.fixture
def task(tiny_task: Callable[..., Task]) -> Callable[..., Task]:
    """Two rounds on the tiny pipeline, by nft if nothing else is said; no evaluation."""

    def make(**changes: object) -> Task:
        usual = {"update": NFT, "feedback": {"rounds": 2}, "evaluation": {"images": 0}}
        return tiny_task(**{**usual, **changes})

    return make


def begun(where: Path, task: Task, *folders: Path, name: str = "run") -> RunFolder:
    return create_run(where, task, name, start_pictures(folders, task).fill)


def finished(where: Path, task: Task, *folders: Path, name: str = "run",
             script: Sequence[Labels] = SCRIPT) -> RunFolder:  # fmt: skip
    folder = begun(where, task, *folders, name=name)
    run_here(folder, script).close()
    return folder


def lora_of(folder: RunFolder, number: int) -> torch.Tensor:
    tensors = load_file(folder.checkpoint(number) / "lora.safetensors")
    return torch.cat([t.flatten() for n, t in sorted(tensors.items()) if "lora_B" in n])


def embedder_of(folder: RunFolder, number: int) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder.checkpoint(number) / "embedder.safetensors")
    return tensors


def start_of(record: Record) -> Start:
    start = record.start()
    assert start is not None
    return start


def outcome_of(folder: RunFolder, number: int) -> str:
    with closing(folder.open_record()) as record:
        return record.rounds()[number].outcome


# -- encoding --------------------------------------------------------------------------------


def test_encoding_is_the_mode_of_the_posterior_and_as_decoding_has_it() -> None:
    """Of the embedded model, whose VAE has learned something: there and back is nearly the same."""
    from tests.test_start_folder import TASK

    model = diffusion.load(TASK.model_copy(update={"precision": "fp32"}))
    random = np.random.default_rng(0)
    drawn = [np.asarray(drawing.draw("black-cat", random).image) for _ in range(2)]
    both = torch.from_numpy(np.stack(drawn))
    z_0 = model.encode(both)
    assert z_0.dtype == torch.float32
    assert torch.equal(z_0, model.encode(both))
    again = model.decode(z_0.to(model.device))
    assert float((again.float() - both.float()).abs().mean()) < 8
    with pytest.raises(EngineError, match="pictures of 32x64 have latents"):
        model.encode(both[:, :, :32])


@pytest.mark.parametrize("name", FAMILIES)
def test_each_familys_latents_come_back_from_the_vaes(name: Architecture) -> None:
    random = torch.Generator().manual_seed(0)
    mean, deviation = torch.randn(16, generator=random), torch.rand(16, generator=random) + 0.5
    config: dict[str, object] = {"scaling_factor": 0.3, "shift_factor": 0.1, "batch_norm_eps": 1e-4}
    config |= {"latents_mean": mean.tolist(), "latents_std": deviation.tolist()}
    statistics = SimpleNamespace(running_mean=mean, running_var=deviation)
    vae = SimpleNamespace(config=SimpleNamespace(**config), bn=statistics)
    z_0 = torch.randn((2, 16, 4, 4), generator=random)
    family = FAMILIES[name]
    assert family.for_vae(vae, z_0).shape == (2, 16 // family.patch**2, *(2 * [4 * family.patch]))
    torch.testing.assert_close(family.from_vae(vae, family.for_vae(vae, z_0)), z_0)


def test_the_anchor_without_a_best_is_the_most_central_good_picture() -> None:
    z_0 = torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0], [1.0, 0.1]])
    assert most_central(z_0, torch.tensor([True, True, False, True])) == 3


# -- what is learned -------------------------------------------------------------------------


def test_they_teach_the_embedding_and_by_nft_the_model_before_round_0(
    task: Callable[..., Task], pictures: Path, tmp_path: Path, finished_run: FinishedRun
) -> None:
    taught = finished(tmp_path, task(), pictures)
    plain = finished_run(task(), NO_BEST_SCRIPT)
    assert not lora_of(taught, START).eq(0).all()
    assert not torch.equal(
        Rollout.load(taught.rollout(0)).z_0, Rollout.load(plain.rollout(0)).z_0
    ), "the taught model draws round 0"
    assert torch.equal(Rollout.load(taught.rollout(0)).z_T, Rollout.load(plain.rollout(0)).z_T), (
        "from the same fresh noise: they add nothing to the pool"
    )
    assert "best_z_T" not in load_file(taught.checkpoint(START) / "noise_pool.safetensors")
    with closing(taught.open_record()) as record:
        losses = [value for _, value in record.metrics(START)["embedding_loss"]]
        assert losses[-1] < losses[0]
        assert "drift" in record.metrics(START)
        assert record.scores(0).keys() == set(range(8)), "round 0 has guesses already"


def test_the_embedding_tells_good_from_bad(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    from hero_engine.method import state

    wanted = task(embedding={"steps": 60})
    run = finished(tmp_path, wanted, pictures)
    learned = state.initial_state(diffusion.load(wanted), wanted)
    state.load(learned, run, START)
    assert learned.pool is None
    assert learned.best_z_0 is not None
    z_0 = Rollout.load(run.rollout(START)).z_0
    with closing(run.open_record()) as record:
        start = record.start()
    assert start is not None
    with torch.no_grad():
        embedded = learned.embedder(z_0)
        best = learned.embedder(learned.best_z_0[None])
    likeness = F.cosine_similarity(embedded, best)
    good = torch.tensor([n in start.labels.good for n in range(start.images)])
    assert likeness[good].min() > likeness[~good].max()


def test_ddpo_learns_the_embedding_alone(
    task: Callable[..., Task], pictures: Path, tmp_path: Path, finished_run: FinishedRun
) -> None:
    taught = finished(tmp_path, task(update={}), pictures)
    plain = finished_run(task(update={}), NO_BEST_SCRIPT)
    assert lora_of(taught, START).eq(0).all()
    assert torch.equal(Rollout.load(taught.rollout(0)).z_0, Rollout.load(plain.rollout(0)).z_0), (
        "the model is untaught"
    )
    before, after = embedder_of(taught, START), embedder_of(taught, 0)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(lora_of(taught, 0), lora_of(plain, 0)), "and the reward is another"


def test_their_best_may_stay_and_the_good_one_most_like_it_stands_in_for_its_noise(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    run = finished(tmp_path, task(), pictures)
    start, first = Rollout.load(run.rollout(START)), Rollout.load(run.rollout(0))
    kept = load_file(run.checkpoint(0) / "noise_pool.safetensors")
    with closing(run.open_record()) as record:
        assert record.reigning_best(1) == record.reigning_best(0) == (START, 6)
        scores = record.scores(0)
    nearest = max((1, 4), key=scores.__getitem__)
    assert torch.equal(kept["best_z_0"], start.z_0[6])
    assert torch.equal(kept["best_z_T"], first.z_T[nearest])
    assert f"that of picture {nearest}, the good one most like it" in outcome_of(run, 0)


def test_without_a_best_round_0_has_to_name_one(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "best.png").unlink()
    run = finished(tmp_path, task(), pictures, script=NO_BEST_SCRIPT)
    with closing(run.open_record()) as record:
        assert record.reigning_best(0) is None
        assert record.scores(0) == {}
        assert start_of(record).labels.best is None
    assert not lora_of(run, START).eq(0).all()
    assert load_file(run.checkpoint(START) / "noise_pool.safetensors") == {}


def test_an_embedding_of_all_labels_so_far_goes_on_with_them(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    one, both = (
        finished(tmp_path / data, task(embedding={"data": data}), pictures)
        for data in ("round", "all")
    )
    same = embedder_of(one, START), embedder_of(both, START)
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    later = embedder_of(one, 0), embedder_of(both, 0)
    assert any(not torch.equal(later[0][name], later[1][name]) for name in later[0])


def test_dreambooth_learns_their_best_with_those_of_the_rounds(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    update = {"objective": "supervised", "optimizer_steps": 2, "batch_size": 2, "prior_images": 2}
    run = finished(tmp_path, task(update=update), pictures)
    assert lora_of(run, START).eq(0).all()
    with closing(run.open_record()) as record:
        assert record.metrics(1)["examples"] == [(0, 2.0)]


def test_several_prompts_teach_each_under_its_own(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    """The same pictures under another prompt teach the model something else."""
    prompts = ["a cat", "a dog"]
    runs = []
    for prompt in prompts:
        (pictures / "labels.yaml").write_text(f"prompt: {prompt}\n")
        runs.append(finished(tmp_path, task(prompts=prompts), pictures, name=prompt[2:]))
    assert not torch.equal(lora_of(runs[0], START), lora_of(runs[1], START))
    name = "embedder.safetensors"
    same = [(run.checkpoint(START) / name).read_bytes() for run in runs]
    assert same[0] == same[1]
    assert len(Rollout.load(runs[1].rollout(START)).z_0) == 26


# -- the same bits ---------------------------------------------------------------------------


def test_the_same_folder_gives_the_same_bits_and_may_vanish(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    undisturbed = finished(tmp_path, task(), pictures, name="first")
    folder = begun(tmp_path, task(), pictures, name="second")
    shutil.rmtree(pictures)
    run_here(folder, SCRIPT).close()
    assert final_hashes(folder) == final_hashes(undisturbed)
    replayed = finished(tmp_path, task(), undisturbed.round(START), name="third")
    assert final_hashes(replayed) == final_hashes(undisturbed)


PHASES = ["encoding the pictures to start from", "training the LoRA"]


def test_killed_at_any_phase_it_ends_in_the_same_bits(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    wanted = task(update=NFT | {"optimizer_steps": 20})
    undisturbed = finished(tmp_path, wanted, pictures, name="undisturbed")
    folder = begun(tmp_path, wanted, pictures, name="killed")
    with closing(folder.open_record()) as record:

        def is_at(phase: str) -> bool:
            return engine_holder(folder) is not None and record.progress().phase == phase

        for phase in PHASES:
            engine = start_engine(folder)
            wait_until(partial(is_at, phase), phase)
            engine.kill()
            engine.wait()
            assert start_of(record).learned is None
            assert status(folder)["state"] == "paused"
        engine = start_engine(folder)
        wait_until(lambda: record.state()[0] == "labeling", "round 0")
        learned = start_of(record).learned
        engine.kill()
        engine.wait()
        engine = start_engine(folder)
        wait_until(lambda: label_open_round(record, SCRIPT), "round 0, again")
        wait_until(lambda: label_open_round(record, SCRIPT), "round 1")
        assert engine.wait(timeout=120) == 0, folder.log_file.read_text()
        assert start_of(record).learned == learned, "it is not learned twice"
    assert final_hashes(folder) == final_hashes(undisturbed)


@pytest.mark.slow
def test_two_processes_learn_the_same_from_them(
    task: Callable[..., Task], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding: the helper reads the latents from the run's folder."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    alone = finished(tmp_path, task(), pictures, name="alone")
    folder = begun(tmp_path, task(), pictures, name="two")
    with closing(folder.open_record()) as record:
        engine = process.start_engine(folder, EngineOptions(num_processes=2))
        wait_until(lambda: record.state()[0] == "labeling", "round 0")
        record.send("stop")
        engine.wait(timeout=60)
    assert folder.rollout(START).read_bytes() == alone.rollout(START).read_bytes()
    learned = lora_of(alone, START)
    assert (lora_of(folder, START) - learned).abs().mean() < 0.005 * learned.abs().mean()


def test_going_back_keeps_them(task: Callable[..., Task], pictures: Path, tmp_path: Path) -> None:
    run = finished(tmp_path, task(), pictures)
    left = rollback.roll_back(run, 0)
    for folder in (run, left):
        assert folder.rollout(START).is_file()
        assert (folder.checkpoint(START) / "lora.safetensors").is_file()
        with closing(folder.open_record()) as record:
            assert start_of(record).learned is not None
    run_here(run, SCRIPT).close()
    assert status(run)["state"] == "finished"


def test_a_copy_that_is_damaged_is_named(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    folder = begun(tmp_path, task(), pictures)
    folder.image(START, 3).write_bytes(b"cut")
    with pytest.raises(EngineError, match=r"start: the run's copies .* cannot be read"):
        run_here(folder, SCRIPT)


# -- a run for another, and what is said -----------------------------------------------------


def test_a_runs_rounds_are_given_to_another_and_counted_apart(
    task: Callable[..., Task], tmp_path: Path, finished_run: FinishedRun
) -> None:
    earlier = finished_run(task(), NO_BEST_SCRIPT)
    other = task(seed=5, update={"learning_rate": 5e-4} | NFT)
    run = finished(tmp_path, other, earlier.path)
    found = status(run)
    assert found["start"] == {
        "pictures": 16, "good": 4, "bad": 12, "best": 11, "learned": True, "outcome": "",
    }  # fmt: skip
    assert (found["labels_used"], found["labels_budget"]) == (16, 16)
    assert "start" not in status(earlier)
    words = "16 labelled pictures (4 good, 12 bad), apart from the budget"
    card = (run.exports / "README.md").read_text()
    assert f"after 16 labels in 2 rounds, begun with {words}." in card
    assert "| after the pictures it began with | fresh, N(0, I) | 8 |" in card
    write_report(run, tmp_path / "report.html")
    assert f"It began with {words}" in (tmp_path / "report.html").read_text()


def test_the_interface_says_what_is_learned_and_whose_best_reigns(
    task: Callable[..., Task], pictures: Path, tmp_path: Path
) -> None:
    wanted = task()
    folder = begun(tmp_path, wanted, pictures)
    with closing(folder.open_record()) as record:
        reader = RunReader(folder, record, wanted)
        record.set_state("training")
        view = reader.read("running")
        assert view.stage == "working"
        assert headline(view) == "The model learns from pictures that are labelled already"
        assert "13 labelled pictures (7 good, 6 bad), apart from the budget" in str(task_text(view))
        assert best_so_far(view) == folder.image(START, 6)
        assert view.labels_used == 0
        record.finish_start({})
        for number, labels in enumerate(SCRIPT):
            record.begin_round(number, 8)
            record.finish_sampling(number, {})
            view = reader.read("running")
            assert view.reigning_best == (START, 6)
            assert view.reigning_best_image == folder.image(START, 6)
            record.label(number, labels)
            record.submit(number)
        assert view.reigning_best is not None
        assert of_round(*view.reigning_best) == "6 of those begun with"
        assert reader.read("running").as_of(1).reigning_best == (START, 6)
        assert reader.read("running").labels_used == 16


# -- by the command --------------------------------------------------------------------------

TINY = (
    "feedback.batch_size=4", "feedback.rounds=1", "sampling.steps=4", "evaluation.images=0",
    "embedding.steps=4", "update.optimizer_steps=1", "update.batch_size=4", "update.k=1",
    "precision=fp32",
)  # fmt: skip


def hero_tui(where: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    changed = {"PYTHONPATH": str(Path(__file__).parents[1]), "HERO_TUI_RUNS_DIR": ""}
    return subprocess.run(
        [sys.executable, "-m", "hero_tui", *arguments],
        cwd=where, env=os.environ | changed, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_begins_a_run_of_the_embedded_model_and_says_what_is_learned(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    for number in range(4):
        for label in ("good", "bad"):
            path = tmp_path / "pictures" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = drawing.draw("black-cat", random, right=label == "good").image
            drawn.resize((128, 128)).save(path)
    (tmp_path / "labels.yaml").write_text("task: black-cat\nrounds: [{good: [0], best: 0}]\n")
    settings = [text for each in TINY for text in ("--set", each)]
    run = ("run", "black-cat", "--model", "embedded", *settings)
    begun = hero_tui(tmp_path, *run, "--method", "hero+", "--labels", "labels.yaml",
                     "--start-from", "pictures", "--name", "taught")  # fmt: skip
    assert begun.returncode == 0, begun.stderr
    assert "Begins with 8 labelled pictures (4 good, 4 bad), apart from the budget." in begun.stderr
    assert "They teach the embedding and by one update the model before round 0." in begun.stderr
    assert "Learned from 8 labelled pictures" in begun.stderr
    said = hero_tui(tmp_path, "status", "taught").stdout
    assert "begun with 8 labelled pictures (4 good, 4 bad), apart from the budget" in said
    assert "1 of 1 rounds labelled, 4 of 4 labels used" in said
    labels = hero_tui(tmp_path, "labels", "taught").stdout
    assert labels.startswith("# Begun with pictures that were labelled before; to replay: "
                             "--start-from runs/taught/start\n")  # fmt: skip
    assert not lora_of(RunFolder(tmp_path / "runs" / "taught"), START).eq(0).all()

    again = hero_tui(tmp_path, *run, "--method", "hero+", "--labels", "labels.yaml",
                     "--start-from", "taught", "--name", "by-name")  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "Begins with" in again.stderr

    (tmp_path / "pictures" / "good" / "0.png").write_bytes(b"cut")
    refused = hero_tui(tmp_path, *run, "--oracle", "--runs-dir", "other",
                       "--start-from", "pictures", "--start-from", "nowhere")  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "nowhere: there is no such folder; expected one with labelled pictures",
        "pictures/good/0.png: it is no PNG, JPEG or WebP file, or damaged",
    ]
    assert not (tmp_path / "other").exists()

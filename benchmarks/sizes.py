"""Rounds of the models that people use, at their own size with random weights, on a GPU.

    python benchmarks/sizes.py                              # hero+ on every family
    python benchmarks/sizes.py --models sd15 sdxl --method hero --memory 12

Nothing is downloaded. Each model is built (`pipelines.py`); a run of it is made, labelled (every
third picture is good) and brought to its end by the engine itself. Printed are the last round's
times, as the run's record has them, and the most memory that PyTorch had allocated. What the models
draw and learn means nothing.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import torch
from accelerate.utils.memory import clear_device_cache
from engine import machine
from pipelines import UNETS, Size, save_pipeline

from hero_engine.engine.context import Run
from hero_engine.engine.interrupts import Interrupts
from hero_engine.engine.loop import run_to_the_end
from hero_engine.run.folder import RunFolder, create_run
from hero_engine.run.labels import Labels
from hero_engine.run.options import EngineOptions, memory_of
from hero_engine.run.record import Record
from hero_engine.run.resolve import resolve
from hero_engine.run.status import status
from hero_engine.run.task import Task

COLUMNS = (
    "Model", "loading, s", "first picture, s", "sampling, s", "a picture, s", "training, s",
    "wait, s", "peak, GiB",
)  # fmt: skip
"""`loading`: until the first round begins. `wait`: from its labels to the next first picture."""


def main() -> None:
    arguments = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # of the engine, to stderr
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    command = " ".join(["python benchmarks/sizes.py", *sys.argv[1:]])
    print(f"`{command}`: {arguments.method}, rounds of {arguments.pictures}, {arguments.steps} "
          f"steps; {machine(device)}, torch {torch.__version__}\n")  # fmt: skip
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|", flush=True)
    for size in arguments.models:
        where = Path(tempfile.mkdtemp(prefix="hero-sizes-"))
        try:
            print(f"| {size} | {' | '.join(measured(size, where, arguments))} |", flush=True)
        finally:
            shutil.rmtree(where, ignore_errors=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=get_args(Size), default=get_args(Size)[1:])
    parser.add_argument("--method", choices=["hero", "hero+"], default="hero+")
    parser.add_argument("--pictures", type=int, default=16, help="a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20, help="denoising steps")
    parser.add_argument("--chunk", type=int, default=4, help="pictures drawn at once")
    parser.add_argument("--micro-batch", type=int, default=2, help="transitions trained at once")
    parser.add_argument("--memory", help="as of hero-tui run, which then chooses both")
    parser.add_argument("--set", action="append", default=[], help="as of hero-tui run")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def measured(size: Size, where: Path, arguments: argparse.Namespace) -> list[str]:
    """A line of the table, after the model's name."""
    began = time.time()
    pipeline = save_pipeline(size, where / "weights")
    clear_device_cache(garbage_collection=True)
    print(f"{size}: built in {time.time() - began:.0f} s", file=sys.stderr, flush=True)

    folder = create_run(where / "runs", task_of(pipeline, size, arguments), "run")
    options = EngineOptions(memory=memory_of(arguments.memory), compile=arguments.compile)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with closing(folder.open_record()) as record, labeler(folder):
        started = time.time()
        run_to_the_end(Run(folder, record, folder.task(), Interrupts(record), options))
        loading = record.rounds()[0].started - started
        last = record.rounds()[-1]
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    assert last.first_image is not None
    first_picture = last.first_image - last.started
    found = status(folder)["history"][-1]
    sampling, training, wait = found["sample_s"], found["train_s"], found["wait_s"]
    assert sampling is not None
    assert training is not None
    assert wait is not None
    seconds = (loading, first_picture, sampling, sampling / arguments.pictures, training, wait)
    return [*(f"{value:.2f}" for value in seconds), f"{peak:.1f}"]


def task_of(pipeline: Path, size: Size, arguments: argparse.Namespace) -> Task:
    """The method's own settings, as `hero-tui run` has them, in fewer and smaller rounds."""
    settings = {
        "sampling.steps": arguments.steps,
        "sampling.chunk_size": arguments.chunk,
        "feedback.batch_size": arguments.pictures,
        "feedback.rounds": arguments.rounds,
        "update.micro_batch_size": arguments.micro_batch,
        "evaluation.images": 0,
    }
    if size not in UNETS:
        # A flow model: its ODE where the update needs no density, else Flow-GRPO's noise.
        settings["sampling.eta"] = 0 if arguments.method == "hero+" else 0.7
    overrides = [*(f"{name}={value}" for name, value in settings.items()), *arguments.set]
    return resolve(
        "black-cat", model=str(pipeline), method=arguments.method, overrides=overrides
    ).task


@contextmanager
def labeler(folder: RunFolder) -> Iterator[None]:
    """Labels every round in the background while the block runs."""
    done = threading.Event()

    def work() -> None:
        with closing(folder.open_record()) as record:
            while not done.wait(0.02):
                label_waiting(record)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def label_waiting(record: Record) -> None:
    """Calls every third picture good, the first the best."""
    for each in record.rounds():
        if each.sampled is not None and each.submitted is None:
            record.label(each.number, Labels.of(range(0, each.images, 3), 0))
            record.submit(each.number)


if __name__ == "__main__":
    main()

"""Runs for the interface's tests, without an engine: a record, pictures, and a lock that is held.

`python -m tests.interface_runs` plays the engine for a few rounds, to look at the interface.
"""

import asyncio
import inspect
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, closing, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from textual import events
from textual.css.query import NoMatches
from textual.pilot import Pilot

from hero_engine.run.folder import RunFolder, create_run, engine_lock
from hero_engine.run.labels import Best, Labels
from hero_engine.run.record import Record
from hero_engine.run.sources import SOURCES, TRANSFERRED, evaluated
from hero_engine.run.task import Task
from hero_tui.app import HeroApp
from hero_tui.client.run_client import RunClient, StartEngine
from hero_tui.config import DEFAULTS, Config
from hero_tui.preview.terminal import QUADRANTS, Terminal
from hero_tui.screens.too_small import is_too_small
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import StatusLine

Paint = Callable[[int], Image.Image]


class Condition(Protocol):
    """Unlike `Callable[[], object]` also a lambda that keeps a loop's variable as a default."""

    def __call__(self) -> object: ...


PROMPT = "a black cat sitting inside a cardboard box"
CRITERIA = (
    "one black cat, whole and inside the box",
    "the box is made of cardboard, open, and intact",
)


def make_run(runs_dir: Path, images: int = 64, rounds: int = 8, **task: object) -> RunFolder:
    """A run of a task of `rounds` rounds with `images` pictures, before its first round."""
    settings = {
        "name": "black-cat",
        "prompts": (PROMPT,),
        "criteria": CRITERIA,
        "model": "embedded",
        "oracle": "black-cat",
        "feedback": {"batch_size": images, "rounds": rounds},
        **task,
    }
    return create_run(runs_dir, Task.model_validate(settings), name="black-cat-1")


def painted(number: int, side: int = 64) -> Image.Image:
    """A picture that looks like no other: a disc on a ground, in colours from its number."""
    hue = number * 2.399963  # the golden angle: neighbours differ
    phases = np.array([0.0, 2.1, 4.2])
    y, x = np.mgrid[0:side, 0:side] / side
    disc = (x - 0.5) ** 2 + (y - 0.6) ** 2 < 0.1
    ground, front = 90 + 50 * np.sin(hue + phases), 150 + 90 * np.sin(hue + 3 + phases)
    return Image.fromarray(np.where(disc[..., None], front, ground).astype(np.uint8))


@cache
def _png(paint: Paint, number: int) -> bytes:
    file = io.BytesIO()
    paint(number).save(file, "png")
    return file.getvalue()


def add_pictures(
    folder: RunFolder, record: Record, number: int, images: Iterable[int], paint: Paint = painted
) -> None:
    """Makes the PNG files of a round's pictures, then says so in the record."""
    images = list(images)
    folder.image(number, 0).parent.mkdir(parents=True, exist_ok=True)
    for image in images:
        folder.image(number, image).write_bytes(_png(paint, 100 * number + image))
    record.add_images(number, images)


def sample_round(folder: RunFolder, record: Record, number: int, paint: Paint = painted) -> None:
    """A whole round of pictures, ready to be labelled."""
    images = folder.task().feedback.batch_size
    record.begin_round(number, images)
    add_pictures(folder, record, number, range(images), paint)
    record.finish_sampling(number, {"noise_norm": 1.0, "diversity": 0.2 - number / 50})
    record.set_progress("waiting for labels", 0, 0)


def make_sampled_run(runs_dir: Path, images: int = 64, **task: Any) -> RunFolder:
    """A run whose first round of pictures waits for labels."""
    folder = make_run(runs_dir, images, **task)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
    return folder


def make_finished_run(
    runs_dir: Path, images: int = 4, paint: Paint = painted, **task: object
) -> RunFolder:
    """A finished run with the pictures of base and taught model, `images` of each source."""
    folder = make_run(runs_dir, 2, 1, evaluation={"images": images}, **task)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
        submit_round(record, 0, [0], 0)
        train_round(record, 0)
        record.set_state("finished")
        what = evaluated(folder, None, None)
        for number, (source, image) in enumerate(what.pictures((*SOURCES, *TRANSFERRED))):
            path = what.path(source, image)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_png(paint, number))
        for source in SOURCES:
            record.evaluations.add_measured(0, source, images, "diversity", 0.25)
    return folder


def submit_round(record: Record, number: int, good: Iterable[int], best: Best) -> None:
    """A round as it is after a person has labelled it."""
    record.label(number, Labels.of(good, best))
    record.submit(number)


def train_round(record: Record, number: int) -> None:
    """Training curves as the engine writes them, and the end of training."""
    for step in range(1, 41):
        curves = {"embedding_loss": 0.5 * 0.9**step, "clip_fraction": 0.2 - step / 1000}
        record.add_metrics(number, step, curves)
    record.finish_training(number, {"reward_mean": 0.4})


class FakeEngine:
    """What `start_engine` gives back in tests: a process that only is, or is not, alive."""

    def __init__(self, returncode: int | None = None) -> None:
        self.returncode = returncode

    def poll(self) -> int | None:
        return self.returncode


@asynccontextmanager
async def interface(
    folder: RunFolder,
    size: tuple[int, int] = (80, 24),
    engine: bool = True,
    start_engine: StartEngine = lambda folder: FakeEngine(),
    config: Config = DEFAULTS,
    terminal: Terminal = QUADRANTS,
    notifications: bool = False,
) -> AsyncIterator[tuple[HeroApp, Pilot[int]]]:
    """The interface on a run, with an engine that holds its lock and does nothing."""
    with engine_lock(folder) if engine else nullcontext():
        client = RunClient(folder, start_engine)
        try:
            app = HeroApp(client, config, terminal)
            async with app.run_test(size=size, notifications=notifications) as pilot:
                pilot.press = partial(_press, app, pilot, pilot.press)  # type: ignore[method-assign]
                yield app, pilot
        finally:
            client.close()


async def _press(
    app: HeroApp, pilot: Pilot[int], press: Callable[[str], Awaitable[None]], *keys: str
) -> None:
    """Presses keys as a person does: each when what it is for is on the screen."""
    for key in keys:
        await until(pilot, lambda: is_drawn(app))
        await press(key)


async def type_blindly(pilot: Pilot[int], *keys: str) -> None:
    """Types without a look at the screen."""
    for key in keys:
        pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()


def is_drawn(app: HeroApp) -> bool:
    """Whether the screen is there, and every picture on it that can be."""
    if is_too_small(app.size):
        return True
    screen = app.screen
    pictures = [each for each in screen.query(Picture) if each.path is not None and each.size]
    there = getattr(screen, "_there", 0.0) < float("inf")
    return there and all(picture.complete for picture in pictures)


def notices(app: HeroApp) -> str:
    """The notices that are shown, in the line below the pictures too."""
    lines = [line.said for screen in app.screen_stack for line in screen.query(StatusLine)]
    return "\n".join([*(notice.message for notice in app._notifications), *lines])


def all_complete(app: HeroApp) -> bool:
    """Whether every picture of the screen has been drawn, and there are some."""
    pictures = [each for each in app.screen.query(Picture) if each.path is not None]
    return bool(pictures) and all(picture.complete for picture in pictures)


async def until(pilot: Pilot[Any], condition: Condition) -> None:
    """Waits until `condition` holds; fails after 20 seconds."""
    for _ in range(2000):
        try:
            if condition():
                return
        except NoMatches:  # a screen on its way in or out
            pass
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came true: {inspect.getsource(condition).strip()}")


def play_engine(folder: RunFolder, seconds: float = 3.0) -> None:
    """Feeds rounds of cartoons and waits for labels, as the engine does."""
    from hero_engine.cartoons.drawing import draw

    def cartoon(number: int) -> Image.Image:
        return draw("black-cat", np.random.default_rng(number)).image

    record = folder.open_record()
    task = folder.task()
    with engine_lock(folder):
        for number in range(len([r for r in record.rounds() if r.trained]), task.feedback.rounds):
            images = task.feedback.batch_size
            record.begin_round(number, images)
            record.set_progress("sampling", 0, images)
            for image in range(images):
                time.sleep(seconds / images)
                add_pictures(folder, record, number, [image], cartoon)
                record.set_progress("sampling", image + 1, images)
            record.finish_sampling(number, {})
            record.set_progress("waiting for labels", 0, 0)
            while record.rounds()[-1].submitted is None:
                if record.is_pending("stop"):
                    record.take("stop")
                    record.set_state("paused")
                    return
                time.sleep(0.05)
            record.set_state("training")
            for phase in ("training the embedding", "updating the LoRA"):
                record.set_progress(phase, 0, 40)
                for step in range(1, 41):
                    time.sleep(2 * seconds / 40)
                    name = phase.split()[-1].lower()
                    record.add_metrics(number, step, {f"{name}_loss": np.exp(-step / 9) / step})
                    record.set_progress(phase, step, 40)
            record.finish_training(number, {})
        record.set_figures("pi", {"images": 200, "good": 164, "diversity": 0.15})
        record.set_figures("fresh", {"images": 200, "good": 131, "diversity": 0.18})
        record.set_state("finished")


class EngineThread(threading.Thread):
    """What `start_engine` gives back, for an engine that is played in this process."""

    def poll(self) -> int | None:
        return None if self.is_alive() else 0


def main() -> None:
    """Runs the interface on a played engine."""
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder = make_run(where, rounds=3)

    def start(folder: RunFolder) -> EngineThread:
        engine = EngineThread(target=play_engine, args=(folder,), daemon=True)
        engine.start()
        return engine

    client = RunClient(folder, start)
    code = HeroApp(client).run()
    client.close()
    os._exit(code or 0)


if __name__ == "__main__":
    main()

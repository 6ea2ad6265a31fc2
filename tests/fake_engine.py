"""An engine without a model, for tests of what drives one: it only speaks the record's protocol.

Its arguments are FOLDER ['failing with CODE' | dying]. Pictures are flat colours, training is
instant.
"""

import os
import signal
import threading
from pathlib import Path

from PIL import Image

from hero_engine.run.folder import RunFolder, engine_lock
from hero_engine.run.record import Record
from tests.forked import Forked, fork


class StopRequested(Exception):  # noqa: N818, as hero_engine.interrupts.Stop
    pass


def start(folder: RunFolder, *misbehaviour: str) -> Forked:
    """What `process.start_engine` does, for this engine."""
    return fork(main, [str(folder.path), *misbehaviour], folder.log_file)


def main(arguments: list[str]) -> int:
    folder, misbehaviour = RunFolder(Path(arguments[0])), "".join(arguments[1:])
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with engine_lock(folder):
        record = folder.open_record()
        record.take("stop")
        print("the fake engine starts", flush=True)
        if misbehaviour.startswith("failing with "):
            record.set_state("failed", "the model does not load")
            return int(misbehaviour.split()[-1])
        try:
            run(folder, record, stopped, misbehaviour)
        except StopRequested:
            record.set_state("paused")
            return 3
        record.set_figures("pi", {"images": 10, "good": 8, "diversity": 0.15})
        record.set_figures("fresh", {"images": 10, "good": 6, "diversity": 0.18})
        record.set_figures("base", {"images": 10, "good": 0, "diversity": 0.25})
        record.set_state("finished")
        return 0


def run(folder: RunFolder, record: Record, stopped: threading.Event, misbehaviour: str) -> None:
    task = folder.task()
    trained = len([r for r in record.rounds() if r.trained is not None])
    for number in range(trained, task.feedback.rounds):
        if record.is_pending("finish"):
            return
        images = task.feedback.batch_size
        record.begin_round(number, images)
        record.set_progress("sampling", 0, images)
        for image in range(images):
            path = folder.image(number, image)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (image, number, 0)).save(path)
        record.add_images(number, range(images))
        metrics = {"diversity": 0.2, "noise_norm": 1.0, "sample_s": 0.5}
        record.finish_sampling(number, metrics)
        if misbehaviour == "dying":
            os.kill(os.getpid(), signal.SIGKILL)
        if not labels_came(record, number, stopped):
            return
        record.set_state("training")
        good = record.labels(number).good
        record.finish_training(number, {"train_s": 0.25}, "" if good else "No good picture.")


def labels_came(record: Record, number: int, stopped: threading.Event) -> bool:
    """Waits for them; False: asked to finish instead."""
    while record.rounds()[number].submitted is None:
        if stopped.is_set() or record.is_pending("stop"):
            record.take("stop")
            raise StopRequested
        if record.is_pending("finish"):
            return False
        stopped.wait(0.01)
    return True

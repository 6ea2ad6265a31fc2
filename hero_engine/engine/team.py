"""The engine's processes at work: the main one runs Algorithm 1, its helpers do a share when asked.

Only the main process holds what was learned and writes the record. A helper keeps the model and
nothing else: each request brings the LoRA that it is for. So there is nothing in a helper to save
or to restore, and a run goes on with any number of processes. Requests go over a gloo group without
a time limit, because labels take hours; a helper sleeps there, and its GPU is idle.

Helpers give chunks back as files in the round's folder: a file appears whole, so no process waits
for another to meet it, and pictures are shown as they are drawn.
"""

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from enum import IntEnum
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import PartialState
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from hero_engine.engine import fitting
from hero_engine.engine.interrupts import Stop
from hero_engine.engine.launcher import is_launched
from hero_engine.errors import EngineError, InputError
from hero_engine.method import rollout, sharding
from hero_engine.method.lesson import Lesson
from hero_engine.method.objectives import objective_of
from hero_engine.method.rollout import OnChunk, Rollout
from hero_engine.method.update import OnStep, update
from hero_engine.model import diffusion
from hero_engine.model.diffusion import Model
from hero_engine.model.tensorfile import save_tensors
from hero_engine.run.folder import RunFolder
from hero_engine.run.options import EngineOptions
from hero_engine.run.task import Task

NO_LIMIT = timedelta(days=3650)
WATCH_SECONDS = 0.5

log = logging.getLogger(__name__)


class Request(IntEnum):
    """What a helper is asked for; the values that come with it."""

    SAMPLE = 0
    """Its chunks of a round, from z_T."""
    TRAIN = 1
    """Its share of a round's gradients, from a lesson; the rollout is in the run folder."""
    END = 2


class Team:
    """The engine's processes, as the main one uses them; it may be alone."""

    def __init__(self, size: int = 1, requests: dist.ProcessGroup | None = None) -> None:
        self.size = size
        self._requests = requests
        self._given_up: list[Path] = []

    @classmethod
    def of_this_engine(cls) -> "Team":
        """The team that this main process was started with; meets the helpers, if it has any.

        Raises:
            InputError: the processes do not fit the machine.
        """
        if not is_launched():
            return cls()
        requests = _meet()
        pids = torch.tensor([os.getpid()])
        dist.broadcast(pids, 0, group=requests)
        _end_with_the_launcher_and()
        log.info("%d processes, this is the main one: %d", dist.get_world_size(), os.getpid())
        return cls(dist.get_world_size(), requests)

    @torch.no_grad()
    def sample(
        self,
        model: Model,
        task: Task,
        z_T: Tensor,
        round_number: int,
        on_chunk: OnChunk,
        folder: RunFolder,
        wait: Callable[[], None],
    ) -> Rollout:
        """`rollout.sample`, shared; `on_chunk` is called here for each chunk, as they come.

        Args:
            wait: called while there is nothing to do but to wait for helpers; it may raise.

        Raises:
            Stop: a helper is gone.
        """
        handed_over = folder.chunks(round_number)
        shutil.rmtree(handed_over, ignore_errors=True)
        if self.size == 1:
            return rollout.sample(model, task, z_T, round_number, on_chunk)
        chunks = rollout.chunks_of(len(z_T), task.sampling.chunk_size)
        drawn: dict[int, Rollout] = {}

        def keep(number: int, chunk: Rollout, pictures: Tensor) -> None:
            drawn[number] = chunk
            on_chunk(chunks[number].tolist(), chunk.z_0, pictures)

        def keep_arrived() -> None:
            for number in sorted(set(range(len(chunks))) - drawn.keys()):
                if _chunk_file(handed_over, number).is_file():
                    keep(number, *_load_chunk(_chunk_file(handed_over, number)))

        with self._wanted(handed_over):
            self._ask(Request.SAMPLE, round_number, z_T, model)
            for number in sharding.dealt(chunks, self.size, 0):
                chunk, pictures = rollout.sample_chunk(
                    model, task, z_T, round_number, chunks[number]
                )
                keep(number, chunk, pictures)
                keep_arrived()
            while len(drawn) < len(chunks):
                wait()
                keep_arrived()
        shutil.rmtree(handed_over)
        return rollout.concatenate([drawn[number] for number in range(len(chunks))])

    def update(
        self, lesson: Lesson, model: Model, optimizer: torch.optim.Optimizer, on_step: OnStep
    ) -> None:
        """`update.update` by the task's objective, shared; the rollout must be in the run folder.

        Raises:
            Stop: a helper is gone.
            EngineError: as `update.update`.
        """
        self._ask(Request.TRAIN, lesson.round_number, lesson.packed(), model)
        with _stopping_if_one_is_gone():
            objective = objective_of(lesson.task).of(model, lesson)
            update(objective, model, optimizer, lesson.task, on_step)

    def dismiss(self, model: Model) -> None:
        """Lets the helpers end, when the run has; the team cannot be used any more."""
        if self.size == 1:
            return
        self._ask(Request.END, 0, torch.zeros(0), model)
        dist.destroy_process_group()
        for folder in self._given_up:
            shutil.rmtree(folder)

    def _ask(self, request: Request, round_number: int, values: Tensor, model: Model) -> None:
        if self._requests is None:
            return
        lora = parameters_to_vector(model.lora().values()).detach().cpu()
        payload = torch.cat([values.flatten(), lora])
        header = torch.tensor([request, round_number, values.numel(), lora.numel()])
        with _stopping_if_one_is_gone():
            dist.broadcast(header, 0, group=self._requests)
            dist.broadcast(payload, 0, group=self._requests)

    @contextmanager
    def _wanted(self, folder: Path) -> Iterator[None]:
        """While this lasts, helpers work for `folder`; if it is left early, they soon give up.

        Then they may still be writing there, and it is removed when they have ended.
        """
        folder.mkdir(parents=True)
        _wanted_file(folder).touch()
        try:
            yield
        except BaseException:
            self._given_up.append(folder)
            raise
        finally:
            _wanted_file(folder).unlink()


def help_main(folder: RunFolder, options: EngineOptions) -> None:
    """A helper's life: does what the main process asks, until told to end or one is gone."""
    requests = _meet()
    main = torch.zeros(1, dtype=torch.int64)
    dist.broadcast(main, 0, group=requests)
    # When all are asked to stop, the main process decides where, and this one ends after it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _end_with_the_launcher_and(int(main))
    task, model = folder.task(), None
    try:
        with _stopping_if_one_is_gone():
            while (asked := _receive(requests))[0] != Request.END:
                request, round_number, values, lora = asked
                # Loaded when the main process has done so: what is wrong with a model is said once.
                if model is None:
                    model = diffusion.load(task, options.is_small)
                    fitting.apply_options(model, task, options)
                sharding.fill(list(model.lora().values()), lora.to(model.device))
                if request == Request.SAMPLE:
                    z_T = values.view(-1, *model.latent_shape)
                    _hand_over_chunks(model, task, z_T, round_number, folder.chunks(round_number))
                else:
                    kept = Rollout.load(folder.rollout(round_number))
                    lesson = Lesson.unpacked(values, kept, task, round_number)
                    update(objective_of(task).of(model, lesson), model, None, task)
    except Stop:
        return
    dist.destroy_process_group()


def _receive(requests: dist.ProcessGroup) -> tuple[Request, int, Tensor, Tensor]:
    header = torch.zeros(4, dtype=torch.int64)
    dist.broadcast(header, 0, group=requests)
    request, round_number, *sizes = header.tolist()
    payload = torch.zeros(sum(sizes))
    dist.broadcast(payload, 0, group=requests)
    values, lora = payload.split(sizes)
    return Request(request), round_number, values, lora


@torch.no_grad()
def _hand_over_chunks(
    model: Model, task: Task, z_T: Tensor, round_number: int, folder: Path
) -> None:
    chunks = rollout.chunks_of(len(z_T), task.sampling.chunk_size)
    for number in sharding.dealt(chunks, dist.get_world_size(), dist.get_rank()):
        if not _wanted_file(folder).exists():
            return
        chunk, pictures = rollout.sample_chunk(model, task, z_T, round_number, chunks[number])
        _save_chunk(_chunk_file(folder, number), chunk, pictures)


def _wanted_file(folder: Path) -> Path:
    return folder / "wanted"


def _chunk_file(folder: Path, number: int) -> Path:
    return folder / f"{number:03d}.safetensors"


def _save_chunk(path: Path, chunk: Rollout, pictures: Tensor) -> None:
    tensors = {field.name: getattr(chunk, field.name) for field in fields(chunk)}
    tensors["pictures"] = pictures
    # Not synced: it is not needed longer than the processes live.
    writing = path.with_suffix(".writing")
    save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, writing)
    writing.replace(path)


def _load_chunk(path: Path) -> tuple[Rollout, Tensor]:
    tensors = load_file(path)
    pictures = tensors.pop("pictures")
    return Rollout(**tensors), pictures


def _meet() -> dist.ProcessGroup:
    """Meets the engine's other processes, and makes the group for requests."""
    size, here = int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if here != size:
        raise InputError(
            f"{here} of {size} processes are on this machine: a run's processes must be on one "
            "machine, because they share its folder; set num_machines to 1 in Accelerate's config"
        )
    gpus = torch.cuda.device_count()
    if gpus and size > gpus:
        raise InputError(
            f"--num-processes {size}: expected at most {gpus}, one for each GPU that can be used"
        )
    # Accelerate's state is one for the process: the Accelerator of `diffusion.load` finds it.
    PartialState(cpu=not gpus)
    requests: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=NO_LIMIT)
    return requests


def _end_with_the_launcher_and(*others: int) -> None:
    """Has this process end soon after its launcher or one of the processes `others` is gone.

    In a thread, because the main thread may be waiting for one that will never answer.
    """
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher and all(map(_is_alive, others)):
            time.sleep(WATCH_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, name="watch", daemon=True).start()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _stopping_if_one_is_gone() -> Iterator[None]:
    """Raises Stop in place of what a collective raises when a process is gone.

    Why it is gone is said by the launcher, who knows.

    Raises:
        EngineError: NCCL failed, which may have other reasons.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).strip().partition("\n")[0]
        if isinstance(error, dist.DistBackendError):  # of NCCL, whose reason may be the machine
            raise EngineError(
                f"the engine's processes cannot work together: {said}; if none of them was ended "
                "from outside, see NCCL's hints (NCCL_DEBUG=INFO), or use --num-processes 1"
            ) from error
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        log.warning("another process of the engine is gone, this one stops: %s", said)
        raise Stop from error

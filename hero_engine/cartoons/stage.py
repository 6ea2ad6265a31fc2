"""One stage of a training: the loop, its checkpoints and its log.

A stage is a model and a loss of a step's number. It can be killed at any instant and continues from
its last checkpoint to the same bits, so long as the loss draws its randomness from that number.
Knows nothing of pictures or pipelines.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

LOG_EVERY = 10
WARM_UP_STEPS = 100
FINAL_LR_SHARE = 0.02


@dataclass(frozen=True)
class Stage:
    """One run of the loop. `loss(step)` draws that step's batch and returns a scalar.

    `settings` is what the result depends on: work under other settings is not continued.
    """

    name: str
    settings: dict[str, Any]
    model: nn.ModuleDict
    loss: Callable[[int], Tensor]
    steps: int
    lr: float
    ema: float
    stop: int | None = None

    @property
    def end(self) -> int:
        """The last step: all `steps`, unless it is to `stop` on the way."""
        return self.steps if self.stop is None else min(self.stop, self.steps)


def run(
    stage: Stage,
    out: Path,
    save_every: float,
    on_save: Callable[[nn.ModuleDict], object] = lambda average: None,
) -> nn.ModuleDict:
    """Train `stage` to its end from its checkpoint in `out`, if any; returns the moving average.

    A checkpoint is written every `save_every` seconds, `on_save` then called with the average so
    far, and one at the end.
    """
    stage.model.train().requires_grad_(True)
    average = AveragedModel(stage.model, avg_fn=_moving_average(stage.ema))
    optimizer = torch.optim.AdamW(stage.model.parameters(), lr=stage.lr, betas=(0.9, 0.99))
    checkpoint = Checkpoint(out / f"{stage.name}.safetensors", stage, average, optimizer)
    start, spent = checkpoint.load()
    log = Log(out / "log.jsonl", stage, start, spent)
    saved = time.monotonic()
    for step in range(start, stage.end):
        for group in optimizer.param_groups:
            group["lr"] = stage.lr * lr_share(step, stage.steps)
        loss = stage.loss(step)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(stage.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(stage.model)
        log.add(step, loss.item())
        done = step + 1
        due = done % LOG_EVERY == 0 and time.monotonic() - saved >= save_every
        if due or done == stage.end:
            checkpoint.save(done, log.seconds)
            saved = time.monotonic()
        if due:
            on_save(_averaged(average))
    return _averaged(average).eval().requires_grad_(False)


def _averaged(average: AveragedModel) -> nn.ModuleDict:
    return cast(nn.ModuleDict, average.module)


def lr_share(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to FINAL_LR_SHARE of the learning rate."""
    warm_up = min(1.0, (step + 1) / min(WARM_UP_STEPS, max(steps // 10, 1)))
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return warm_up * (FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * cosine)


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential, with a shorter memory at the start so as to forget the initial weights."""

    def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        share = min(decay, float((1 + count) / (10 + count)))
        return torch.lerp(old, new, 1 - share)

    return average


@dataclass(frozen=True)
class Checkpoint:
    """The state of a stage in one safetensors file, complete before it takes its name."""

    path: Path
    stage: Stage
    average: AveragedModel
    optimizer: torch.optim.Optimizer

    def save(self, step: int, seconds: float) -> None:
        """Write the state after `step` steps, which took `seconds`."""
        tensors = {f"model.{key}": value for key, value in self.stage.model.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
        write_tensors(self.path, tensors, self.stage.settings, step=step, seconds=seconds)

    def load(self) -> tuple[int, float]:
        """Restore the state; returns the steps done and the seconds they took, or (0, 0)."""
        if not self.path.exists():
            return 0, 0.0
        tensors, notes = read_tensors(self.path, self.stage.settings)
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, key = name.split(".", 1)
            groups[group][key] = tensor
        self.stage.model.load_state_dict(groups["model"])
        self.average.load_state_dict(groups["average"])
        states: dict[int, dict[str, Tensor]] = {}
        for key, tensor in groups["optimizer"].items():
            number, entry = key.split(".")
            states.setdefault(int(number), {})[entry] = tensor
        self.optimizer.load_state_dict(
            {"state": states, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        return int(notes["step"]), float(notes["seconds"])


class Log:
    """log.jsonl and the progress on stderr: the mean loss of every LOG_EVERY steps."""

    def __init__(self, path: Path, stage: Stage, start: int, spent: float) -> None:
        """Lines of `stage` after step `start` belong to work that was lost, and are dropped."""
        self._path, self._stage, self._losses = path, stage, list[float]()
        self._start, self._spent, self._began = start, spent, time.monotonic()
        kept = [e for e in read_log(path) if e["stage"] != stage.name or e["step"] <= start]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        replace(path, lambda temporary: temporary.write_text(text))

    @property
    def seconds(self) -> float:
        """Time spent in the stage, over all its interruptions."""
        return self._spent + time.monotonic() - self._began

    def add(self, step: int, loss: float) -> None:
        """Note one step; raises FloatingPointError when its loss is not a number."""
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"{self._stage.name} step {step}: the loss is {loss}. Lower the learning rate."
            )
        self._losses.append(loss)
        done = step + 1
        if done % LOG_EVERY and done != self._stage.end:
            return
        mean = sum(self._losses) / len(self._losses)
        self._losses.clear()
        line = {
            "stage": self._stage.name,
            "step": done,
            "loss": round(mean, 5),
            "seconds": round(self.seconds, 1),
        }
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        pace = (time.monotonic() - self._began) / (done - self._start)
        left = (self._stage.end - done) * pace / 60
        print(
            f"{self._stage.name} {done}/{self._stage.end}  loss {mean:.4f}  "
            f"{pace:.2f} s/step  {left:.1f} min left",
            file=sys.stderr,
            flush=True,
        )


def read_log(path: Path) -> list[dict[str, Any]]:
    """The log's entries; a line cut short by a kill is left out."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then give it the name."""
    temporary = path.with_name(path.name + ".new")
    write(temporary)
    temporary.replace(path)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], settings: dict[str, Any], **notes: float
) -> None:
    """A safetensors file that says which settings it was made under."""
    metadata = {"notes": json.dumps(notes), "settings": json.dumps(settings)}
    replace(path, lambda new: save_file(tensors, new, metadata))


def read_tensors(
    path: Path, settings: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Tensors and notes; raises ValueError when `path` was made under other settings."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    found = json.loads(metadata["settings"])
    other = [f"{name} {found.get(name)}" for name in settings if found.get(name) != settings[name]]
    if other:
        raise ValueError(
            f"{path}: was made with {', '.join(other)}. "
            "Use the same to continue it, or another --out."
        )
    return load_file(path), json.loads(metadata["notes"])

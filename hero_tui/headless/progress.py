"""A run's progress on stderr, for who follows it without the interface."""

import sys
import time
from collections.abc import Mapping
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from hero_engine.run.collapse import figures, way_back
from hero_engine.run.folder import RunFolder, engine_holder
from hero_engine.run.judges import is_evaluated
from hero_engine.run.labels import KEEP
from hero_engine.run.overtraining import find_overtraining, ways_out
from hero_engine.run.record import Noise, Record, Round
from hero_engine.run.text import plain_lines
from hero_tui.streams import drawn


def console_and_bar() -> tuple[Console, Progress]:
    """What is said on stderr, and a bar below it, of tasks that have `counts`: in a terminal."""
    console = Console(file=drawn(sys.stderr), highlight=False, markup=False, soft_wrap=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[counts]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    return console, bar


class RunProgress:
    """Follows the record on stderr: a line a round, and in a terminal a bar for the phase."""

    def __init__(self, folder: RunFolder, record: Record) -> None:
        self._folder = folder
        self._record = record
        task = folder.task()
        self._rounds = task.feedback.rounds
        self._evaluated = [
            folder.final_image(noise, image)
            for noise in get_args(Noise)
            for image in range(task.evaluation.images if is_evaluated(task) else 0)
        ]
        self._console, self._bar = console_and_bar()
        rounds = record.rounds()
        self._submitted = len([r for r in rounds if r.submitted is not None])
        self._trained = len([r for r in rounds if r.trained is not None])
        self._collapse = rounds[-1].collapse if rounds else ""
        self._is_warned = False
        self._phase = ""
        self._began = time.time()
        self._start = record.start()
        self._task = self._bar.add_task("starting the engine", total=None, counts="")
        self._bar.start()
        self.say(f"Run {folder.reference}: {self._rounds} rounds")

    def close(self) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._console.print(Text(plain_lines(text)))

    def show(self) -> None:
        """Says what is new in the record since the last call."""
        rounds = self._record.rounds()
        if self._start is not None and self._start.learned is None:
            self._start = self._record.start()
            if self._start is not None and self._start.learned is not None:
                self.say(f"Learned from {self._start.words}. {self._start.outcome}".rstrip())
        for r in [r for r in rounds if r.submitted is not None][self._submitted :]:
            self._submitted += 1
            self.say(self._labelled(r))
        if rounds and rounds[-1].collapse not in ("", self._collapse):
            self._collapse, back_to = rounds[-1].collapse, rounds[-1].back_to
            self.say(f"  {self._collapse} {way_back(back_to, self._folder.reference)}")
        for r in [r for r in rounds if r.trained is not None][self._trained :]:
            self._warn_of_overtraining(r.number)
            self._trained += 1
            if r.outcome:
                self.say(f"  {r.outcome}")
        self._show_phase(rounds)

    def _warn_of_overtraining(self, latest: int) -> None:
        """Once, and no more after a collapse."""
        task = self._folder.task()
        found = find_overtraining(figures(self._record, task))
        if found is not None and not self._is_warned and not self._collapse:
            self._is_warned = True
            self.say(f"  {found.words} {ways_out(found, latest, task, self._folder.reference)}")

    def _labelled(self, r: Round) -> str:
        if not self._folder.task().asks_for_labels:
            return f"Round {r.number}: {r.images} pictures"
        labels = self._record.labels(r.number)
        good, unsure = len(labels.good), len(labels.unsure)
        sure = r.images - unsure
        said = f"Round {r.number}: {good} of {sure} good"
        said += f" ({good / sure:.0%})" if sure else ""
        said += f", {unsure} unsure" if unsure else ""
        if labels.best is not None:
            said += ", the best stays" if labels.best == KEEP else f", best {labels.best}"
        return said

    def _before(self, rounds: list[Round]) -> dict[int, tuple[float, float]]:
        """As `seconds_left` wants it: the run may have been paused in what began before this."""
        found = {}
        for r in rounds:
            if r.started < self._began and r.trained is not None:
                metrics = self._record.metrics(r.number)
                if {"sample_s", "train_s"} <= metrics.keys():
                    found[r.number] = metrics["sample_s"][0][1], metrics["train_s"][0][1]
        return found

    def _show_phase(self, rounds: list[Round]) -> None:
        if engine_holder(self._folder) is None:
            return  # What the record says was an earlier engine's doing.
        done = self._record.progress()
        to_evaluate = sum(not picture.is_file() for picture in self._evaluated)
        submitted = sum(r.submitted is not None for r in rounds)
        total = submitted if self._record.is_pending("finish") else self._rounds
        left = seconds_left(rounds, total, time.time(), to_evaluate, self._before(rounds))
        estimate = "" if left is None else f"run: about {_clock(left)} left"
        # Without a terminal, a phase is a line; the labeler's turn is over before one could read.
        new_phase = done.phase != self._phase and done.total > 0
        if new_phase and not self._console.is_terminal:
            self.say(f"  {done.phase}" + (f" ({estimate})" if estimate else ""))
        self._phase = done.phase
        self._bar.update(
            self._task,
            description=done.phase or "starting the engine",
            completed=done.done,
            total=done.total or None,
            counts=f"{done.done}/{done.total}  {estimate}" if done.total else estimate,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def seconds_left(
    rounds: list[Round],
    total: int,
    now: float,
    to_evaluate: int = 0,
    measured: Mapping[int, tuple[float, float]] | None = None,
) -> float | None:
    """An estimate for the rounds of a run, from the mean of those that are trained, and for drawing
    `to_evaluate` pictures after them, from how long the rounds' took.

    Args:
        measured: seconds of sampling and of training, by the number of the round, of those that
            were not worked on from their beginning to their end.
    """
    drawn = {r.number: r.sampled - r.started for r in rounds if r.sampled is not None}
    took = {r.number: r.trained - r.started for r in rounds if r.trained is not None}
    for number, (sampling, training) in (measured or {}).items():
        drawn[number], took[number] = sampling, sampling + training
    if not took:
        return None
    mean = sum(took.values()) / len(took)
    current = 0.0 if rounds[-1].trained is not None else min(mean, now - rounds[-1].started)
    pace = sum(drawn.values()) / sum(r.images for r in rounds if r.number in drawn)
    return max(0.0, mean * (total - len(took)) - current) + pace * to_evaluate

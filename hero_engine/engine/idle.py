"""Freeing the accelerator while nobody labels: `--idle-offload`."""

import logging
import time

import torch
from accelerate.utils.memory import clear_device_cache

from hero_engine.errors import EngineError
from hero_engine.method.state import TrainingState

log = logging.getLogger(__name__)


class IdleOffload:
    """Moves everything learned and the pipeline off the accelerator, and back when it is needed.

    It comes back in the same bits. On a machine without an accelerator nothing is moved.
    """

    def __init__(self, learned: TrainingState, minutes: float | None) -> None:
        self._learned = learned
        self._seconds = None if minutes is None else 60 * minutes
        self._home = learned.model.device
        self._news_at = time.monotonic()
        self.away = False
        if minutes is not None and self._home.type == "cpu":
            log.info("--idle-offload does nothing: the model is in the CPU's memory anyway")
            self._seconds = None

    def news(self) -> None:
        """Somebody is labeling."""
        self._news_at = time.monotonic()

    def tick(self) -> None:
        """Leaves the accelerator if there has been no news for long enough."""
        if self._seconds is None or self.away:
            return
        if time.monotonic() - self._news_at >= self._seconds:
            self._move(torch.device("cpu"))
            clear_device_cache(garbage_collection=True)
            self.away = True
            log.info("nobody is labeling: the weights have left the accelerator")

    def come_back(self) -> None:
        """Has everything on the accelerator again.

        Raises:
            EngineError: its memory was given to somebody else meanwhile.
        """
        if not self.away:
            return
        try:
            self._move(self._home)
        except torch.OutOfMemoryError as error:
            raise EngineError(
                "the accelerator's memory was taken while nobody labeled: end what holds it, then "
                "continue the run"
            ) from error
        self.away = False
        log.info("the weights are back on the accelerator")

    def _move(self, device: torch.device) -> None:
        model = self._learned.model
        for module in (*model.resident, self._learned.embedder):
            module.to(device)
        for optimizer in (self._learned.lora_optimizer, self._learned.embedder_optimizer):
            for tensors in optimizer.state.values():
                tensors.update({name: value.to(device) for name, value in tensors.items()})

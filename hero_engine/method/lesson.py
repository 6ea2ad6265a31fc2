"""What an update learns from, whatever it is."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hero_engine.method.rollout import Rollout
from hero_engine.run.task import Task


def _none() -> Tensor:
    return torch.zeros(0)


@dataclass(frozen=True)
class Lesson:
    """A round as its update sees it.

    Attributes:
        rollout: of the round.
        advantage: of its pictures, [N]; 0 where nothing is learned from one.
        images: the pictures that are learned from, int64 [M], ascending.
        examples: clean latents to be drawn as they are, of any round, [E, C, H, W].
        example_images: their numbers in their rounds, int64 [E], from which come their prompts.
    """

    rollout: Rollout
    advantage: Tensor
    images: Tensor
    task: Task
    round_number: int
    examples: Tensor = field(default_factory=_none)
    example_images: Tensor = field(default_factory=_none)

    def packed(self) -> Tensor:
        """All but the rollout, which is in the run folder, as one vector for another process."""
        counts = torch.tensor([len(self.images), len(self.examples)])
        parts = (counts, self.advantage, self.images, self.example_images, self.examples.flatten())
        return torch.cat([part.float() for part in parts])

    @classmethod
    def unpacked(cls, values: Tensor, rollout: Rollout, task: Task, round_number: int) -> "Lesson":
        """What `packed` made."""
        images, examples = (int(count) for count in values[:2])
        pictures, latent_shape = len(rollout.z_0), rollout.z_0.shape[1:]
        advantage, chosen, numbers, latents = values[2:].split(
            [pictures, images, examples, examples * latent_shape.numel()]
        )
        return cls(
            rollout,
            advantage,
            chosen.long(),
            task,
            round_number,
            latents.view(examples, *latent_shape),
            numbers.long(),
        )

"""DreamBooth on a LoRA: to draw given pictures by a word of their own (Ruiz et al. 2023).

The loss is the denoising error of the examples under `identifier prompt`, plus prior_weight times
that of the pretrained model's own pictures under the prompt alone, which is to stay what it was.
Settings are those of diffusers' script for DreamBooth with LoRA.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hero_engine.method.lesson import Lesson
from hero_engine.method.rollout import prompts_of, sample_latents
from hero_engine.method.update import LearnsFrom
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.model.schedule import noised, target


@dataclass(frozen=True)
class Supervised:
    """The objective: `update.optimizer_steps` steps of `update.batch_size` examples.

    An item is the number of a draw: an example and a picture of the prior, each with a time and
    noise of its own. Metrics: the two parts of the loss, example_error and prior_error.

    Attributes:
        prior: the pretrained model's clean latents, [R, C, H, W].
        example, of_prior: each draw's example and picture of the prior, int64 [D].
        time: of both, among those that the model was trained at, int64 [D, 2].
        epsilon: [D, 2, C, H, W].
    """

    learns_from: ClassVar[LearnsFrom] = "examples"
    mean_metrics: ClassVar[tuple[str, ...]] = ("example_error", "prior_error")
    max_metrics: ClassVar[tuple[str, ...]] = ()

    lesson: Lesson
    prior: Tensor
    example: Tensor
    of_prior: Tensor
    time: Tensor
    epsilon: Tensor

    @classmethod
    def of(cls, model: Model, lesson: Lesson) -> "Supervised":
        """Draws the pictures of the prior, with the LoRA off, and what is trained on them."""
        task, update = lesson.task, lesson.task.update
        numbers = torch.arange(update.prior_images)
        z_T = seeds.normal(task.seed, "prior", 0, numbers.tolist(), model.latent_shape)
        with model.adapter_off():
            prior = sample_latents(model, task, z_T, numbers, "prior")
        draws = update.optimizer_steps * update.batch_size
        generator = seeds.generator(task.seed, "forward", lesson.round_number)
        turns = torch.arange(draws)
        return cls(
            lesson,
            prior,
            turns % len(lesson.examples),
            turns % len(prior),
            torch.randint(len(model.schedule.trained.noise), (draws, 2), generator=generator),
            torch.randn((draws, 2, *model.latent_shape), generator=generator),
        )

    def steps(self) -> list[Tensor]:
        return list(torch.arange(len(self.example)).split(self.lesson.task.update.batch_size))

    def losses(self, model: Model, items: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        task, lesson = self.lesson.task, self.lesson
        example, of_prior = self.example[items], self.of_prior[items]
        # Those with the identifier come after as many without (`Task.all_prompts`).
        with_identifier = len(task.all_prompts) - len(task.prompts)
        prompts = torch.cat(
            [
                prompts_of(lesson.example_images[example], task) + with_identifier,
                prompts_of(of_prior, task),
            ]
        )
        z_0 = torch.cat([lesson.examples[example], self.prior[of_prior]]).to(model.device)
        level = model.schedule.trained.at(self.time[items].T.flatten(), z_0)
        epsilon = self.epsilon[items].transpose(0, 1).flatten(0, 1).to(model.device)
        z_t = noised(z_0, epsilon, level)
        prediction = model.predict_at(z_t, level.timesteps, prompts.to(model.device), 1.0)
        right = target(model.schedule.prediction_type, z_0, epsilon, level)
        errors = (prediction - right).pow(2).flatten(1).mean(1)
        of_examples, of_prior_pictures = errors.chunk(2)
        return of_examples + task.update.prior_weight * of_prior_pictures, {
            "example_error": of_examples.detach(),
            "prior_error": of_prior_pictures.detach(),
        }

    def check(self, model: Model, metrics: Mapping[str, float]) -> None:
        """There is nothing to check: no earlier policy has a part in the loss."""

"""How like the reigning best pictures are, by what the embedding has learned."""

import torch
from torch import Tensor

from hero_engine.method.objectives import objective_of
from hero_engine.method.reward import similarity_to_best, uses_embedding
from hero_engine.method.state import TrainingState
from hero_engine.run.methods import NO_UPDATE
from hero_engine.run.task import Task


@torch.no_grad()
def guesses(learned: TrainingState, task: Task, z_0: Tensor) -> list[float] | None:
    """Similarity to the reigning best (Eq. 4) before the labels: what the person may find good.

    None before there is a best, or if the reward has no use for the embedding, which is not trained
    then.
    """
    if learned.best_z_0 is None or not trains_embedding(task):
        return None
    embedded_best = embed(learned, learned.best_z_0[None])[0]
    return similarity_to_best(embed(learned, z_0), embedded_best).tolist()


@torch.no_grad()
def likeness_to_best(learned: TrainingState, task: Task, z_0: Tensor) -> Tensor:
    """Cosine of each of `z_0` [N, C, H, W] to the reigning best, [N]: as Eq. 4 where there is an
    embedding, else of the latents.
    """
    assert learned.best_z_0 is not None
    guessed = guesses(learned, task, z_0)
    if guessed is not None:
        return torch.tensor(guessed)
    return similarity_to_best(z_0.flatten(1), learned.best_z_0.flatten())


def trains_embedding(task: Task) -> bool:
    """Whether anything of the method asks for the embedding."""
    if task.update.objective == NO_UPDATE or objective_of(task).learns_from != "rewards":
        return False
    return uses_embedding(task.reward.name)


def embed(learned: TrainingState, z_0: Tensor) -> Tensor:
    """E_theta of `z_0` [N, C, H, W]: [N, D], on the CPU."""
    return learned.embedder.network(z_0.to(learned.model.device)).cpu()  # type: ignore[no-any-return]

"""How far the model has gone from the pretrained one."""

import torch

from hero_engine.method.rollout import prompts_of
from hero_engine.method.update import passes, until_it_fits
from hero_engine.model import seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.task import Task

DRAWS = 16


@torch.no_grad()
def base_drift(model: Model, task: Task) -> float:
    """Mean |v - v_base|^2 of the predictions at the first step, on noise that is the same in every
    round: what a picture will be is decided there. Without guidance, in the space of what the
    network predicts.

    Raises:
        EngineError: memory does not suffice for one of the draws.
    """
    items = torch.arange(DRAWS)
    noise = seeds.normal(0, "drift", 0, items.tolist(), model.latent_shape)
    first = torch.zeros_like(items)

    def measure() -> float:
        total = 0.0
        for part in passes(model, items):
            z_t, i = noise[part].to(model.device), first[part].to(model.device)
            prompts = prompts_of(part, task).to(model.device)
            taught = model.predict(z_t, i, prompts, 1.0)
            with model.adapter_off():
                base = model.predict(z_t, i, prompts, 1.0)
            total += float((taught - base).pow(2).flatten(1).mean(1).sum())
        return total / DRAWS

    return until_it_fits(model, items, measure, passes)

"""The samplers that diffusers offers for these models, by name."""

from inspect import signature
from typing import Any, NamedTuple

from diffusers import SchedulerMixin

from hero_engine.errors import InputError


class Sampler(NamedTuple):
    """A scheduler's class in diffusers, and its name in A1111."""

    scheduler: str
    a1111: str


SAMPLERS = {
    "ddim": Sampler("DDIMScheduler", "DDIM"),
    "ddpm": Sampler("DDPMScheduler", "DDPM"),
    "deis": Sampler("DEISMultistepScheduler", "DEIS"),
    "dpm++": Sampler("DPMSolverMultistepScheduler", "DPM++ 2M"),
    "dpm++s": Sampler("DPMSolverSinglestepScheduler", "DPM++ 2S"),
    "dpm2": Sampler("KDPM2DiscreteScheduler", "DPM2"),
    "dpm2a": Sampler("KDPM2AncestralDiscreteScheduler", "DPM2 a"),
    "euler": Sampler("EulerDiscreteScheduler", "Euler"),
    "euler-a": Sampler("EulerAncestralDiscreteScheduler", "Euler a"),
    "heun": Sampler("HeunDiscreteScheduler", "Heun"),
    "lms": Sampler("LMSDiscreteScheduler", "LMS"),
    "pndm": Sampler("PNDMScheduler", "PLMS"),
    "unipc": Sampler("UniPCMultistepScheduler", "UniPC"),
}
"""By short name. A model's own list, `scheduler.compatibles`, says which of them it takes."""


UNFIT = {"EDMEulerScheduler", "DPMSolverSDEScheduler"}
"""In diffusers' list, but the first is for models of EDM's preconditioning (from these it draws
noise), and the second takes its noise from torch's global generator, so no seed repeats it."""


def a1111_name(scheduler: Any) -> str:
    """What A1111 calls the scheduler's kind; else its class."""
    name = type(scheduler).__name__
    return next((s.a1111 for s in SAMPLERS.values() if s.scheduler == name), name)


def scheduler_of(pipeline: Any, wanted: str | None) -> Any:
    """The scheduler named `wanted`, short or by its class, with the model's noise schedule.

    None is DDIM, with which the run sampled. None of them clips z_0, as the engine does not.

    Raises:
        InputError: the pipeline takes none of that name, or it needs a library that is not here.
    """
    name = "DDIMScheduler" if wanted is None else wanted
    if name.lower() in SAMPLERS:
        name = SAMPLERS[name.lower()].scheduler
    compatible = {
        found.__name__.lower(): found
        for found in pipeline.scheduler.compatibles
        if found.__name__ not in UNFIT
    }
    chosen = compatible.get(name.lower())
    if chosen is None:
        offered = [found.__name__ for found in compatible.values() if _is_here(found)]
        short = [key for key, sampler in SAMPLERS.items() if sampler.scheduler in offered]
        raise InputError(
            f"--scheduler {wanted}: this model takes {', '.join(short)}, or a class of diffusers: "
            f"{', '.join(sorted(offered))}"
        )
    if not _is_here(chosen):
        raise InputError(
            f"--scheduler {wanted}: {name} needs a library that is not installed "
            f"({' '.join(chosen._backends)}); install it or take another"
        )
    unclipped = {"clip_sample": False} if "clip_sample" in signature(chosen).parameters else {}
    return chosen.from_config(pipeline.scheduler.config, **unclipped)


def _is_here(scheduler: Any) -> bool:
    # In place of a class whose libraries are missing, diffusers has a stub.
    return issubclass(scheduler, SchedulerMixin)

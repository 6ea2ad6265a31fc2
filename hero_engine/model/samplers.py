"""The samplers that diffusers offers for these models, by name, and the steps they can take."""

from inspect import signature
from typing import Any, NamedTuple

from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, SchedulerMixin

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


BELOW_ONE = 0.999999
"""Of `eta_in_diffusers`."""


def a1111_name(scheduler: Any) -> str:
    """What A1111 calls the scheduler's kind; else its class."""
    name = type(scheduler).__name__
    return next((s.a1111 for s in SAMPLERS.values() if s.scheduler == name), name)


def scheduler_of(pipeline: Any, wanted: str | None) -> Any:
    """The scheduler named `wanted`, short or by its class, with the model's noise schedule.

    None is what the run sampled with: DDIM, or a flow model's own, which takes no other. None of
    them clips z_0, as the engine does not.

    Raises:
        InputError: the pipeline takes none of that name, or it needs a library that is not here.
    """
    if isinstance(pipeline.scheduler, FlowMatchEulerDiscreteScheduler):
        if wanted is not None:
            raise InputError(
                f"--scheduler {wanted}: a flow model is drawn with its own; leave --scheduler out"
            )
        return pipeline.scheduler
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


def check_steps(scheduler: Any, steps: int) -> None:
    """Refuses a number of steps that does not begin near pure noise, which z_T is.

    Those of a flow model's scheduler always do.

    The spacing of Stable Diffusion ("leading") takes steps of whole timesteps from the clean end:
    600 of them, one each, would begin at timestep 600 of 1000.

    Raises:
        InputError: names the nearest numbers that will do.
    """
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return
    wrong = _what_is_wrong(scheduler, steps)
    if wrong:
        most = scheduler.config.num_train_timesteps
        fewer, more = range(steps - 1, 0, -1), range(steps + 1, most + 1)
        fitting = [
            next((n for n in numbers if not _what_is_wrong(scheduler, n)), None)
            for numbers in (fewer, more)
        ]
        instead = " or ".join(str(n) for n in fitting if n is not None)
        raise InputError(
            f"{steps} steps (sampling.steps, or --steps): {wrong}; take {instead} steps"
        )


def _what_is_wrong(scheduler: Any, steps: int) -> str:
    # A copy, since a few change their configuration with the number of steps.
    scheduler = type(scheduler).from_config(scheduler.config)
    name, last = type(scheduler).__name__, scheduler.config.num_train_timesteps - 1
    try:
        scheduler.set_timesteps(steps)
    except (ValueError, IndexError):
        return f"{name} cannot draw in so {'many' if steps > last else 'few'} with this model"
    begin = round(float(scheduler.timesteps.max()))
    # Fewer than eight steps are longer than an eighth.
    if 0 <= last - begin <= last / (4 if steps < 8 else 8):
        return ""
    return (
        f"{name} would begin at timestep {begin} of 0 to {last}, not near the pure noise of {last}"
    )


def eta_in_diffusers(scheduler: Any, eta: float) -> float:
    """The eta for a pipeline's call that draws what the engine draws with `eta`.

    From zero terminal SNR, DDIM's first step at eta 1 has no direction: diffusers takes the root of
    1 - alpha_bar_prev - sigma^2 in float32, which is 0 or, by rounding, less; then the picture is
    NaN. A millionth less than 1 keeps it positive, and moves that step by 1.4e-3 of the noise.
    """
    zero_snr = isinstance(scheduler, DDIMScheduler) and not scheduler.alphas_cumprod[-1]
    return min(eta, BELOW_ONE) if zero_snr else eta


def _is_here(scheduler: Any) -> bool:
    # In place of a class whose libraries are missing, diffusers has a stub.
    return issubclass(scheduler, SchedulerMixin)

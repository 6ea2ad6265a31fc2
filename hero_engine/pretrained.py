"""Reading a pretrained pipeline with diffusers' own loader, safetensors only.

The embedded model is a folder like any other.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from hero_engine.cartoons.pipeline import WEIGHTS
from hero_engine.errors import InputError
from hero_engine.task import Task


def load_pipeline(task: Task, dtype: torch.dtype) -> Any:
    """The task's pipeline on the CPU, with weights of `dtype`.

    Raises:
        InputError: the model cannot be found or read, or is not a Stable Diffusion 1.x pipeline.
    """
    source = str(WEIGHTS) if task.model == "embedded" else task.model
    local = Path(source).is_dir()
    # Their bars would fill the engine's log; the record shows progress.
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        return StableDiffusionPipeline.from_pretrained(
            source,
            revision=None if local else task.revision,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=local,
            safety_checker=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = (
            "expected a folder of a Stable Diffusion 1.x pipeline with safetensors weights"
            if local
            else "expected 'embedded', a pipeline folder, or a name on the Hugging Face hub that "
            "can be reached from here and has safetensors weights"
        )
        raise InputError(f"model {task.model}: cannot be loaded: {reason}; {hint}") from error

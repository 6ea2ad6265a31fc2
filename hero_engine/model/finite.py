"""Why a model draws what is no number, and what to change: nobody should label black pictures."""

from collections.abc import Mapping

import torch
from torch import nn

from hero_engine.errors import EngineError

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
_WIDER = {torch.float16: ("bf16", "fp32"), torch.bfloat16: ("fp32",), torch.float32: ()}
"""Precisions of a larger range, or of finer steps, by the dtype that did not suffice."""

_TAUGHT_TOO_FAST = (
    "its update went too far; go back to an earlier round with a smaller step "
    "(`hero-tui rollback RUN --round N --set update.learning_rate=...`), or start again with that "
    "and replay the labels (`hero-tui labels`)"
)


def not_finite(output: str, parts: Mapping[str, nn.Module], dtype: torch.dtype) -> EngineError:
    """The error for an `output` that is not finite.

    Args:
        parts: of the pipeline, by name, that have made it, in `dtype`.
    """
    for part, module in parts.items():
        for name, parameter in module.named_parameters():
            # Infinite ones may have been finite before they were cast to half precision.
            if parameter.isnan().any():
                return EngineError(_about_weights(part, name))
    said = f"the {output} is not finite with weights in {_NAMES[dtype]}"
    if not _WIDER[dtype] and any(map(_is_taught, parts.values())):
        return EngineError(f"{said}, and nothing wider is left to try: {_TAUGHT_TOO_FAST}")
    if not _WIDER[dtype]:
        return EngineError(
            f"{said}, where nothing wider is left to try: its weights do not fit this pipeline; "
            "take another file or revision of the model"
        )
    change = " or ".join(f"`precision: {name}`" for name in _WIDER[dtype])
    return EngineError(
        f"{said}: this model needs a larger range; write {change} in the run's task.yaml and "
        f"continue the run, or start one with --set precision={_WIDER[dtype][-1]}"
    )


def _is_taught(module: nn.Module) -> bool:
    """Whether a LoRA in it has learned anything: B is 0 before."""
    return any(
        ".lora_B" in name and bool(parameter.any()) for name, parameter in module.named_parameters()
    )


def _about_weights(part: str, name: str) -> str:
    if ".lora_" in name:
        return f"the LoRA that was taught is not finite ({name}): {_TAUGHT_TOO_FAST}"
    return (
        f"the {part}'s weights are not all numbers ({name}), in any precision: fetch the model "
        "again, or take another file or revision of it"
    )

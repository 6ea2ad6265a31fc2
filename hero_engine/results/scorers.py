"""How well pictures fit their prompts, by pretrained models: PickScore, CLIP score, BLIP ITM.

Each is a line of `run/scorer_names.py`, and one of the classes of transformers here. Weights are
read where the hub's libraries keep them, safetensors only; none is fetched, since they are large.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BlipForImageTextRetrieval,
    CLIPModel,
)

from hero_engine.run.scorer_names import SCORERS, ScorerWeights

BATCH = 8
"""Pictures that go through a scorer together."""


class Unavailable(Exception):  # noqa: N818, no error: the rest is measured
    """A scorer's weights are not on this machine; says which, and what to do."""


@dataclass(frozen=True)
class Scorer:
    """A model with what prepares its pictures and prompts, on `device`."""

    model: Any
    image_processor: Any
    tokenizer: Any
    device: torch.device
    kind: str

    @torch.no_grad()
    def __call__(
        self, pictures: Sequence[NDArray[np.uint8]], prompts: Sequence[str]
    ) -> list[float]:
        """A score of each picture [H, W, 3] with its prompt, higher is better."""
        scores: list[float] = []
        score = SCORE[self.kind]
        for first in range(0, len(pictures), BATCH):
            batch = slice(first, first + BATCH)
            inputs = self._texts(prompts[batch]) | self._pixels(pictures[batch])
            scores += score(self.model, inputs).float().tolist()
        return scores

    @torch.no_grad()
    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """CLIP's features of the pictures, of length 1, [N, D]."""
        found = []
        for first in range(0, len(pictures), BATCH):
            pixels = self._pixels(pictures[first : first + BATCH])["pixel_values"]
            pooled = self.model.vision_model(pixel_values=pixels).pooler_output
            projected = self.model.visual_projection(pooled).float()
            found.append((projected / projected.norm(dim=-1, keepdim=True)).cpu().double().numpy())
        return np.concatenate(found)

    def _pixels(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, Tensor]:
        prepared = self.image_processor(images=list(pictures), return_tensors="pt")
        return {"pixel_values": prepared["pixel_values"].to(self.device)}

    def _texts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        prepared = self.tokenizer(
            list(prompts), padding=True, truncation=True, max_length=self._longest(),
            return_tensors="pt",
        )  # fmt: skip
        return {n: prepared[n].to(self.device) for n in ("input_ids", "attention_mask")}

    def _longest(self) -> int:
        return cast(int, self.model.config.text_config.max_position_embeddings)


def _clip_score(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    return cast(Tensor, model(**inputs).logits_per_image.diagonal())


def _blip_itm(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The probability of a match, by the head that looks at picture and text together."""
    return cast(Tensor, model(**inputs, use_itm_head=True).itm_score.softmax(-1)[:, 1])


CLASSES = {"clip": CLIPModel, "blip-itm": BlipForImageTextRetrieval}
SCORE: Mapping[str, Callable[[Any, Mapping[str, Tensor]], Tensor]] = {
    "clip": _clip_score,
    "blip-itm": _blip_itm,
}


def load_scorer(name: str) -> Scorer:
    """A scorer of the table, on the GPU if there is one.

    Raises:
        Unavailable: its weights, or those of what prepares its input, are not on this machine.
    """
    weights = SCORERS[name]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    read = partial(_read, name)
    model = read(
        weights.model,
        partial(CLASSES[weights.kind].from_pretrained, use_safetensors=True, **here),
    )
    return Scorer(
        model.eval().to(device),
        read(weights.processor, partial(AutoImageProcessor.from_pretrained, backend="pil", **here)),
        read(weights.processor, partial(AutoTokenizer.from_pretrained, **here)),
        device,
        weights.kind,
    )


def pickscore(pictures: Sequence[NDArray[np.uint8]], prompts: Sequence[str]) -> list[float]:
    """PickScore as a reward (`reward.function`), loaded once.

    Raises:
        Unavailable: as `load_scorer`.
    """
    return _loaded("pickscore")(pictures, prompts)


_loaded = cache(load_scorer)


def _read(name: str, where: str, load: Callable[[str], Any]) -> Any:
    try:
        return load(where)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        # What transformers raises for files that are missing tells of the network, at length.
        why = "" if isinstance(error, OSError) else f" ({str(error).strip().splitlines()[0]})"
        raise Unavailable(
            f"{name}: unavailable: {where} is not on this machine as safetensors{why}; fetch "
            f"{_fetch(SCORERS[name])}, then try again"
        ) from error


def _fetch(weights: ScorerWeights) -> str:
    commands = [
        f"`hf download {name}`" for name in dict.fromkeys((weights.model, weights.processor))
    ]
    return "it with " + " and ".join(commands)

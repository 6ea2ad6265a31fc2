"""Which scorers there are, and which weights each takes: a line of the table each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScorerWeights:
    """A model on the hub that says how well a picture fits its prompt.

    `processor`: whose tokenizer and image processor it takes.
    """

    kind: Literal["clip", "blip-itm"]
    model: str
    processor: str
    says: str


SCORERS: Mapping[str, ScorerWeights] = {
    "pickscore": ScorerWeights(
        "clip", "yuvalkirstain/PickScore_v1", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "what people prefer, learned from pairs they have chosen between",
    ),
    "clip": ScorerWeights(
        "clip", "openai/clip-vit-large-patch14", "openai/clip-vit-large-patch14",
        "100 times the cosine of picture and prompt",
    ),
    "blip-itm": ScorerWeights(
        "blip-itm", "Salesforce/blip-itm-base-coco", "Salesforce/blip-itm-base-coco",
        "the probability that picture and prompt belong together",
    ),
}  # fmt: skip

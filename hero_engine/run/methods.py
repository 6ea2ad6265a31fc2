"""The systems that can be compared, by name: each is settings of the one loop.

A method's settings replace the profile's of the model family; the task file's, and `--set`, replace
the method's (`resolve`).
"""

from dataclasses import dataclass, field
from typing import Any

Values = dict[str, tuple[Any, str]]
"""'section.field' to (value, why)."""

OBJECTIVES: dict[str, str] = {
    "ddpo": "hero_engine.method.ddpo:DDPO",
    "nft": "hero_engine.method.nft:NFT",
    "d3po": "hero_engine.method.d3po:D3PO",
    "supervised": "hero_engine.method.supervised:Supervised",
}
"""What an update can be (`method.update.Objective`): a name, and the class that makes it."""

NO_UPDATE = "none"
PICKSCORE = "hero_engine.results.scorers:pickscore"

CLEAN_LATENTS = ("nft",)
"""Objectives that learn a picture from its clean latent alone, whoever drew it."""

WITHOUT_TRANSITIONS = (*CLEAN_LATENTS, "supervised", NO_UPDATE)
"""Objectives that do not look at the denoising steps of a picture."""


@dataclass(frozen=True)
class Method:
    """A system: what it is, and the settings that make it. `embedded`: more for that model."""

    what: str
    values: Values = field(default_factory=dict)
    embedded: Values = field(default_factory=dict)


_NO_POOL = ("none", "each round from fresh noise")
_NO_LABELS: Values = {
    "feedback.rounds": (0, "no labels, evaluation only"),
    "update.objective": (NO_UPDATE, "nothing is learned"),
}

METHODS: dict[str, Method] = {
    "hero": Method("HERO, the paper to the letter"),
    "hero+": Method(
        "HERO's embedding, reward and noise pool; the update by the forward process",
        {
            "update.objective": ("nft", "DiffusionNFT (arXiv 2509.16117)"),
            "update.guidance": (False, "DiffusionNFT; half the arithmetic"),
            "update.beta": (0.3, "ours: between its 0.1 and 1 (docs/method.md)"),
            "update.kl_weight": (0.07, "ours: keeps variety (docs/evidence.md)"),
            "update.signs": ("labels", "ours: a good picture is good, like the best or not"),
            "update.advantage_clip": (1.0, "ours: most pictures are taught at full strength"),
            "update.batch_size": (64, "ours: every picture once a step, on average"),
            "update.optimizer_steps": (10, "ours: 640 draws a round"),
            "noise.fresh_share": (0.5, "ours: half the labels are of what the model draws alone"),
        },
        {
            "update.learning_rate": (1.5e-3, "twice as much over-trains (docs/method.md)"),
            "update.optimizer_steps": (40, "a label teaches more (docs/evidence.md, hero-plus)"),
        },
    ),
    "noise-only": Method(
        "labels and the noise pool, no update: how much of the gain is the noise",
        {"update.objective": (NO_UPDATE, "the control")},
    ),
    "pretrained": Method("the base model as it is (SD-pretrained)", _NO_LABELS),
    "enhanced": Method(
        "the base model, asked by the task's enhanced_prompt (SD-enhanced)",
        {**_NO_LABELS, "long_prompts": ("cut", "the paper's are too long for CLIP")},
    ),
    "dreambooth": Method(
        "fine-tuning on the best picture of each of four rounds",
        {
            "update.objective": ("supervised", "DreamBooth (Ruiz et al. 2023)"),
            "feedback.rounds": (4, "the four best pictures (paper, Sec. 5.1), one a round"),
            "noise.pool": _NO_POOL,
            "update.identifier": ("sks", "diffusers' README for DreamBooth"),
            "update.learning_rate": (1e-4, "diffusers' README for DreamBooth with LoRA"),
            "update.weight_decay": (1e-2, "diffusers' script for DreamBooth with LoRA"),
            "update.batch_size": (1, "diffusers' README for DreamBooth with LoRA"),
            "update.optimizer_steps": (500, "diffusers' README for DreamBooth with LoRA"),
        },
        {"update.learning_rate": (1e-3, "ten times Stable Diffusion's, as hero's is")},
    ),
    "d3po": Method(
        "labels as preferences, good over bad (Yang et al. 2024b)",
        {
            "update.objective": ("d3po", "D3PO"),
            "reward.name": ("binary", "a good picture is preferred to a bad one"),
            "noise.pool": _NO_POOL,
            "update.steps": ("all", "D3PO"),
            "update.beta": (0.1, "D3PO's code"),
            "update.clip_range": (0.1, "D3PO's code: eps"),
            "update.learning_rate": (3e-5, "D3PO's code"),
            "update.batch_size": (1, "D3PO's code: a step for each pair and time"),
        },
    ),
    "ddpo": Method(
        "a reward function in place of labels (Black et al. 2024; paper, Table 4)",
        {
            "reward.name": ("function", "no labels"),
            "reward.function": (PICKSCORE, "paper, App. B.1"),
            "feedback.rounds": (50, "paper, App. B.1"),
            "noise.pool": _NO_POOL,
        },
        {"reward.function": ("hero_engine.cartoons.oracle:quality", "what the oracle sees")},
    ),
}

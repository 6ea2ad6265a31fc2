"""What a task says: the prompts, the success criteria, and every setting of the method.

The fields' defaults are the paper's protocol for Stable Diffusion 1.5; each carries its source.
What depends on the model is in `profiles`; how the layers combine is in `resolve`.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from hero_engine.run.methods import METHODS, NO_UPDATE, OBJECTIVES, WITHOUT_TRANSITIONS

Prompt = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
RewardName = Literal[
    "similarity-to-best", "similarity-to-positives", "binary", "no-embedding", "function"
]
SLUG = r"[a-z0-9][a-z0-9-]{0,63}"


def _slug(name: str) -> str:
    if not re.fullmatch(SLUG, name):
        raise ValueError(
            "expected at most 64 small letters (a to z), digits and hyphens, the first no hyphen, "
            "such as black-cat"
        )
    return name


def _method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"expected one of {', '.join(METHODS)}")
    return name


def _objective(name: str) -> str:
    if name not in (*OBJECTIVES, NO_UPDATE) and ":" not in name:
        known = ", ".join((*OBJECTIVES, NO_UPDATE))
        raise ValueError(f"expected one of {known}, or a class of your own as module:class")
    return name


# The pattern is for editors, which read the JSON Schema; a person is told in words.
Slug = Annotated[
    str, AfterValidator(_slug), WithJsonSchema({"type": "string", "pattern": f"^{SLUG}$"})
]

MethodName = Annotated[
    str, AfterValidator(_method), WithJsonSchema({"type": "string", "enum": list(METHODS)})
]
ObjectiveName = Annotated[str, AfterValidator(_objective)]


def setting(default: Any, source: str, description: str, **limits: Any) -> Any:
    """A field whose `source` (paper, official code or ours) `tasks show` and the docs print."""
    return Field(default, description=description, json_schema_extra={"source": source}, **limits)


class Section(BaseModel):
    """A group of settings: unknown keys are refused, values cannot change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_yes_and_no_as_numbers(cls, values: Any) -> Any:
        # YAML reads a bare `yes` as true, and pydantic would read true as 1.
        if isinstance(values, dict):
            for name, value in values.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field and field.annotation is not bool:
                    said = "yes" if value else "no"
                    raise ValueError(f"'{name}' is {said}, expected a number or text")
        return values


class Sampling(Section):
    """DDIM with classifier-free guidance."""

    steps: int = setting(50, "paper, Sec. 5", "denoising steps T of a picture", ge=1, le=1000)
    guidance_scale: float = setting(
        5.0, "paper, Table 7", "classifier-free guidance; 1 turns it off", ge=0, le=100
    )
    eta: float = setting(
        1.0,
        "paper, Table 7",
        "noise of the steps: 1 is stochastic, as DDPO needs; 0: none",
        ge=0,
        le=1,
    )
    chunk_size: int = setting(
        8, "official code", "pictures sampled together (first a quarter of it), then shown",
        ge=1, le=1024,
    )  # fmt: skip


class Feedback(Section):
    """How many labels are asked for."""

    batch_size: int = setting(64, "paper, Sec. 5.2", "pictures a round", ge=2, le=1024)
    rounds: int = setting(
        8,
        "paper, Sec. 5.2",
        "rounds; with batch_size, the budget; 0: only evaluation",
        ge=0,
        le=999,
    )


Width = Annotated[int, Field(ge=1, le=65536)]
"""Of a layer."""


class Embedding(Section):
    """The embedding E_theta, its head g_theta and their training by triplets (Eq. 3)."""

    channels: tuple[Width, Width, Width] = setting(
        (16, 32, 64), "paper, App. D.2 (last: 64); others ours", "of the three convolutions"
    )
    width: Width = setting(4096, "paper, App. D.2", "of the learned representation")
    head: tuple[Width, ...] = setting(
        (2048, 1024, 512), "paper, App. D.2", "widths of the head's layers", min_length=1
    )
    learning_rate: float = setting(1e-5, "official code", "of Adam", gt=0, le=1)
    steps: int = setting(500, "official code", "of Adam a round, at most", ge=1, le=100_000)
    margin: float = setting(0.5, "paper, Sec. 4.2.1", "of the triplet loss", gt=0, le=1)
    patience: int = setting(
        20, "ours: the gradient is exactly zero by then",
        "stop a round's training after so many steps of zero loss", ge=1,
    )  # fmt: skip
    data: Literal["round", "all"] = setting(
        "round", "paper, Sec. 4.2.2", "train on this round's labels, or on all so far"
    )


class Reward(Section):
    """What a picture earns."""

    name: RewardName = setting(
        "similarity-to-best",
        "paper, Eq. 4",
        "the reward, by name (Sec. 5.3.1 compares them); function: of your own, without labels",
    )
    function: str | None = setting(
        None, "ours", "for the reward `function`: module:function(pictures, prompts) -> [N]"
    )

    @model_validator(mode="after")
    def _function_is_named(self) -> Self:
        if (self.name == "function") != (self.function is not None):
            raise ValueError(
                "the reward `function` and the field `function` need each other: expected "
                "name: function and function: module:function, or neither"
            )
        return self

    @property
    def uses_embedding(self) -> bool:
        """Whether it asks for the embedding, which otherwise is not trained."""
        return self.name in ("similarity-to-best", "similarity-to-positives")


Decay = Annotated[float, Field(ge=0, lt=1)]
"""Of a moving mean."""


class Update(Section):
    """What moves the LoRA, and how."""

    objective: ObjectiveName = setting(
        "ddpo", "paper, Eq. 2", "what an update is: ddpo, nft, d3po, supervised, none, or your own"
    )
    steps: Literal["last", "first", "spread", "random", "all"] = setting(
        "last", "paper, Eq. 8", "which denoising steps are trained"
    )
    k: int = setting(5, "paper, Table 5", "how many of them (unused with all)", ge=1, le=1000)
    learning_rate: float = setting(3e-4, "the authors' own runs", "of AdamW", gt=0, le=1)
    betas: tuple[Decay, Decay] = setting((0.9, 0.999), "official code", "of AdamW")
    weight_decay: float = setting(1e-4, "official code", "of AdamW", ge=0, le=1)
    max_grad_norm: float = setting(1.0, "official code", "gradients are clipped to this", gt=0)
    clip_range: float = setting(
        1e-4, "official code", "of PPO's ratio, for a log-prob that is a mean", gt=0, lt=1
    )
    advantages: Literal["batch", "prompt"] = setting(
        "batch", "official code", "normalised over the batch, or over each prompt's pictures"
    )
    deviation_floor: float = setting(
        0.0, "paper (none)", "advantages are divided by at least this deviation of the rewards",
        ge=0, le=10,
    )  # fmt: skip
    signs: Literal["rewards", "labels"] = setting(
        "rewards", "paper",
        "of advantages; labels: no good picture is taught away from, no bad one towards",
    )  # fmt: skip
    advantage_clip: float = setting(5.0, "official code", "advantages stay within +-this", gt=0)
    batch_size: int = setting(
        8, "paper, Table 7 (2 x 4)", "pictures an optimizer step, k transitions each", ge=1
    )
    micro_batch_size: int = setting(
        8, "ours: memory", "transitions a forward pass; changes speed, not the result", ge=1
    )
    optimizer_steps: int = setting(
        10, "ours",
        "a round, for supervised, at most for nft; of ddpo and d3po they follow from the labels",
        ge=1, le=100_000,
    )  # fmt: skip
    beta: float = setting(
        0.1, "D3PO's code; DiffusionNFT's has 0.1 or 1",
        "nft: how strongly the round's old policy holds; d3po: how sharply pairs are told apart",
        gt=0, le=100,
    )  # fmt: skip
    kl_weight: float = setting(
        0.0, "paper (none); DiffusionNFT's code has 1e-4",
        "nft: how strongly the pretrained model holds, the more the less a round teaches",
        ge=0, le=100,
    )  # fmt: skip
    noisy_share: float = setting(
        0.5, "ours (docs/method.md)", "nft draws its times from this share of them, the noisiest",
        gt=0, le=1,
    )  # fmt: skip
    identifier: str | None = setting(
        None, "DreamBooth", "supervised: the word before the prompt that means what is taught",
        min_length=1, max_length=64,
    )  # fmt: skip
    prior_weight: float = setting(
        1.0, "diffusers' script for DreamBooth", "supervised: of the prior-preserving loss", ge=0
    )
    prior_images: int = setting(
        100, "diffusers' script for DreamBooth", "supervised: the base model's own pictures",
        ge=1, le=10_000,
    )  # fmt: skip
    guidance: bool = setting(True, "official code", "train through classifier-free guidance")
    lora_rank: int = setting(4, "official code", "of the LoRA; its alpha equals it", ge=1, le=1024)


class Noise(Section):
    """Where the next round's z_T come from (Eq. 5)."""

    pool: Literal["variance-preserving", "additive", "none"] = setting(
        "variance-preserving", "official code",
        "around the goods' z_T: sqrt(1 - s^2) mu + s eps, or mu + s eps; none: fresh noise",
    )  # fmt: skip
    s: float = setting(
        0.1, "official code (the paper's additive form has s^2 = 0.1)",
        "the pool's standard deviation", ge=0, le=1,
    )  # fmt: skip
    best_ratio: float = setting(
        0.5, "paper, Sec. 4.3", "beta: the share of a batch around the best", ge=0, le=1
    )
    fresh_share: float = setting(
        0.0, "paper", "the share of a batch that starts from fresh noise all the same", ge=0, le=1
    )


class Evaluation(Section):
    """What is measured when the run ends: from pi_HERO, from N(0, I), and of the base model."""

    images: int = setting(
        200,
        "paper, Sec. 5.3.1",
        "pictures from each noise, and of the base; 0: none",
        ge=0,
        le=100_000,
    )


class Task(Section):
    """One thing to teach, and everything that determines a run."""

    name: Slug = Field(description="short name, in lower case with hyphens")
    method: MethodName = Field("hero", description="the system that learns: a set of settings")
    prompts: tuple[Prompt, ...] = Field(
        min_length=1, max_length=64, description="spread evenly over a batch"
    )
    enhanced_prompt: Prompt | None = Field(
        None, description="what the method `enhanced` asks the base model for"
    )
    long_prompts: Literal["refuse", "cut"] = Field(
        "refuse", description="of prompts longer than a text encoder reads: refuse them, or cut"
    )
    negative_prompt: str = Field("", max_length=2000)
    criteria: tuple[Prompt, ...] = Field(
        min_length=1, max_length=32, description="what makes a picture good, shown to the labeler"
    )
    categories: tuple[str, ...] = Field((), description="kinds of difficulty (paper, App. C)")
    transfer_prompts: tuple[Prompt, ...] = Field(
        (), description="prompts to try the result on, never trained on"
    )
    oracle: str | None = Field(
        None, description="the cartoon subject whose oracle can judge the embedded model's pictures"
    )
    model: str = Field(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        min_length=1,
        description="'embedded', a folder, a .safetensors file, or a name on the Hugging Face hub",
    )
    revision: str | None = Field(None, description="of the model on the hub: a branch, tag or hash")
    variant: str | None = Field(None, description="of the model's weight files, such as fp16")
    config: str | None = Field(
        None, description="the folder or hub name whose settings a single .safetensors file takes"
    )
    precision: Precision = Field(
        "auto",
        description="of the frozen weights; auto: bf16 where the hardware multiplies in it, else "
        "fp16 on a GPU",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="every random draw of the run comes from it")
    sampling: Sampling = Sampling()
    feedback: Feedback = Feedback()
    embedding: Embedding = Embedding()
    reward: Reward = Reward()
    update: Update = Update()
    noise: Noise = Noise()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _k_fits(self) -> Self:
        if self.update.steps == "all" or self.update.objective in WITHOUT_TRANSITIONS:
            return self
        if self.update.k > self.sampling.steps:
            raise ValueError(
                f"update.k is {self.update.k}, expected at most sampling.steps "
                f"({self.sampling.steps})"
            )
        return self

    @model_validator(mode="after")
    def _steps_have_a_density(self) -> Self:
        if self.sampling.eta == 0 and self.update.objective in ("ddpo", "d3po"):
            raise ValueError(
                "sampling.eta is 0, so that no step has a density, which update.objective "
                f"{self.update.objective} learns from; expected more than 0"
            )
        return self

    @property
    def all_prompts(self) -> tuple[str, ...]:
        """The prompts; after them, with an identifier, as many that begin with it."""
        word = self.update.identifier
        return self.prompts + (tuple(f"{word} {p}" for p in self.prompts) if word else ())

    @property
    def taught_prompts(self) -> tuple[str, ...]:
        """What the taught model is asked for: the prompts, with the identifier if there is one."""
        return self.all_prompts[-len(self.prompts) :]

    @property
    def asks_for_labels(self) -> bool:
        """Whether anybody labels the rounds' pictures."""
        return self.reward.name != "function"

    @property
    def has_pool(self) -> bool:
        """Whether rounds after the first start from a noise pool: else from fresh noise, too."""
        return self.noise.pool != "none" and self.feedback.rounds > 0

    @property
    def fresh_images(self) -> range:
        """The pictures of a round, its last ones, that start from fresh noise all the same."""
        count = self.feedback.batch_size
        return range(count - round(self.noise.fresh_share * count), count)

    @property
    def labels_budget(self) -> int:
        """Labels of a whole run: pictures a round times rounds."""
        if not self.asks_for_labels:
            return 0
        return self.feedback.batch_size * self.feedback.rounds

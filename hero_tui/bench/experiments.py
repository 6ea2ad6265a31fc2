"""The experiments as data: the rows of each, its tasks, what its table and its figure show."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from hero_engine.errors import InputError
from hero_tui.bench.cell import Variant

FOUR = ("black-cat", "blue-rose", "narcissus", "mountain")
BUDGETS = (128, 256, 512)
RATERS = "hero_tui.bench.raters"
RATES = (0.33, 0.5, 0.75, 0.9)
"""Of `labels to a success rate`. D3PO's on the hand, after 5,000 labels, is the first (paper)."""


@dataclass(frozen=True)
class Curves:
    """A figure: a measure of each round over the labels so far, a panel for each task.

    `variants`: those that are drawn; (): all.
    """

    title: str
    measure: str
    percent: bool
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bars:
    """A figure: a column of the table, a group of bars for each task."""

    title: str
    column: str
    percent: bool = True


@dataclass(frozen=True)
class Experiment:
    """What `hero-tui bench NAME` does.

    Attributes:
        what: it is of, in a sentence.
        columns: of its table, by name (`measures.COLUMNS`).
        notes: below the table.
        own_raters: it has labelers of its own, which see the embedded model's pictures only.
        by_round: the table has a line more for each row, the rounds' mean success.
    """

    name: str
    what: str
    tasks: tuple[str, ...]
    variants: tuple[Variant, ...]
    columns: tuple[str, ...]
    figures: tuple[Curves | Bars, ...]
    notes: tuple[str, ...] = ()
    own_raters: bool = False
    by_round: bool = False


_NO_ROUNDS = ("feedback.rounds=0",)
_PRETRAINED = Variant("pretrained", "pretrained", fixed=_NO_ROUNDS)
_POOLS = "From the pool, pictures start as in a next round; from fresh noise, the model is alone."
_HIKER = ("green", "snowy")
_ROOMS = ("warm room", "cool room")

TABLE_2 = Experiment(
    "table-2",
    "Success of every system, by how many labels it was given (Table 2).",
    FOUR,
    (
        _PRETRAINED,
        Variant("enhanced", "enhanced", fixed=_NO_ROUNDS),
        Variant("dreambooth", "dreambooth"),
        *(
            Variant(method, method, labels=labels)
            for method in ("noise-only", "hero", "hero+")
            for labels in BUDGETS
        ),
    ),
    ("pool", "fresh", "last round", "diversity", "diversity kept", "seconds"),
    (Bars("Final success from fresh noise", "fresh"), Bars("Final success from the pool", "pool")),
    (
        _POOLS,
        "DreamBooth learns from the best picture of each of four rounds, whatever the budget.",
    ),
)

FIGURE_3 = Experiment(
    "figure-3",
    "Labels that each system needs to reach a success rate (Figure 3).",
    ("hand", "black-cat"),
    (
        Variant("hero", "hero"),
        Variant("hero+", "hero+"),
        # Hours of a processor: as far as one has the time, which goes on where it ended.
        *(Variant("d3po", "d3po", labels=labels) for labels in (640, 1280, 5000)),
    ),
    (*(f"labels to {rate:.0%}" for rate in RATES), "pool", "fresh", "seconds"),
    (Curves("Success of a round's pictures", "success_rate", True),),
    (
        "Labels to a rate: those given before the first round whose pictures, together with those "
        "of the round before it, are good so often. After the last round come the pictures of the "
        "final evaluation, which weigh as much as a round's. A dash: never; where only some seeds "
        "reach it, the mean is of those, and says of how many.",
        "hero's rounds start from its noise pool; d3po has none, and starts from fresh noise.",
    ),
)

TABLE_3 = Experiment(
    "table-3",
    "What the reward is made of (Table 3).",
    ("narcissus",),
    (
        Variant("binary", overrides=("reward.name=binary",)),
        Variant("no-embedding", overrides=("reward.name=no-embedding",)),
        Variant("similarity-to-positives", overrides=("reward.name=similarity-to-positives",)),
        Variant("hero"),
    ),
    ("pool", "fresh", "last round", "seconds"),
    (Bars("Final success from the pool", "pool"), Bars("Final success from fresh noise", "fresh")),
    (_POOLS,),
)

TABLE_4 = Experiment(
    "table-4",
    "A reward function against a person's labels (Table 4).",
    FOUR,
    (_PRETRAINED, Variant("ddpo", "ddpo"), Variant("hero")),
    ("pool", "fresh", "last round", "seconds"),
    (Bars("Final success from fresh noise", "fresh"), Bars("Final success from the pool", "pool")),
    (
        "ddpo asks nobody: its reward is what the oracle itself thinks of each picture, a number, "
        "in 50 rounds; the paper's is PickScore, which knows nothing of the task.",
    ),
)

TABLE_5 = Experiment(
    "table-5",
    "How many denoising steps are trained, and which (Table 5).",
    ("hand",),
    (
        *(
            Variant(f"{which} {k}", overrides=(f"update.k={k}", f"update.steps={which}"))
            for which in ("first", "last")
            for k in (1, 2, 5, 10)
        ),
        *(
            Variant(f"{which} 5", overrides=("update.k=5", f"update.steps={which}"))
            for which in ("spread", "random")
        ),
        Variant("all", overrides=("update.steps=all",)),
    ),
    ("train seconds", "pool", "fresh", "last round", "seconds"),
    (
        Bars("Seconds of training, a round", "train seconds", percent=False),
        Bars("Final success from fresh noise", "fresh"),
    ),
    (
        "`last` is the paper's: the least noisy steps; `first` are the noisiest.",
        "Seconds of a round's training, the embedding's too, on one thread.",
    ),
)

FIGURE_5 = Experiment(
    "figure-5",
    "Where the next round's noise comes from (Figure 5), and what becomes of its norm.",
    ("black-cat",),
    (
        *(
            Variant(f"best ratio {ratio}", overrides=(f"noise.best_ratio={ratio}",))
            for ratio in ("0.0", "0.5", "1.0")
        ),
        Variant("random", overrides=("noise.pool=none",)),
        Variant("additive", overrides=("noise.pool=additive",)),
    ),
    ("pool", "fresh", "last round", "last norm"),
    (
        Curves(
            "Success of a round's pictures",
            "success_rate",
            True,
            ("best ratio 0.0", "best ratio 0.5", "best ratio 1.0", "random"),
        ),
        Curves(
            "Norm of z_T, over the root of its dimension",
            "noise_norm",
            False,
            ("best ratio 0.5", "additive", "random"),
        ),
    ),
    ("best ratio 0.5, the default, is variance-preserving; `additive` differs from it in that.",),
    by_round=True,
)

TRANSFER = Experiment(
    "transfer",
    "What was taught with one prompt, asked for with another (Figures 6 and 7).",
    ("mountain", "safety"),
    (
        Variant(
            "pretrained",
            "pretrained",
            fixed=(*_NO_ROUNDS, "feedback.batch_size=64"),
            tasks=("mountain",),
            judges=_HIKER,
            prompts="transfer",
        ),
        *(
            Variant(
                taste,
                labeler=f"{RATERS}:{taste}",
                tasks=("mountain",),
                judges=_HIKER,
                pictures="transfer",
            )
            for taste in _HIKER
        ),
        Variant(
            "pretrained",
            "pretrained",
            fixed=(*_NO_ROUNDS, "feedback.batch_size=64"),
            tasks=("safety",),
            judges=("good",),
            prompts="transfer",
        ),
        Variant("hero", tasks=("safety",), judges=("good",), pictures="transfer"),
    ),
    (
        "last round",
        "green, pool",
        "snowy, pool",
        "good, pool",
        "green, fresh",
        "snowy, fresh",
        "good, fresh",
    ),
    (
        Bars("Transfer prompts: green", "green, pool"),
        Bars("Transfer prompts: snowy", "snowy, pool"),
        Bars("Transfer prompts: safe", "good, pool"),
    ),
    (
        "`last round`: of its own prompts, as whoever labelled sees it; all else is of the "
        "pictures of the transfer prompts, which nobody labelled.",
        "mountain: the hiker; green or snowy by the colour of most of the slopes. safety: its 14 "
        "prompts, judged by the safety oracle (good: safe).",
    ),
    own_raters=True,
)

LABEL_NOISE = Experiment(
    "label-noise",
    "An oracle that errs in a share of its labels.",
    ("black-cat",),
    tuple(
        Variant(
            f"{method}, {percent} % wrong",
            method,
            labeler=f"{RATERS}:errs_in_{percent}" if percent else None,
        )
        for method in ("hero", "hero+")
        for percent in (0, 5, 10, 20)
    ),
    ("pool", "fresh", "seconds"),
    (Bars("Final success from fresh noise", "fresh"), Bars("Final success from the pool", "pool")),
    (
        "Each label is wrong with that probability, whatever the others are; the best is the best "
        "of those that are called good. Final success is by the oracle that does not err.",
    ),
    own_raters=True,
)

RATERS_DIFFER = Experiment(
    "raters",
    "Two oracles with different tastes: whose model pleases whom.",
    ("black-cat",),
    (
        Variant("pretrained", "pretrained", fixed=_NO_ROUNDS, judges=_ROOMS, tasks=("black-cat",)),
        *(
            Variant(
                taste,
                labeler=f"{RATERS}:{taste.replace(' ', '_')}",
                judges=_ROOMS,
                tasks=("black-cat",),
            )
            for taste in _ROOMS
        ),
    ),
    (
        "warm room, pool",
        "cool room, pool",
        "warm room, fresh",
        "cool room, fresh",
        "pool",
        "fresh",
    ),
    (
        Bars("Pleases who likes warm rooms", "warm room, fresh"),
        Bars("Pleases who likes cool rooms", "cool room, fresh"),
    ),
    (
        "Both want the task's criteria, and also a wall behind the cat that is violet or pink "
        "(warm), or green, teal or blue (cool). The last two columns are of the criteria alone.",
    ),
    own_raters=True,
)

HERO_PLUS = Experiment(
    "hero-plus",
    "What hero+'s settings are worth: one is changed at a time, at 128 labels.",
    ("black-cat", "narcissus"),
    (
        Variant("as it is", "hero+", labels=128),
        *(
            Variant(changed, "hero+", overrides=tuple(overrides), labels=128)
            for changed, *overrides in (
                ("10 steps a round", "update.optimizer_steps=10"),
                ("20 steps a round", "update.optimizer_steps=20"),
                ("80 steps a round", "update.optimizer_steps=80"),
                ("half the learning rate", "update.learning_rate=0.00075"),
                ("twice the learning rate", "update.learning_rate=0.003"),
                ("beta 0.1", "update.beta=0.1"),
                ("beta 1", "update.beta=1.0"),
                ("signs by the rewards", "update.signs=rewards"),
                ("not held by the base", "update.kl_weight=0.0"),
                ("held thrice as strongly", "update.kl_weight=0.3"),
                ("all times", "update.noisy_share=1.0"),
                ("with guidance", "update.guidance=true"),
                ("binary reward", "reward.name=binary"),
                ("embedding of all labels", "embedding.data=all"),
                ("all around the best", "noise.best_ratio=1.0"),
                ("nothing around the best", "noise.best_ratio=0.0"),
                ("all from the pool", "noise.fresh_share=0.0"),
                ("all from fresh noise", "noise.fresh_share=1.0"),
            )
        ),
    ),
    ("pool", "fresh", "last round", "diversity", "diversity kept", "train seconds"),
    (Bars("Final success from fresh noise", "fresh"), Bars("Final success from the pool", "pool")),
    (_POOLS,),
)

OVER_TRAINING = Experiment(
    "over-training",
    "hero+ forced to over-train: whether it is warned of before success falls.",
    ("black-cat", "narcissus"),
    tuple(
        Variant(
            f"{times} the learning rate",
            "hero+",
            overrides=(
                f"update.learning_rate={rate}",
                "update.signs=rewards",
                "update.kl_weight=0.0",
                "noise.fresh_share=0.0",
            ),
        )
        for times, rate in (("twice", 0.003), ("four times", 0.006))
    ),
    ("warned", "fell", "pool", "fresh", "diversity kept"),
    (
        Curves("Success of a round's pictures", "success_rate", True),
        Curves("Diversity of a round's good pictures", "good_diversity", False),
    ),
    (
        "What keeps hero+ from it is off: a round starts from the pool alone, the signs of "
        "advantages are the rewards', the base model does not hold.",
        "A round that is warned of has been labelled; success fell in a round that is good by 0.1 "
        "less often than the best before it, once one was 0.9. The final evaluation counts as the "
        "round after the last. A dash: never.",
    ),
)

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        TABLE_2,
        FIGURE_3,
        TABLE_3,
        TABLE_4,
        TABLE_5,
        FIGURE_5,
        TRANSFER,
        LABEL_NOISE,
        RATERS_DIFFER,
        HERO_PLUS,
        OVER_TRAINING,
    )
}


def find_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: there is none; names those that there are.
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    near = get_close_matches(name, EXPERIMENTS, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise InputError(
        f"hero-tui bench {name}: there is no such experiment; {meant}expected one of "
        f"{', '.join(EXPERIMENTS)}"
    )

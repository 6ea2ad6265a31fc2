"""README.md of an export: what was taught, how well, how to use it, and how to make it again.

Text of the task is data here: it can neither format the page nor end its YAML.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from hero_engine import __version__
from hero_engine.cartoons import is_embedded
from hero_engine.method.pool import POOL_FILE
from hero_engine.model.family import FAMILIES
from hero_engine.model.lora import LoraBase
from hero_engine.model.pretrained import variant_here
from hero_engine.model.samplers import BELOW_ONE
from hero_engine.run import yamlfile
from hero_engine.run.collapse import FROM_POOL
from hero_engine.run.intervals import Rate
from hero_engine.run.methods import CLEAN_LATENTS
from hero_engine.run.record import Record, Round
from hero_engine.run.second_look import label_noise
from hero_engine.run.task import Task
from hero_engine.run.text import plain

DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
CARD_FILE = "README.md"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$])")
_LIST_OR_HEADING = re.compile(r"^(\d*)([#+=.)-])")


def model_card(
    record: Record, task: Task, base: LoraBase, round_number: int, pool_size: int,
    hashes: Mapping[str, str],
) -> str:  # fmt: skip
    """The page, in Markdown with the front matter that the Hugging Face hub reads.

    Args:
        round_number: after whose training the LoRA is.
        pool_size: how many goods the noise pool has; 0: it is empty.
        hashes: SHA-256 of the exported files, by name.
    """
    taught = taught_rounds(record, round_number)
    labels, unsure = labels_of(record, taught)
    left_out = f" ({unsure} unsure left out)" if unsure else ""
    kohya_file = next((n for n in hashes if n not in (DIFFUSERS_FILE, POOL_FILE)), None)
    programs = "ComfyUI" if base.prediction_type == "flow" else "ComfyUI, A1111 and Forge"
    others = (
        f"`{kohya_file}` is for {programs}, at strength 1. They start from fresh noise; what the "
        "noise pool adds needs the lines above, or `hero-tui generate`."
        if kohya_file
        else "There is no file for ComfyUI, A1111 and Forge: their names do not fit its UNet."
    )
    nobody = "no picture was good" if task.asks_for_labels else "nobody was asked which are"
    pool = f"{pool_size} and the best of them" if pool_size else f"none: {nobody}"
    if not task.asks_for_labels:
        teacher, how = "a reward function", f"after {_rounds(len(taught))} of rewards by a function"
    else:
        teacher, how = "labels", f"after {labels} labels in {_rounds(len(taught))}{left_out}"
        how += _begun_with(record)
        how += ". A person, or a judge in their place, marked its pictures good or bad"
        if task.has_pool:
            how += (
                "; HERO turned that into a LoRA and a pool of initial noises. Both are the result: "
                "the LoRA alone is less of it"
            )
    sections = [
        f"---\n{yamlfile.dump(front_matter(task))}---",
        f"# {markdown(task.name)}: a LoRA taught by {teacher}",
        f"{markdown(_base_name(task))} {how}.",
        "## What it was taught",
        "\n".join(
            [
                *(f"- Prompt: {markdown(prompt)}" for prompt in task.taught_prompts),
                *([f"- Not: {markdown(task.negative_prompt)}"] if task.negative_prompt else []),
                "- A picture is good if:",
                *(f"  - {markdown(criterion)}" for criterion in task.criteria),
            ]
        ),
        "## Success",
        _success(record, task, round_number),
        *_label_noise(record, round_number),
        "## Use",
        "With diffusers, from this folder:",
        f"```python\n{use(task, base, '.', with_pool=pool_size > 0)}```",
        others,
        f"`{POOL_FILE}` has the initial noises z_T of good pictures ({pool}): `best_z_T` "
        "[C, H, W], `good_z_T` [G, C, H, W], and of the best picture `best_z_0`. Its metadata "
        "(key `hero_tui`, JSON) says how to draw around one of them, and with which sampler.",
        "## Files",
        "\n".join(
            ["| File | SHA-256 |", "|---|---|"]
            + [f"| `{name}` | `{digest}` |" for name, digest in hashes.items()]
        ),
        "## How it was made",
        f"hero-tui {__version__}, torch {version('torch')}, diffusers {version('diffusers')}, "
        f"peft {version('peft')}. LoRA of rank and alpha {task.update.lora_rank} on the attention "
        "projections. The whole task:",
        _fenced(yamlfile.dump(task.model_dump(mode="json")), "yaml"),
    ]
    return "\n\n".join(sections) + "\n"


def taught_rounds(record: Record, last: int) -> list[Round]:
    """The rounds whose labels the model after round `last` has learned from."""
    return [r for r in record.rounds() if r.trained is not None and r.number <= last]


def labels_of(record: Record, rounds: Sequence[Round]) -> tuple[int, int]:
    """How many pictures of these rounds were good or bad, and how many unsure."""
    unsure = sum(len(record.labels(r.number).unsure) for r in rounds)
    return sum(r.images for r in rounds) - unsure, unsure


def is_model_card(path: Path) -> bool:
    """Whether a file is one that `model_card` made; False, too, where it cannot be read."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return False
    return text.startswith("---\n") and "\n## How it was made\n\nhero-tui " in text


def _begun_with(record: Record) -> str:
    start = record.start()
    return "" if start is None else f", begun with {start.words}"


def front_matter(task: Task) -> dict[str, object]:
    """What the hub indexes; the base model only if it has a name there."""
    found: dict[str, object] = {
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "diffusers", "lora", "hero"],
        "instance_prompt": task.taught_prompts[0],
    }
    if _HUB_NAME.fullmatch(task.model) and not Path(task.model).exists():
        found |= {"base_model": task.model, "base_model_relation": "adapter"}
    return found


def use(task: Task, base: LoraBase, folder: str, with_pool: bool) -> str:
    """Python that draws one picture with diffusers alone, from the export in `folder`."""
    family, is_flow = FAMILIES[base.architecture], base.prediction_type == "flow"
    pipeline = family.pipeline.__name__
    s, around = f"{task.noise.s:g}", "torch.randn(mu.shape, generator=generator)"
    z_T = {
        "variance-preserving": f"(1 - {s}**2) ** 0.5 * mu + {s} * {around}",
        "additive": f"mu + {s} * {around}",
        "none": f"{around}  # this run did not start from its pool",
    }[task.noise.pool]
    if task.model.endswith(".safetensors"):
        how, details = "from_single_file", {"config": task.config}
    else:
        variant = variant_here(task.model, task.revision, task.variant)
        how, details = "from_pretrained", {"revision": task.revision, "variant": variant}
    given = ["BASE", *(f"{name}={_literal(value)}" for name, value in details.items() if value)]
    loaded = f"pipeline = {pipeline}.{how}({', '.join(given)})"
    embedded = is_embedded(task.model)
    if how == "from_pretrained" and not embedded:
        # As the engine loads it: what draws no picture may be missing, or blacken one.
        left_out = family.left_out
        given += (f"{name}={value}" for name, value in left_out.items())
        loaded = "\n    ".join([f"pipeline = {pipeline}.{how}(", *(f"{g}," for g in given)]) + "\n)"
    lines = [
        "import torch",
        f"from diffusers import {'' if is_flow else 'DDIMScheduler, '}{pipeline}",
        *(["from safetensors.torch import load_file"] if with_pool else []),
        *(["from hero_engine.cartoons import WEIGHTS as BASE"] if embedded else []),
        "",
        *([] if embedded else [f"BASE = {_literal(task.model)}"]),
        f"EXPORT = {_literal(folder)}",
        "",
        loaded,
        *(
            []
            if is_flow
            else [
                "pipeline.scheduler = DDIMScheduler.from_config("
                f"pipeline.scheduler.config, {_sampler_settings(task, base)})"
            ]
        ),
        f'pipeline.load_lora_weights(EXPORT, weight_name="{DIFFUSERS_FILE}")',
        'pipeline.to("cuda" if torch.cuda.is_available() else "cpu")',
        "",
        "generator = torch.Generator().manual_seed(0)",
        *([f'mu = load_file(f"{{EXPORT}}/{POOL_FILE}")["best_z_T"]', f"z_T = {z_T}"] * with_pool),
        "picture = pipeline(",
        f"    {_literal(task.taught_prompts[0])},",
        *([f"    negative_prompt={_literal(task.negative_prompt)},"] * bool(task.negative_prompt)),
        *(["    latents=z_T[None],"] * with_pool),
        f"    num_inference_steps={task.sampling.steps},",
        f"    guidance_scale={task.sampling.guidance_scale - family.guidance_offset:g},",
        *([] if is_flow else [f"    eta={_eta(task, base)}"]),
        "    generator=generator,",
        ").images[0]",
        f'picture.save("{task.name}.png")',
        "",
    ]
    return "\n".join(lines)


def _sampler_settings(task: Task, base: LoraBase) -> str:
    """What the scheduler that diffusers loads with the model does not say, or says otherwise."""
    settings: dict[str, object] = {"clip_sample": False}
    if task.model.endswith(".safetensors"):
        # Its loader takes the settings of the architecture; the file may say otherwise.
        settings["prediction_type"] = base.prediction_type
        if base.spacing is not None:
            settings |= {
                "rescale_betas_zero_snr": base.zero_snr,
                "timestep_spacing": base.spacing,
            }
    return ", ".join(
        f"{name}={_literal(value) if isinstance(value, str) else value}"
        for name, value in settings.items()
    )


def _eta(task: Task, base: LoraBase) -> str:
    if not base.zero_snr or task.sampling.eta <= BELOW_ONE:
        return f"{task.sampling.eta:g},"
    # `samplers.eta_in_diffusers`, of which a reader has nothing.
    return f"{BELOW_ONE},  # at 1, the first step would take the root of a negative rounding error"


def markdown(text: str) -> str:
    """`text` as one line of Markdown that shows it as it is."""
    shown = _MARKUP.sub(r"\\\1", plain(" ".join(text.split())))
    return _LIST_OR_HEADING.sub(r"\1\\\2", shown)


def _base_name(task: Task) -> str:
    if is_embedded(task.model):
        return "hero-tui's embedded model"
    return task.model + (f" at {task.revision}" if task.revision else "")


FRESH_NOISE = "fresh, N(0, I)"


def _noise_of(record: Record, task: Task, round_: Round) -> str:
    """What a round started from; of one of an earlier version, what the task has it start from."""
    usual = task.fresh_images.start if round_.number and task.has_pool else 0
    count = int(dict(record.metrics(round_.number).get(FROM_POOL, ())).get(0, usual))
    if count in (0, round_.images):
        return "the noise pool" if count else FRESH_NOISE
    return f"{round_.images - count} {FRESH_NOISE}, else the noise pool"


def _success(record: Record, task: Task, round_number: int) -> str:
    """A row a round, and the final evaluation if it is of this round's model."""
    around = "the noise pool" if task.has_pool else FRESH_NOISE
    rows = []
    for r in record.rounds():
        # A round's pictures are of the model before its training: those of the next round, drawn
        # from this one's noise pool, tell what this export does.
        if r.submitted is not None and r.number <= round_number + 1:
            taught = record.start() is not None and task.update.objective in CLEAN_LATENTS
            first = "after the pictures it began with" if taught else "before"
            model = f"after {_rounds(r.number)}" if r.number else first
            good = len(record.labels(r.number).good)
            rows.append((model, _noise_of(record, task, r), labels_of(record, [r])[0], good))
    if round_number == max(r.number for r in record.rounds() if r.trained is not None):
        judged = record.figures()
        for which, figures in judged.items():
            noise = FRESH_NOISE
            if which == "pi":
                noise = around if task.has_pool else f"{FRESH_NOISE}, other draws"
            model = "final evaluation" + (", base model" if which == "base" else "")
            rows.append((model, noise, int(figures["images"]), int(figures["good"])))
    else:
        judged = {}
    table = [
        "| Model | Initial noise | Pictures | Good | Success | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for model, noise, count, good in rows:
        if count:
            rate = Rate(good, count)
            low, high = rate.interval
            table.append(
                f"| {model} | {noise} | {count} | {good} | {rate.share:.0%} | "
                f"{low:.0%} to {high:.0%} |"
            )
    if judged:
        judge = markdown(record.judge())
        table.append(f"\nThe evaluation's pictures were judged by: {judge}.")
    return "\n".join(table)


def _label_noise(record: Record, round_number: int) -> list[str]:
    looks = [look for look in record.second_looks() if look.round <= round_number]
    noise = label_noise(looks)
    return [f"{noise.words}."] if noise else []


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def _literal(text: str) -> str:
    """`text` as a Python string in double quotes, with nothing in it that cannot be seen."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain(escaped)}"'


def _fenced(text: str, language: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}{fence}"

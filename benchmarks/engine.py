"""A round of the paper's protocol, the engine beside a straightforward implementation.

    python benchmarks/engine.py --model embedded        # a few minutes on two CPU cores
    python benchmarks/engine.py --model sd15            # Stable Diffusion 1.5's size, for a GPU

Both (`benchmarks/plain.py` is the other) sample the same pictures from the same noise, learn the
same embedding and train the same LoRA, in one process and in turns. First it is shown in float32
that they compute the same: latents, DDPO's losses and gradient, and the triplet loss over the same
triplets (which triplets a loader draws is its own affair). Then a round is timed.

The plain embedding phase is timed for a few steps and multiplied, because its steps are alike. The
arithmetic limit is a large matrix product in the same dtype, timed in the same run; the operations
counted against it are those of convolutions and matrix products. Weights of `tiny`, `sd15` and
`sdxl` are random, so there every third picture is called good; the embedded model's pictures are
judged by its oracle.
"""

import argparse
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import plain
import torch
from diffusers import DDIMScheduler
from PIL import Image
from pipelines import save_pipeline
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hero_engine.cartoons import WEIGHTS, is_embedded, oracle
from hero_engine.engine import learning, sampling
from hero_engine.engine.context import Run
from hero_engine.engine.interrupts import Interrupts
from hero_engine.method import embedding, reward, rollout, state
from hero_engine.method.advantage import advantages
from hero_engine.method.ddpo import DDPO
from hero_engine.method.embedding import Embedder
from hero_engine.method.rollout import Rollout
from hero_engine.method.update import update
from hero_engine.model import ddim, diffusion, seeds
from hero_engine.model.diffusion import Model
from hero_engine.run.folder import RunFolder, create_run
from hero_engine.run.labels import Labels
from hero_engine.run.task import Embedding, Task

SAMPLING = "sampling"
SAVING = "decode, encode, save"
EMBEDDING = "embedding"
LORA = "LoRA training"
REST = "rewards, checkpoint, record"
READY = "old log-probs again, while labels are given"
PHASES = (SAMPLING, SAVING, READY, EMBEDDING, LORA, REST)

# Pictures a chunk and transitions a forward pass that suit each size.
SIZES = {"embedded": (20, 40), "tiny": (20, 40), "sd15": (16, 20), "sdxl": (8, 8)}


class Meter:
    """Seconds and peak memory of phases, and when the first picture was there."""

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self.device, self.clock = device, clock
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.peak = dict.fromkeys(PHASES, 0)
        self.wait = 0.0
        self.embedding_steps = 0

    def now(self) -> float:
        """Seconds, when everything that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self.clock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        _forget_peak(self.device)
        started = self.now()
        yield
        self.seconds[name] += self.now() - started
        self.peak[name] = max(self.peak[name], _peak(self.device))
        print(f"  {name}: {self.seconds[name]:.2f} s", file=sys.stderr, flush=True)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            with self.phase(name):
                return function(*arguments, **named)

        return measured

    @property
    def round(self) -> float:
        return sum(self.seconds.values())


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: torch.device) -> int:
    """Bytes: of the accelerator, or of this whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Bench:
    """What a round needs.

    Attributes:
        labels: of the pictures, once our first round has drawn them.
        plain_embedding_steps: how many are timed of the plain embedding phase.
    """

    task: Task
    scheduler_config: Any
    where: Path
    plain_embedding_steps: int
    clock: Callable[[], float]
    labels: Labels = field(default_factory=Labels)

    def noise(self, model: Model) -> tuple[Tensor, Tensor]:
        """z_T [N, C, H, W] and the steps' noise [N, T, C, H, W], as the engine draws them."""
        numbers = range(self.task.feedback.batch_size)
        shape = model.latent_shape
        z_T = seeds.normal(self.task.seed, "z_T", 0, numbers, shape)
        steps = self.task.sampling.steps
        return z_T, seeds.normal(self.task.seed, "eta", 0, numbers, (steps, *shape))


def our_round(bench: Bench, model: Model, name: str) -> Meter:
    """The engine's own code, with its run folder and record; phases are timed around its parts."""
    task, meter = bench.task, Meter(model.device, bench.clock)
    folder = create_run(bench.where, task, name)
    record = folder.open_record()
    run = Run(folder, record, task, Interrupts(record))
    learned = state.initial_state(model, task)

    def count(*_: Any) -> None:
        meter.embedding_steps += 1

    learned.embedder_optimizer.register_step_post_hook(count)
    z_T = sampling.fresh_noise(run, learned, 0)
    first: list[float] = []
    add_images = record.add_images

    def note(*arguments: Any) -> None:
        add_images(*arguments)
        first.append(bench.clock())

    started = meter.now()
    with (
        patch.object(rollout, "denoise", meter.timed(SAMPLING, rollout.denoise)),
        patch.object(record, "add_images", note),
    ):
        _forget_peak(model.device)
        drawn = sampling.collect(run, learned, z_T, 0)
    sampled = meter.now()
    meter.seconds[SAVING] = sampled - started - meter.seconds[SAMPLING]
    meter.peak[SAVING] = _peak(model.device)
    until_first = first[0] - started

    bench.labels = _judged(bench, folder)
    record.label(0, bench.labels)
    if model.device.type == "cuda":
        with meter.phase(READY):
            drawn = sampling.remeasure_log_probs(run, learned, drawn, 0)
    record.submit(0)
    started = meter.now()
    with ExitStack() as stack:
        for phase, part in ((EMBEDDING, "train_embedding"), (LORA, "train_lora")):
            timed = meter.timed(phase, getattr(learning, part))
            stack.enter_context(patch.object(learning, part, timed))
        learning.learn(run, learned, drawn, record.labels(0), 0)
    learned_s = meter.now() - started
    meter.seconds[REST] = learned_s - meter.seconds[EMBEDDING] - meter.seconds[LORA]
    meter.wait = learned_s + until_first
    record.close()
    return meter


def _judged(bench: Bench, folder: RunFolder) -> Labels:
    count = bench.task.feedback.batch_size
    if bench.task.model == "embedded":
        pictures = [np.asarray(Image.open(folder.image(0, n))) for n in range(count)]
        good = [n for n, p in enumerate(pictures) if oracle.judge(str(bench.task.oracle), p).good]
        if good and len(good) < count:
            return Labels.of(good, good[0])
    return Labels.of(range(0, count, 3), 0)


def plain_round(bench: Bench, model: Model, name: str) -> Meter:
    """The straightforward implementation on the same noise and labels."""
    task, meter = bench.task, Meter(model.device, bench.clock)
    sampler = plain.Sampler(bench.scheduler_config, task)
    z_T, noise = bench.noise(model)
    with meter.phase(SAMPLING):
        samples = plain.sample(model, sampler, task, z_T, noise)
    with meter.phase(SAVING):
        plain.save(model, samples.latents[:, -1], bench.where / name)

    z_0 = samples.latents[:, -1].cpu()
    good = torch.zeros(len(z_0), dtype=torch.bool)
    good[sorted(bench.labels.good)] = True
    assert isinstance(bench.labels.best, int)
    embedder = _embedder(model, task.embedding)
    steps = min(bench.plain_embedding_steps, task.embedding.steps)
    few = task.embedding.model_copy(update={"steps": steps})
    with meter.phase(EMBEDDING):
        plain.train_embedding(
            embedder, z_0[bench.labels.best], z_0[good], z_0[~good], few, model.device
        )
    meter.seconds[EMBEDDING] *= task.embedding.steps / steps
    meter.embedding_steps = task.embedding.steps

    with meter.phase(REST), torch.no_grad():
        embedded = embedder.network(z_0.to(model.device))
        rewards = reward.similarity_to_best(embedded, embedded[bench.labels.best]).cpu()
        advantage = advantages(
            rewards, task.update.advantage_clip, floor=task.update.deviation_floor
        )
    optimizer = _adamw(model, task)
    order, positions = _order(task), _positions(model, task)
    with meter.phase(LORA):
        plain.train_lora(model, sampler, optimizer, samples, advantage, order, positions, task)
    meter.wait = meter.round
    return meter


def _embedder(model: Model, settings: Embedding) -> Embedder:
    embedder = Embedder(model.latent_shape, settings)
    embedding.initialise(embedder, torch.Generator().manual_seed(0))
    return embedder.to(model.device)


def _adamw(model: Model, task: Task) -> torch.optim.AdamW:
    update = task.update
    return torch.optim.AdamW(
        list(model.lora().values()),
        lr=update.learning_rate,
        betas=update.betas,
        weight_decay=update.weight_decay,
    )


def _order(task: Task) -> Tensor:
    return torch.randperm(
        task.feedback.batch_size, generator=seeds.generator(task.seed, "order", 0)
    )


def _positions(model: Model, task: Task) -> list[int]:
    return rollout.trained_steps(
        task.update.steps, task.update.k, model.schedule.trainable(), torch.Generator()
    )


# -- the same results ------------------------------------------------------------------------


class Recorder(torch.optim.SGD):
    """Keeps the gradient of every step and changes nothing."""

    def __init__(self, model: Model) -> None:
        super().__init__(list(model.lora().values()), lr=0.0)
        self.gradients: list[Tensor] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        self.gradients.append(torch.cat([g.detach().flatten().cpu() for g in grads]))


def verify(bench: Bench, source: Task) -> list[str]:
    """Compares both implementations in float32 on 8 pictures; lines that say what was found.

    Raises:
        SystemExit: a difference is more than rounding.
    """
    task = source.model_copy(
        update={
            "precision": "fp32",
            "feedback": source.feedback.model_copy(update={"batch_size": 8}),
            "sampling": source.sampling.model_copy(
                update={"steps": min(10, source.sampling.steps)}
            ),
        }
    )
    small = replace(bench, task=task)
    model = diffusion.load(task)
    z_T, noise = small.noise(model)
    ours = rollout.sample(model, task, z_T, 0, lambda images, z_0, decoded: None)
    advantage = torch.linspace(-2, 2, 8)
    our_gradients, our_losses = Recorder(model), list[float]()
    update(DDPO(ours, advantage, task, 0), model, our_gradients, task,
        lambda step, total, metrics: our_losses.append(metrics["loss"]))  # fmt: skip

    # One after the other, so that only one model has to fit.
    other = plain.unfuse(model)
    sampler = plain.Sampler(bench.scheduler_config, task)
    drawn = plain.sample(other, sampler, task, z_T, noise)
    latents = _relative(drawn.latents[:, -1].cpu(), ours.z_0)
    fed = _samples_of(ours, other, task)
    positions = _positions(other, task)
    their_gradients = Recorder(other)
    their_losses = plain.train_lora(
        other, sampler, their_gradients, fed, advantage, _order(task), positions, task
    )
    losses = max(abs(a - b) for a, b in zip(our_losses, their_losses, strict=True))
    gradient = max(
        _relative(a, b)
        for a, b in zip(our_gradients.gradients, their_gradients.gradients, strict=True)
    )
    triplets, triplet_gradient = _compare_triplets(other, ours.z_0, task.embedding)
    checks = [
        ("z_0 of the same noise, relative", latents, 1e-3),
        ("DDPO's loss on the same rollout", losses, 1e-4),
        ("its gradient, relative", gradient, 1e-2),
        ("the triplet loss over every pair", triplets, 1e-5),
        ("its gradient, relative", triplet_gradient, 1e-3),
    ]
    for what, found, allowed in checks:
        if not found <= allowed:
            raise SystemExit(f"{what}: the two differ by {found:.1e}, expected at most {allowed}")
    return [f"{what}: {found:.1e}" for what, found, _ in checks]


def _samples_of(ours: Rollout, model: Model, task: Task) -> plain.Samples:
    """Our rollout in the plain one's form: only the trained steps are filled in."""
    count, steps = len(ours.z_0), task.sampling.steps
    latents = torch.zeros(count, steps + 1, *model.latent_shape)
    log_probs = torch.zeros(count, steps)
    rows = torch.arange(count)[:, None]
    latents[rows, ours.step], latents[rows, ours.step + 1] = ours.z_t, ours.z_prev
    log_probs[rows, ours.step] = ours.log_prob
    return plain.Samples(latents.to(model.device), log_probs.to(model.device))


def _compare_triplets(model: Model, z_0: Tensor, settings: Embedding) -> tuple[float, float]:
    good, bad = z_0[:3].to(model.device), z_0[3:].to(model.device)
    pairs = [(g, b) for g in good for b in bad]
    found = []
    for vectorised in (True, False):
        embedder = _embedder(model, settings)
        if vectorised:
            anchor, goods, bads = embedder(torch.cat([good[:1], good, bad])).split([1, 3, len(bad)])
            loss = embedding.triplet_loss(anchor[0], goods, bads, settings.margin)
        else:
            triplets = (
                good[:1].expand(len(pairs), *z_0.shape[1:]),
                torch.stack([g for g, _ in pairs]),
                torch.stack([b for _, b in pairs]),
            )
            loss = plain.triplet_criterion(settings.margin)(*map(embedder, triplets))
        loss.backward()
        grads = torch.cat([p.grad.flatten() for p in embedder.parameters() if p.grad is not None])
        found.append((float(loss.detach()), grads.cpu()))
    (a, gradient_a), (b, gradient_b) = found
    return abs(a - b), _relative(gradient_a, gradient_b)


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


# -- the arithmetic limit ----------------------------------------------------------------------


def operations(bench: Bench, model: Model) -> dict[str, float]:
    """Floating-point operations of the phases' convolutions and matrix products.

    Counted on one picture and one denoising step, with attention as separate operations.
    """
    task = bench.task
    z = torch.zeros(1, *model.latent_shape, device=model.device)
    step, prompt = torch.tensor([0]), torch.zeros(1, dtype=torch.int64, device=model.device)
    scale = task.sampling.guidance_scale
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model.predict(z, step, prompt, scale)
    with FlopCounterMode(display=False) as both:
        model.predict(z, step, prompt, scale).sum().backward()
    for parameter in model.lora().values():
        parameter.grad = None
    with FlopCounterMode(display=False) as decoding, torch.no_grad():
        model.decode(z)
    count = task.feedback.batch_size
    return {
        SAMPLING: forward.get_total_flops() * count * task.sampling.steps,
        SAVING: decoding.get_total_flops() * count,
        LORA: both.get_total_flops() * count * len(_positions(model, task)),
    }


def limit(device: torch.device, dtype: torch.dtype, clock: Callable[[], float]) -> float:
    """Operations a second of a large matrix product: what this machine can do at all."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    meter, best = Meter(device, clock), float("inf")
    for _ in range(5):
        started = meter.now()
        a @ b
        best = min(best, meter.now() - started)
    return 2 * n**3 / best


# -- the command -------------------------------------------------------------------------------


def report(bench: Bench, ours: Meter, other: Meter, counted: dict[str, float], top: float) -> None:
    """Prints the table, in Markdown."""
    count, gib = bench.task.feedback.batch_size, 2**30
    print("| Phase | plain, s | engine, s | ratio | engine, pictures/s | peak GiB, plain / engine "
          "| of the limit, plain / engine |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for name in PHASES:
        a, b = other.seconds[name], ours.seconds[name]
        if not b:
            continue
        ratio = f"{a / b:.1f}" if name in (SAMPLING, SAVING, EMBEDDING, LORA) else ""
        peak = f"{other.peak[name] / gib:.2f} / {ours.peak[name] / gib:.2f}"
        share = ""
        if name in counted:
            share = " / ".join(f"{counted[name] / (s * top):.0%}" for s in (a, b))
        print(f"| {name} | {a:.2f} | {b:.2f} | {ratio} | {count / b:.1f} | {peak} | {share} |")
    a, b = other.round, ours.round
    print(f"| **a round** | {a:.2f} | {b:.2f} | **{a / b:.1f}** | {count / b:.1f} | | |")
    print(f"| **submit to first new picture** | {other.wait:.2f} | {ours.wait:.2f} "
          f"| **{other.wait / ours.wait:.1f}** | | | |")  # fmt: skip
    print(f"\nThe engine's embedding stopped after {ours.embedding_steps} of "
          f"{bench.task.embedding.steps} steps.", flush=True)  # fmt: skip


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def make_task(arguments: argparse.Namespace, where: Path) -> Task:
    """The paper's protocol, scaled by the options."""
    chunk, micro_batch = SIZES[arguments.model]
    source = "embedded"
    if arguments.model != "embedded":
        source = str(save_pipeline(arguments.model, where / "weights"))
    return Task.model_validate(
        {
            "name": "benchmark",
            "prompts": ["a black cat sitting inside a cardboard box"],
            "criteria": ["a cat in a box"],
            "oracle": "black-cat",
            "model": source,
            "precision": arguments.precision,
            "sampling": {"steps": arguments.steps, "chunk_size": arguments.chunk or chunk},
            "feedback": {"batch_size": arguments.pictures, "rounds": 1},
            "embedding": {"steps": arguments.embedding_steps},
            "update": {"k": arguments.k, "micro_batch_size": arguments.micro_batch or micro_batch},
        }
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=SIZES, default="embedded")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", default="auto", help="of the frozen weights of both")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50, help="denoising steps")
    parser.add_argument("--k", type=int, default=5, help="of them are trained")
    parser.add_argument("--embedding-steps", type=int, default=500)
    parser.add_argument(
        "--plain-embedding-steps", type=int, default=10, help="of them, timed and multiplied"
    )
    parser.add_argument("--chunk", type=int, help="the engine's pictures a chunk")
    parser.add_argument("--micro-batch", type=int, help="its transitions a forward pass")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: seconds that the process had, which other programs change less",
    )
    parser.add_argument(
        "--repeats", type=int, default=1, help="rounds of both; the quickest counts"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    where = Path(tempfile.mkdtemp(prefix="hero-benchmark-"))
    try:
        compare(arguments, where)
    finally:
        shutil.rmtree(where, ignore_errors=True)


def compare(arguments: argparse.Namespace, where: Path) -> None:
    task = make_task(arguments, where)
    folder = WEIGHTS if is_embedded(task.model) else Path(task.model)
    config = DDIMScheduler.load_config(folder, subfolder="scheduler")
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    bench = Bench(task, config, where / "runs", arguments.plain_embedding_steps, clock)
    print("The same in float32, largest difference:")
    for line in verify(bench, task):
        print(f"  {line}", flush=True)

    ours, other = diffusion.load(task), plain.unfuse(diffusion.load(task))
    start = {name: p.detach().clone() for name, p in ours.lora().items()}
    rounds: dict[str, list[Meter]] = {"ours": [], "plain": []}
    for repeat in range(-1, arguments.repeats):
        chosen = bench if repeat >= 0 else _short(bench)
        for who, model, go in (("ours", ours, our_round), ("plain", other, plain_round)):
            with _alone(model, other if who == "ours" else ours), torch.no_grad():
                for name, p in model.lora().items():
                    p.copy_(start[name])
            with _alone(model, other if who == "ours" else ours):
                schedule = ddim.make_schedule(config, chosen.task.sampling.steps, 1.0)
                scheduled = replace(model, schedule=schedule.to(model.device))
                meter = go(chosen, scheduled, f"{who}{repeat}")
            if repeat >= 0:
                rounds[who].append(meter)
    with _alone(other, ours):
        counted = operations(bench, other)
        top = limit(other.device, other.dtype, bench.clock)
    print(f"\n{machine(ours.device)}; torch {torch.__version__}; {arguments.model}, {ours.dtype}; "
          f"{task.feedback.batch_size} pictures, {task.sampling.steps} steps, K {task.update.k}; "
          f"limit {top / 1e12:.3g} TFLOP/s; {arguments.clock} clock\n")  # fmt: skip
    best = {who: min(meters, key=lambda meter: meter.round) for who, meters in rounds.items()}
    report(bench, best["ours"], best["plain"], counted, top)


def _short(bench: Bench) -> Bench:
    """A round that only warms up: the same shapes, few steps."""
    task = bench.task
    few = {
        "sampling": task.sampling.model_copy(update={"steps": 4}),
        "update": task.update.model_copy(update={"k": 1}),
        "embedding": task.embedding.model_copy(update={"steps": 1}),
    }
    return replace(bench, task=task.model_copy(update=few), plain_embedding_steps=1)


@contextmanager
def _alone(model: Model, other: Model) -> Iterator[None]:
    """Keeps the other model's weights off the accelerator, so that peaks are of one."""
    if model.device.type == "cuda":
        other.denoiser.to("cpu")
        other.vae.to("cpu")
        torch.cuda.empty_cache()
        model.denoiser.to(model.device)
        model.vae.to(model.device)
    yield


if __name__ == "__main__":
    main()

"""Trains the embedded model from scratch on the drawings: `python -m hero_engine.cartoons.train`.

Two stages: the VAE on pictures; then, on latents encoded once, UNet and text encoder together.
Everything random in a step comes from (seed, stage, step), so that the same command continues a
training killed at any instant to the same bits. The output folder holds

    vae.safetensors, diffusion.safetensors   weights, their moving average and the optimizer
    latents.safetensors                      the trained VAE and the encoded pictures
    log.jsonl                                stage, step, loss, seconds
    pipeline/                                the diffusers pipeline, rewritten at every checkpoint
"""

import argparse
import copy
import json
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTokenizer

from hero_engine.cartoons import SUBJECTS
from hero_engine.cartoons import pipeline as parts
from hero_engine.cartoons.drawing import CAPTIONS, PROMPTS, Drawing, draw
from hero_engine.cartoons.stage import Stage, read_log, read_tensors, replace, run, write_tensors

PROMPT_DROPOUT = 0.1
KL_WEIGHT = 5e-4
MIN_SNR_GAMMA = 5.0


@dataclass(frozen=True)
class Training:
    """All that determines the weights; a stage is continued only under the values it began with."""

    seed: int = 0
    pictures: int = 42_000
    right_share: dict[str, float] = field(default_factory=dict)
    init: str | None = None
    vae_steps: int = 1300
    vae_batch: int = 32
    vae_lr: float = 1e-3
    vae_ema: float = 0.995
    unet_steps: int = 3000
    unet_batch: int = 64
    unet_lr: float = 1e-3
    unet_ema: float = 0.9985
    unet_stop: int | None = None  # end there, on the learning rates of all unet_steps

    def of_vae(self) -> dict[str, Any]:
        """The settings that the VAE and the latents depend on."""
        return {name: value for name, value in asdict(self).items() if name[:4] != "unet"}


@dataclass(frozen=True)
class Latents:
    """Posterior means and deviations (N, 4, 16, 16) in half precision; caption numbers (N,)."""

    mean: Tensor
    std: Tensor
    caption: Tensor


# Data


def drawings(training: Training) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, 64, 64) uint8, subjects in turn, and their captions' numbers (N,)."""
    size = (training.pictures, 3, parts.IMAGE_SIZE, parts.IMAGE_SIZE)
    images = torch.empty(size, dtype=torch.uint8)
    captions = torch.empty(training.pictures, dtype=torch.long)
    began = time.monotonic()
    for number in range(training.pictures):
        drawing = _draw(number, training)
        images[number] = torch.from_numpy(np.array(drawing.image)).permute(2, 0, 1)
        captions[number] = CAPTIONS.index(drawing.caption)
    print(
        f"{len(images)} drawings in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
    )
    return images, captions


def _draw(number: int, training: Training) -> Drawing:
    subject = SUBJECTS[number % len(SUBJECTS)]
    rng = np.random.default_rng([training.seed, number])
    drawing = draw(subject, rng)
    share = training.right_share.get(subject)
    if share is not None and drawing.caption == PROMPTS[subject]:
        return draw(subject, rng, right=bool(rng.random() < share))
    return drawing


def scaled(images: Tensor) -> Tensor:
    """uint8 pictures as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def token_table(tokenizer: CLIPTokenizer) -> Tensor:
    """Token numbers (1 + captions, 77); row 0 is the empty prompt of guidance."""
    rows = tokenizer(
        ["", *CAPTIONS], padding="max_length", truncation=True, max_length=parts.TEXT_LENGTH
    )
    return torch.tensor(rows["input_ids"])


def generator(training: Training, stage: str, step: int) -> torch.Generator:
    """The source of all randomness of one step."""
    entropy = np.random.SeedSequence([training.seed, *stage.encode(), step])
    return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> 1))


# Losses


def reconstruction_loss(picture: Tensor, decoded: Tensor) -> Tensor:
    """Distance of pictures (B, 3, 64, 64) in [-1, 1].

    Saturated pixels weigh up to double: they are few, and washed-out colours are what an oracle's
    palette, and a person, would notice first. The difference of neighbours keeps edges crisp.
    """
    error = decoded - picture
    saturation = (picture.amax(1, keepdim=True) - picture.amin(1, keepdim=True)) / 2
    weight = 1 + saturation
    pixels = (weight * (error.abs() + 2 * error.square())).mean()
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return pixels + edges


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """From a standard normal, a latent element."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


def min_snr_weight(alphas_cumprod: Tensor, gamma: float = MIN_SNR_GAMMA) -> Tensor:
    """Weight of the noise-prediction loss at each timestep (Hang et al. 2023, Min-SNR)."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    return snr.clamp(max=gamma) / snr


def autocast() -> torch.autocast:
    """bfloat16 where it is safe: on a CPU that has it, three quarters of the time of float32."""
    return torch.autocast("cpu", torch.bfloat16)


# Stages


def vae_stage(vae: AutoencoderKL, images: Tensor, training: Training) -> Stage:
    """Autoencoding of random pictures."""

    def loss(step: int) -> Tensor:
        random = generator(training, "vae", step)
        chosen = torch.randint(len(images), (training.vae_batch,), generator=random)
        picture = scaled(images[chosen])
        with autocast():
            posterior = vae.encode(picture).latent_dist
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            latent = mean + (0.5 * logvar).exp() * torch.randn(mean.shape, generator=random)
            decoded = vae.decode(latent).sample.float()
        return reconstruction_loss(picture, decoded) + KL_WEIGHT * kl_divergence(mean, logvar)

    return Stage(
        name="vae",
        settings=training.of_vae(),
        model=nn.ModuleDict({"vae": vae}),
        loss=loss,
        steps=training.vae_steps,
        lr=training.vae_lr,
        ema=training.vae_ema,
    )


def standardise(vae: AutoencoderKL, mean: Tensor, std: Tensor) -> None:
    """Make latents with channel-wise `mean` and `std` (4,) zero-mean and of unit variance.

    The affine map goes into the 1x1 convolutions around the latent, its inverse on the decoder's
    side: pictures stay what they were, and the scaling factor is 1.
    """
    channels = len(mean)
    encode, decode = vae.quant_conv, vae.post_quant_conv
    with torch.no_grad():
        encode.bias[:channels] = (encode.bias[:channels] - mean) / std
        encode.weight[:channels] /= std.view(-1, 1, 1, 1)
        encode.bias[channels:] -= 2 * std.log()
        decode.bias += decode.weight[:, :, 0, 0] @ mean
        decode.weight *= std.view(1, -1, 1, 1)


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior means and deviations (N, 4, 16, 16), float32."""
    means, stds = [], []
    for batch in torch.split(images, 128):
        with autocast():
            posterior = vae.encode(scaled(batch)).latent_dist
        means.append(posterior.mean.float())
        stds.append(posterior.std.float())
    return torch.cat(means), torch.cat(stds)


def diffusion_stage(
    model: nn.ModuleDict, latents: Latents, tokens: Tensor, training: Training
) -> Stage:
    """Noise prediction on random latents, `model` holding `unet` and `text_encoder`."""
    scheduler: DDIMScheduler = parts.build_scheduler()
    weights = min_snr_weight(scheduler.alphas_cumprod)
    timesteps = len(weights)

    def loss(step: int) -> Tensor:
        random = generator(training, "diffusion", step)
        batch = training.unet_batch
        chosen = torch.randint(len(latents.mean), (batch,), generator=random)
        mean, std = latents.mean[chosen].float(), latents.std[chosen].float()
        latent = mean + std * torch.randn(mean.shape, generator=random)
        noise = torch.randn(mean.shape, generator=random)
        # One timestep from each of `batch` equal strata: less variance than independent ones.
        strata = torch.arange(batch) + torch.rand(batch, generator=random)
        t = (strata * (timesteps / batch)).long().clamp(max=timesteps - 1)
        dropped = torch.rand(batch, generator=random) < PROMPT_DROPOUT
        rows = (latents.caption[chosen] + 1).masked_fill(dropped, 0)
        distinct, place = torch.unique(rows, return_inverse=True)
        with autocast():
            text = model["text_encoder"](tokens[distinct])[0][place]
            predicted = model["unet"](scheduler.add_noise(latent, noise, t), t, text).sample
        error = F.mse_loss(predicted.float(), noise, reduction="none").mean((1, 2, 3))
        return (weights[t] * error).mean()

    return Stage(
        name="diffusion",
        settings=asdict(training),
        model=model,
        loss=loss,
        steps=training.unet_steps,
        lr=training.unet_lr,
        ema=training.unet_ema,
        stop=training.unet_stop,
    )


# All of it


def train(training: Training, out: Path, save_every: float = 120.0) -> Path:
    """Train or continue in `out`; returns the folder of the finished pipeline.

    Raises ValueError when `out` holds a stage begun with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(training.seed)
    tokenizer = parts.build_tokenizer(CAPTIONS)
    vae, unet = parts.build_vae(), parts.build_unet()
    text_encoder = parts.build_text_encoder(tokenizer)
    if training.init is not None:
        start = StableDiffusionPipeline.from_pretrained(
            training.init, use_safetensors=True, local_files_only=True
        )
        if start.tokenizer.get_vocab() != tokenizer.get_vocab():
            raise ValueError(f"{training.init}: its captions were others. Train without --init.")
        vae.load_state_dict(start.vae.state_dict())
        unet.load_state_dict(start.unet.state_dict())
        text_encoder.load_state_dict(start.text_encoder.state_dict())
    for module in (vae, unet):
        module.set_attn_processor(AttnProcessor())  # its backward is faster than fused attention's
    model = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})

    vae, latents = _latents(vae, training, out, save_every)

    def export(average: nn.ModuleDict) -> None:
        made = parts.build_pipeline(
            vae=copy.deepcopy(vae),
            unet=copy.deepcopy(average["unet"]),
            text_encoder=copy.deepcopy(average["text_encoder"]),
            tokenizer=tokenizer,
        )
        parts.save(made, out / "pipeline")
        record = json.dumps(_record(training, out), indent=1) + "\n"
        replace(out / "pipeline" / "training.json", lambda path: path.write_text(record))

    tokens = token_table(tokenizer)
    export(run(diffusion_stage(model, latents, tokens, training), out, save_every, export))
    return out / "pipeline"


def _latents(
    vae: AutoencoderKL, training: Training, out: Path, save_every: float
) -> tuple[AutoencoderKL, Latents]:
    """The trained VAE and all pictures encoded by it: made, or read where they are complete."""
    path = out / "latents.safetensors"
    if path.exists():
        stored, _ = read_tensors(path, training.of_vae())
        latents = Latents(*(stored.pop(name) for name in ("mean", "std", "caption")))
        vae.load_state_dict(stored)
        return vae.eval().requires_grad_(False), latents
    images, captions = drawings(training)
    if training.init is None:
        vae = run(vae_stage(vae, images, training), out, save_every)["vae"]
    vae.eval().requires_grad_(False)
    began = time.monotonic()
    mean, std = encode(vae, images)
    if training.init is None:
        centre, spread = mean.mean((0, 2, 3)), mean.std((0, 2, 3))
        standardise(vae, centre, spread)
        mean = (mean - centre.view(-1, 1, 1)) / spread.view(-1, 1, 1)
        std = std / spread.view(-1, 1, 1)
    latents = Latents(mean.half().contiguous(), std.half().contiguous(), captions)
    tensors = {**vae.state_dict(), "mean": latents.mean, "std": latents.std, "caption": captions}
    write_tensors(path, tensors, training.of_vae())
    print(f"encoded in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return vae, latents


def _record(training: Training, out: Path) -> dict[str, Any]:
    """What training.json says: one entry for this training after those of the pipeline it began."""
    before = []
    if training.init is not None:
        before = json.loads((Path(training.init) / "training.json").read_text())["trainings"]
    stages = {}
    log = read_log(out / "log.jsonl")
    for name in dict.fromkeys(entry["stage"] for entry in log):
        entries = [entry for entry in log if entry["stage"] == name]
        stages[name] = {
            "steps": entries[-1]["step"],
            "seconds": entries[-1]["seconds"],
            "losses": [[e["step"], e["loss"]] for e in _spread(entries, 20)],
        }
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }
    this = {
        "command": "python -m hero_engine.cartoons.train " + shlex.join(sys.argv[1:]),
        "settings": asdict(training),
        "stages": stages,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "versions": versions,
    }
    return {"trainings": [*before, this]}


def _spread(entries: list[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """At most `count` entries, evenly, the last one included."""
    marks = [round(i * len(entries) / count) for i in range(count + 1)]
    return (entries[end - 1] for begin, end in pairwise(marks) if end > begin)


def _share(text: str) -> tuple[str, float]:
    subject, _, value = text.partition("=")
    if subject not in PROMPTS:
        raise argparse.ArgumentTypeError(f"{text!r}: subject must be one of {', '.join(PROMPTS)}")
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {subject}=NUMBER from 0 to 1")
    return subject, share


def main(arguments: list[str] | None = None) -> None:
    """The command line; the same command continues an interrupted training."""
    parser = argparse.ArgumentParser(
        prog="python -m hero_engine.cartoons.train", description=__doc__.partition("\n")[0]
    )
    default = Training()
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and result")
    parser.add_argument("--init", help="begin from this pipeline's weights and keep its VAE")
    parser.add_argument(
        "--right-share",
        type=_share,
        action="append",
        default=[],
        metavar="SUBJECT=SHARE",
        help="share of right drawings under the subject's prompt, instead of the drawings' own",
    )
    parser.add_argument("--save-every", type=float, default=120.0, help="seconds (default 120)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    numbers = ("seed", "pictures", "vae_steps", "vae_batch", "vae_lr", "vae_ema")
    for name in (*numbers, "unet_steps", "unet_batch", "unet_lr", "unet_ema"):
        value = getattr(default, name)
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(value), default=value, help=f"default {value}")
    parser.add_argument("--unet-stop", type=int, metavar="STEP", help="end there, before the last")
    options = vars(parser.parse_args(arguments))
    out, save_every, threads = (options.pop(name) for name in ("out", "save_every", "threads"))
    options["right_share"] = dict(options["right_share"])
    torch.set_num_threads(threads)
    try:
        print(train(Training(**options), out, save_every))
    except (ValueError, FloatingPointError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

"""Measures the embedded model as it is shipped: `python benchmarks/embedded.py`.

Prints Markdown: how often each task's prompt gives a picture that its oracle accepts, before any
labels, how faithful the VAE is on drawings it was not trained on, and what the files weigh. Draws a
contact sheet, accepted pictures framed in green.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw

from hero_engine.cartoons import SUBJECTS, WEIGHTS
from hero_engine.cartoons.drawing import PROMPTS, draw
from hero_engine.cartoons.oracle import judge

GUIDANCE, STEPS, ETA, BATCH = 5.0, 20, 1.0, 64
TARGETS = dict.fromkeys(SUBJECTS, (0.25, 0.50)) | {"hand": (0.08, 0.25)}
SAFETY_PROMPT = "sexy"
HELD_OUT = 1_000_000  # drawings for training are numbered from 0
GREEN, GREY = (40, 160, 70), (225, 225, 225)


def sample(
    pipe: StableDiffusionPipeline, prompt: str, pictures: int, seed: int
) -> list[Image.Image]:
    """`pictures` samples of `prompt`, the same for the same seed and batch size."""
    generator = torch.Generator().manual_seed(seed)
    made: list[Image.Image] = []
    while len(made) < pictures:
        made += pipe(
            prompt,
            num_images_per_prompt=min(BATCH, pictures - len(made)),
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            eta=ETA,
            generator=generator,
        ).images
    return made


def psnr(pipe: StableDiffusionPipeline, subject: str, pictures: int) -> float:
    """Mean PSNR, in dB, of drawings after the VAE's round trip."""
    rng = np.random.default_rng([HELD_OUT, SUBJECTS.index(subject)])
    drawn = np.stack([np.asarray(draw(subject, rng).image) for _ in range(pictures)])
    images = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        decoded = pipe.vae(images).sample.clamp(-1, 1)
    error = ((decoded - images) / 2).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


def contact_sheet(rows: dict[str, list[tuple[Image.Image, bool]]], columns: int) -> Image.Image:
    """Pictures of every subject in rows of `columns`, each in a frame that shows its verdict."""
    tile, name = 68, 14
    lines = {subject: -(-len(pictures) // columns) for subject, pictures in rows.items()}
    height = sum(name + tile * count for count in lines.values())
    sheet = Image.new("RGB", (tile * columns, height), "white")
    pen, top = ImageDraw.Draw(sheet), 0
    for subject, pictures in rows.items():
        pen.text((3, top + 1), subject, fill=(60, 60, 60))
        top += name
        for number, (picture, good) in enumerate(pictures):
            x, y = tile * (number % columns), top + tile * (number // columns)
            pen.rectangle((x, y, x + tile - 1, y + tile - 1), fill=GREEN if good else GREY)
            sheet.paste(picture, (x + 2, y + 2))
        top += tile * lines[subject]
    return sheet.quantize(256, dither=Image.Dither.NONE)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--pictures", type=int, default=256, help="a subject (default 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sheet", type=Path, default=Path("docs/images/embedded-contact-sheet.png")
    )
    parser.add_argument("--sheet-pictures", type=int, default=16, help="a subject (default 16)")
    options = parser.parse_args()

    pipe = StableDiffusionPipeline.from_pretrained(
        options.weights, use_safetensors=True, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    print(
        f"{options.pictures} pictures a subject, seed {options.seed}, {STEPS} DDIM steps, "
        f"eta {ETA:g}, guidance {GUIDANCE:g}, {torch.get_num_threads()} threads\n"
    )
    print("| Subject | Base success | Wanted | VAE PSNR | Seconds for 64 |")
    print("|---|---|---|---|---|")
    rows = {}
    for subject in SUBJECTS:
        began = time.monotonic()
        prompt = PROMPTS.get(subject, SAFETY_PROMPT)
        pictures = sample(pipe, prompt, options.pictures, options.seed)
        seconds = (time.monotonic() - began) * 64 / len(pictures)
        verdicts = [judge(subject, picture).good for picture in pictures]
        low, high = TARGETS[subject]
        wanted = f"{low:.2f} to {high:.2f}" if subject in PROMPTS else "-"
        success = sum(verdicts) / len(verdicts)
        fidelity = psnr(pipe, subject, 128)
        print(
            f"| {subject} | {success:.2f} | {wanted} | {fidelity:.1f} dB | {seconds:.1f} |",
            flush=True,
        )
        rows[subject] = list(zip(pictures, verdicts, strict=True))[: options.sheet_pictures]

    files = [path for path in options.weights.rglob("*") if path.is_file()]
    print(f"\n{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")
    for part in ("unet", "vae", "text_encoder"):
        count = sum(p.numel() for p in getattr(pipe, part).parameters())
        print(f"{part}: {count / 1e6:.2f} M parameters")
    options.sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, columns=16).save(options.sheet, optimize=True)
    print(f"{options.sheet}: {options.sheet.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

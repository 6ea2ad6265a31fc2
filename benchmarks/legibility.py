"""How much can be judged of a picture that is shown as text: `python benchmarks/legibility.py`.

Pictures are drawn in cells as the interface draws them, the cells are scaled back to the picture's
size, and the oracle judges that. The tables give the share of pictures whose verdict is that on the
picture itself, good and bad ones weighing the same: for drawings, and for pictures of the embedded
model. With them the bytes that a picture takes on the way to the terminal, and the milliseconds
that it takes to be encoded.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from embedded import sample
from PIL import Image
from rich.color import ColorSystem
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region

from hero_engine.cartoons import WEIGHTS
from hero_engine.cartoons.drawing import PROMPTS, draw
from hero_engine.cartoons.oracle import judge
from hero_tui.cells import Cells
from hero_tui.preview import blocks
from hero_tui.preview.drawing import Strips
from hero_tui.preview.symbols import SYMBOLS
from hero_tui.preview.terminal import MOSAICS, Mosaic

SIZES = {
    (18, 9): "a page of 80x24",
    (24, 12): "the same, larger once",
    (38, 19): "the same, larger twice",
}
CELL = (12, 24)
"""Pixels of a cell: halves, thirds and quarters of it are whole."""
SAMPLES = dict.fromkeys(PROMPTS, 256) | {"hand": 640}
"""Pictures of the model, by subject: few hands are good."""

Pictures = dict[str, list[tuple[Image.Image, bool]]]
"""By subject: pictures, and whether each is good."""


def drawings(most: int) -> Pictures:
    """Drawings of each subject, every other one right by construction."""
    found: Pictures = {}
    for subject in PROMPTS:
        rng = np.random.default_rng(0)
        drawn = [draw(subject, rng, right=number % 2 == 0).image for number in range(2 * most)]
        found[subject] = [(image, judge(subject, image).good) for image in drawn]
    return found


def of_the_model(most: int) -> Pictures:
    """Pictures of the embedded model before any labels, at most `most` good and as many bad."""
    pipe: Any = StableDiffusionPipeline.from_pretrained(WEIGHTS)
    pipe.set_progress_bar_config(disable=True)
    found: Pictures = {}
    for subject, prompt in PROMPTS.items():
        verdicts: dict[bool, list[tuple[Image.Image, bool]]] = {True: [], False: []}
        for image in sample(pipe, prompt, SAMPLES[subject], 0):
            good = judge(subject, image).good
            verdicts[good].append((image, good))
        found[subject] = [*verdicts[True][:most], *verdicts[False][:most]]
    return found


def shown(strips: Strips, symbols: Mosaic) -> Image.Image:
    """What a terminal of true colour shows of lines of text in these symbols."""
    kind = SYMBOLS[symbols]
    patterns = {character: pattern for pattern, character in kind.characters.items()}
    screen = Image.new("RGB", (strips[0].cell_length * CELL[0], len(strips) * CELL[1]))
    part = CELL[0] // kind.across, CELL[1] // kind.down
    for row, strip in enumerate(strips):
        styles = [(character, style) for text, style, _ in strip for character in text]
        for column, (character, style) in enumerate(styles):
            left, top = column * CELL[0], row * CELL[1]
            screen.paste(rgb(style, back=True), (left, top, left + CELL[0], top + CELL[1]))
            for number in range(kind.across * kind.down):
                if patterns[character] >> number & 1:
                    x, y = number % kind.across, number // kind.across
                    x, y = left + x * part[0], top + y * part[1]
                    screen.paste(rgb(style, back=False), (x, y, x + part[0], y + part[1]))
    return screen


def rgb(style: Style | None, back: bool) -> tuple[int, int, int]:
    """The colour of the cells' background, or of their characters."""
    colour = None if style is None else style.bgcolor if back else style.color
    assert colour is not None
    assert colour.triplet is not None
    red, green, blue = colour.triplet
    return red, green, blue


def agreement(pictures: Pictures, mosaic: Mosaic, size: tuple[int, int]) -> Iterator[float]:
    """For each subject, the share of verdicts that stay; good and bad weigh the same."""
    for subject, judged in pictures.items():
        same: dict[bool, list[bool]] = {True: [], False: []}
        for image, good in judged:
            strips = encoded(image, mosaic, size)[0]
            back = shown(strips, mosaic).resize(image.size, Image.Resampling.BOX)
            same[good].append(judge(subject, back).good == good)
        yield statistics.mean(statistics.mean(each) for each in same.values() if each)


def encoded(image: Image.Image, mosaic: Mosaic, size: tuple[int, int]) -> tuple[Strips, float]:
    """The picture as text, and the seconds that took, with reading its file."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        image.save(file)
        file.flush()
        start = time.perf_counter()
        drawing = blocks.encode(Path(file.name), *size, mosaic, "truecolor")
        return drawing.strips, time.perf_counter() - start


def costs(pictures: Pictures, mosaic: Mosaic, size: tuple[int, int]) -> tuple[float, float]:
    """Bytes and milliseconds of a picture: the mean, and the median."""
    images = [image for judged in pictures.values() for image, _ in judged[:8]]
    made = [encoded(image, mosaic, size) for image in images]
    frames = [LayoutUpdate([[line] for line in strips], Region(0, 0, *size)) for strips, _ in made]
    codes = [Cells(erases=True).change(frame, ColorSystem.TRUECOLOR)[0] for frame in frames]
    sizes = [len(code.encode()) for code in codes]
    return statistics.mean(sizes), 1000 * statistics.median(seconds for _, seconds in made)


def print_table(title: str, pictures: Pictures) -> None:
    """Agreement by size, mosaic and subject, as Markdown."""
    subjects = " | ".join(pictures)
    print(f"\n{title}\n\n| Cells | As | {subjects} | mean | bytes | ms |")
    print("|---|---|" + "---|" * (len(pictures) + 3))
    for size, what in SIZES.items():
        for mosaic in MOSAICS:
            shares = list(agreement(pictures, mosaic, size))
            cells = f"{size[0]}x{size[1]}, {what}" if mosaic == MOSAICS[0] else ""
            row = " | ".join(f"{share:.2f}" for share in (*shares, statistics.mean(shares)))
            size_of_one, took = costs(pictures, mosaic, size)
            print(f"| {cells} | {mosaic} | {row} | {size_of_one:,.0f} | {took:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--most", type=int, default=64, help="good and bad of a subject (default 64)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_table("Drawings", drawings(arguments.most // 2))
    model = of_the_model(arguments.most)
    print_table("Pictures of the embedded model", model)
    counts = {name: sum(good for _, good in judged) for name, judged in model.items()}
    print("\nGood ones of the model: " + ", ".join(f"{n} {name}" for name, n in counts.items()))


if __name__ == "__main__":
    main()

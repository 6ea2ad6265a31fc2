"""Pictures as text: the characters that fill parts of a cell, and the best ones for a picture."""

import unicodedata
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from textual.strip import Strip

from hero_tui.cells import characters
from hero_tui.preview.blocks import best_cells, encode, parts_of
from hero_tui.preview.palette import palette
from hero_tui.preview.symbols import SYMBOLS
from hero_tui.preview.terminal import MOSAICS, Colours, Mosaic
from tests.interface_runs import painted

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Pixel = tuple[int, int, int]


def save(path: Path, rows: list[list[Pixel]]) -> Path:
    picture = Image.new("RGB", (len(rows[0]), len(rows)))
    picture.putdata([pixel for row in rows for pixel in row])
    picture.save(path)
    return path


def pixels(strips: tuple[Strip, ...], mosaic: Mosaic) -> list[list[ColorTriplet | None]]:
    """The colours of the parts of cells, line by line; None where a cell is blank."""
    kind = SYMBOLS[mosaic]
    patterns = {character: pattern for pattern, character in kind.characters.items()}
    lines = []
    for strip in strips:
        cells = [(each, style) for text, style, _ in strip for each in text]
        for y in range(kind.down):
            line = []
            for (character, style), x in product(cells, range(kind.across)):
                filled = patterns[character] >> (y * kind.across + x) & 1
                colour = None if style is None else style.color if filled else style.bgcolor
                line.append(None if colour is None else colour.triplet)
            lines.append(line)
    return lines


# -- characters ------------------------------------------------------------------------------


def test_every_pattern_can_be_shown_by_it_or_with_the_colours_exchanged() -> None:
    for symbols in SYMBOLS.values():
        every = (1 << symbols.across * symbols.down) - 1
        shown = [*symbols.characters, *(every - pattern for pattern in symbols.characters)]
        assert sorted(shown) == list(range(every + 1))
        assert len(set(symbols.characters.values())) == len(symbols.characters)


def test_sextants_and_quadrants_are_the_parts_that_their_names_say() -> None:
    words = ("UPPER LEFT", "UPPER RIGHT", "LOWER LEFT", "LOWER RIGHT")
    for pattern, character in SYMBOLS["quadrants"].characters.items():
        name = unicodedata.name(character)
        if name.startswith("QUADRANT "):
            parts = name.removeprefix("QUADRANT ").split(" AND ")
            assert pattern == sum(1 << words.index(part) for part in parts)
    named = 0
    for pattern, character in SYMBOLS["sextants"].characters.items():
        name = unicodedata.name(character)
        if name.startswith("BLOCK SEXTANT-"):
            named += 1
            numbers = name.removeprefix("BLOCK SEXTANT-")
            assert pattern == sum(1 << int(number) - 1 for number in numbers)
    assert named == 30


@pytest.mark.parametrize(
    ("point", "parts"),
    # From the chart 1CC00 of Unicode 16: the ends of its octants, and where their order has gaps.
    [
        *((0x1CD00, "3"), (0x1CD01, "23"), (0x1CD03, "4"), (0x1CD09, "5"), (0x1CD0B, "25")),
        *(
            (0x1CD17, "12345"),
            (0x1CD18, "6"),
            (0x1CD1C, "36"),
            (0x1CD20, "146"),
            (0x1CDE4, "1345678"),
        ),
        (0x1CDE5, "2345678"),
    ],
)
def test_an_octant_is_the_parts_that_its_name_says(point: int, parts: str) -> None:
    pattern = sum(1 << int(part) - 1 for part in parts)
    characters = SYMBOLS["octants"].characters
    # Where both it and its complement are octants, the lower code point is used.
    assert characters.get(pattern, chr(point)) == chr(point)
    assert pattern in characters or 255 - pattern in characters


def test_octants_need_no_character_that_terminals_with_octants_lack() -> None:
    for character in SYMBOLS["octants"].characters.values():
        octant = 0x1CD00 <= ord(character) <= 0x1CDE5
        assert octant or 0x2580 <= ord(character) <= 0x259F or character == " "


@pytest.mark.parametrize("mosaic", MOSAICS)
def test_each_character_is_one_cell(mosaic: Mosaic) -> None:
    text = "".join(SYMBOLS[mosaic].characters.values())
    assert cell_len(text) == len(text)
    assert characters(text) == tuple(text)


# -- the best cells --------------------------------------------------------------------------


@pytest.mark.parametrize("mosaic", MOSAICS)
@pytest.mark.parametrize("colours", ["truecolor", "256", "16"])
def test_no_pattern_and_colours_are_nearer_to_the_picture(mosaic: Mosaic, colours: Colours) -> None:
    symbols, few = SYMBOLS[mosaic], palette(colours)
    parts = np.random.default_rng(0).integers(0, 256, (4, symbols.across * symbols.down, 3))
    best, fore, back = best_cells(parts.astype(np.float32), symbols.patterns, few)
    for cell, chosen, *pair in zip(parts, best, fore, back, strict=True):
        if few is not None:  # what the terminal makes of what is written
            pair = [few.shown[(few.written == colour).all(1).argmax()] for colour in pair]
        filled = symbols.patterns[chosen][:, None]
        error = ((cell - np.where(filled, *pair)) ** 2).sum()
        for pattern in symbols.patterns:
            least = 0.0
            for group in (cell[pattern], cell[~pattern]):
                if not len(group):
                    continue
                choices = group.mean(0)[None] if few is None else few.shown
                least += ((group[:, None] - choices[None]) ** 2).sum((0, 2)).min()
            assert error <= least + 0.5


def test_two_colours_a_cell_are_shown_as_they_are() -> None:
    for symbols in SYMBOLS.values():
        parts = symbols.across * symbols.down
        for pattern in (0, 1, 2, (1 << parts) - 2, (1 << parts) // 3):
            cell = [RED if pattern >> part & 1 else BLUE for part in range(parts)]
            rows = [cell[at : at + symbols.across] for at in range(0, parts, symbols.across)]
            array = np.array(rows, np.float32)
            best, fore, back = best_cells(parts_of(array, symbols)[0], symbols.patterns, None)
            filled = symbols.patterns[best[0]][:, None]
            assert np.where(filled, fore[0], back[0]).tolist() == np.array(cell).tolist()


def test_half_blocks_show_two_pixels_one_above_the_other(tmp_path: Path) -> None:
    rows = [[RED, WHITE], [GREEN, WHITE], [BLUE, RED], [BLUE, GREEN]]
    strips = encode(save(tmp_path / "p.png", rows), 2, 2, "blocks", "truecolor").strips
    assert pixels(strips, "blocks") == rows
    assert {text for strip in strips for text, *_ in strip} <= {"▀", " ", ""}


@pytest.mark.parametrize("mosaic", MOSAICS)
def test_a_picture_is_in_the_middle_of_blank_cells(tmp_path: Path, mosaic: Mosaic) -> None:
    path = save(tmp_path / "p.png", [[RED, RED], [RED, RED]])
    lines = encode(path, 8, 3, mosaic, "truecolor").strips
    assert [line.cell_length for line in lines] == [8, 8, 8]
    across = SYMBOLS[mosaic].across
    blank = [None] * across
    assert all(line == [*blank, *[RED] * (6 * across), *blank] for line in pixels(lines, mosaic))


@pytest.mark.parametrize("mosaic", MOSAICS)
def test_a_picture_that_is_not_a_whole_png_is_an_error(tmp_path: Path, mosaic: Mosaic) -> None:
    path = tmp_path / "p.png"
    painted(1).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OSError, match="truncated"):
        encode(path, 4, 4, mosaic, "truecolor")
    painted(1).save(path, format="GIF")
    with pytest.raises(OSError, match="cannot identify"):
        encode(path, 4, 4, mosaic, "truecolor")


# -- few colours -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colours", "system", "numbers"),
    [("256", ColorSystem.EIGHT_BIT, 236), ("16", ColorSystem.STANDARD, 16)],
)
def test_what_is_written_becomes_the_colour_that_was_chosen(
    colours: Colours, system: ColorSystem, numbers: int
) -> None:
    few = palette(colours)
    assert few is not None
    became = {Color.from_rgb(*colour).downgrade(system).number for colour in few.written}
    assert len(became) == len(few.written) == numbers
    chosen = few.nearest(few.shown)
    assert chosen.tolist() == list(range(numbers))


@pytest.mark.parametrize("colours", ["256", "16"])
def test_a_picture_has_no_other_colours_than_the_terminal(tmp_path: Path, colours: Colours) -> None:
    path = tmp_path / "p.png"
    painted(3).save(path)
    few = palette(colours)
    assert few is not None
    allowed = {tuple(colour) for colour in few.written.astype(int).tolist()}
    for line in pixels(encode(path, 4, 2, "sextants", colours).strips, "sextants"):
        assert {tuple(colour) for colour in line if colour} <= allowed

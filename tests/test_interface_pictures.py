"""Pictures as half-blocks, the contact sheet, and plots."""

from pathlib import Path

import pytest
from PIL import Image
from rich.color import ColorTriplet
from textual.strip import Strip

from hero_engine.run.labels import Labels
from hero_engine.run.sheet import contact_sheet
from hero_tui.preview.blocks import half_blocks
from hero_tui.preview.drawing import Drawing, Text
from hero_tui.preview.pictures import Pictures
from hero_tui.preview.scaling import fit
from hero_tui.preview.terminal import Terminal
from hero_tui.widgets.plot import bars, curve
from tests.interface_runs import painted

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def save(path: Path, rows: list[list[tuple[int, int, int]]]) -> Path:
    picture = Image.new("RGB", (len(rows[0]), len(rows)))
    picture.putdata([pixel for row in rows for pixel in row])
    picture.save(path)
    return path


def cells(strip: Strip) -> list[tuple[ColorTriplet | None, ColorTriplet | None]]:
    """The (upper, lower) colour of each cell of a line; (None, None): a blank one."""
    found: list[tuple[ColorTriplet | None, ColorTriplet | None]] = []
    for text, style, _ in strip:
        lower = style.bgcolor.triplet if style and style.bgcolor else None
        upper = style.color.triplet if style and style.color else None
        for character in text:
            assert character in "▀ "
            found.append((upper if character == "▀" else lower, lower))
    return found


def test_a_cell_shows_two_pixels_one_above_the_other(tmp_path: Path) -> None:
    path = save(tmp_path / "p.png", [[RED, WHITE], [GREEN, WHITE], [BLUE, RED], [BLUE, GREEN]])
    upper, lower = half_blocks(path, 2, 2).strips
    assert cells(upper) == [(RED, GREEN), (WHITE, WHITE)]
    assert cells(lower) == [(BLUE, BLUE), (RED, GREEN)]


def test_a_picture_is_in_the_middle_of_blank_cells(tmp_path: Path) -> None:
    path = save(tmp_path / "p.png", [[RED, RED], [RED, RED]])
    lines = half_blocks(path, 6, 3).strips
    assert [line.cell_length for line in lines] == [6, 6, 6]
    assert [cells(line).count((RED, RED)) for line in lines] == [6, 6, 6]
    lines = half_blocks(path, 8, 3).strips
    assert all(cells(line) == [(None, None), *[(RED, RED)] * 6, (None, None)] for line in lines)


async def test_what_was_encoded_while_pictures_changed_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "p.png", [[RED, RED], [RED, RED]])
    pictures = Pictures(Terminal("block", "truecolor"))

    def half_blocks_of_what_was_there(path: Path, columns: int, rows: int) -> Drawing:
        drawing = half_blocks(path, columns, rows)
        if cells(drawing.strips[0])[0] == (RED, RED):
            save(path, [[BLUE, BLUE], [BLUE, BLUE]])
            pictures.forget()
        return drawing

    monkeypatch.setattr(pictures, "_encode", half_blocks_of_what_was_there)
    shown = await pictures.encoded(path, 2, 1)
    assert isinstance(shown, Text)
    assert cells(shown.strips[0])[0] == (BLUE, BLUE)
    assert pictures.kept(path, 2, 1) is shown
    pictures.close()


@pytest.mark.parametrize(
    ("picture", "box", "cells"),
    [
        ((64, 64), (18, 9), (18, 9)),
        ((64, 64), (30, 13), (26, 13)),
        ((512, 512), (18, 20), (18, 9)),
        ((512, 768), (80, 24), (32, 24)),
        ((1000, 1), (10, 10), (10, 1)),
    ],
)
def test_a_picture_is_as_large_as_fits_with_square_pixels(
    picture: tuple[int, int], box: tuple[int, int], cells: tuple[int, int]
) -> None:
    assert fit(picture, *box) == cells


def test_a_picture_that_is_not_whole_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    painted(1).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OSError, match="truncated"):
        half_blocks(path, 4, 4)


def test_only_png_files_are_opened(tmp_path: Path) -> None:
    painted(1).save(tmp_path / "p.png", format="GIF")
    with pytest.raises(OSError, match="cannot identify"):
        half_blocks(tmp_path / "p.png", 4, 4)


async def test_pictures_are_kept_by_file_and_size(tmp_path: Path) -> None:
    pictures = Pictures(Terminal("block", "truecolor"), keep=2)
    path = tmp_path / "p.png"
    painted(1).save(path)
    drawing = await pictures.encoded(path, 4, 2)
    assert pictures.kept(path, 4, 2) is drawing
    assert pictures.kept(path, 8, 4) is None
    path.unlink()
    assert await pictures.encoded(path, 4, 2) is drawing
    painted(2).save(path)
    for size in (8, 12):
        await pictures.encoded(path, size, size)
    assert pictures.kept(path, 4, 2) is None
    pictures.close()


def test_the_contact_sheet_frames_the_goods_and_the_best(tmp_path: Path) -> None:
    paths = {}
    for number in range(10):
        paths[number] = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 64), BLUE).save(paths[number])
    plain = contact_sheet(paths, Labels())
    marked = contact_sheet(paths, Labels.of([1, 9], best=9))
    assert plain.size == marked.size
    colours = {colour for _, colour in marked.getcolors(1_000_000) or []}
    assert {(0x73, 0xC9, 0x36), (0xFF, 0xC8, 0x3D)} <= colours
    assert plain.getpixel((100, 100)) == BLUE


def test_a_sheet_of_large_pictures_has_small_ones(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    Image.new("RGB", (1024, 512), BLUE).save(path)
    assert contact_sheet({0: path}, Labels()).getpixel((8 + 255, 8 + 127)) == BLUE
    assert contact_sheet({0: path}, Labels()).getpixel((8 + 256, 8 + 128)) != BLUE


def test_bars_are_as_high_as_their_shares() -> None:
    assert bars([0.0, 0.5, 1.0], width=4, height=5) == [
        "          100%",
        "          ████",
        "     50%  ████",
        "     ████ ████",
        " 0%  ████ ████",
    ]


def test_a_curve_goes_from_its_largest_value_to_its_least() -> None:
    falling = curve([1.0, 0.0], width=2, height=1)
    assert falling == ["⠑⢄"]
    assert curve([0.0, 0.0, 0.0], width=3, height=2) == ["⠀⠀⠀", "⣀⣀⣀"]

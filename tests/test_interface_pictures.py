"""The size of pictures, which are kept, the contact sheet, and plots."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hero_engine.run.labels import Labels
from hero_engine.run.pictures import open_picture, save_picture
from hero_engine.run.sheet import contact_sheet
from hero_tui.preview.drawing import Drawing, Text
from hero_tui.preview.pictures import Pictures
from hero_tui.preview.scaling import fit
from hero_tui.preview.terminal import QUADRANTS
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.plot import bars, curve
from tests.interface_runs import interface, make_sampled_run, painted, until

RED, BLUE = (255, 0, 0), (0, 0, 255)


async def test_what_was_encoded_while_pictures_changed_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (2, 2), RED).save(path)
    pictures = Pictures(QUADRANTS)
    encode = pictures._encode

    def of_what_was_there(path: Path, columns: int, rows: int) -> Drawing:
        drawing = encode(path, columns, rows)
        if colours(drawing) == {RED}:
            Image.new("RGB", (2, 2), BLUE).save(path)
            pictures.forget()
        return drawing

    monkeypatch.setattr(pictures, "_encode", of_what_was_there)
    shown = await pictures.encoded(path, 2, 1)
    assert colours(shown) == {BLUE}
    assert pictures.kept(path, 2, 1) is shown
    pictures.close()


async def test_a_damaged_picture_is_said_to_be_and_the_others_are_labelled(tmp_path: Path) -> None:
    run = make_sampled_run(tmp_path, images=4)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    path = run.image(0, 1)
    save_picture(path, noise)
    first, second, *others = path.read_bytes().split(b"IDAT")
    assert others, "it has several chunks, of which Pillow reads the later ones by itself"
    path.write_bytes(b"IDAT".join([first, second]) + b"\x00\xffAT" + b"IDAT".join(others))
    with pytest.raises(OSError, match=r"1\.png"):
        open_picture(path)
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: [p.note for p in app.screen.query(Picture)][1] == "unreadable")
        await pilot.press("1", "3")
        await until(pilot, lambda: app.view.labels == Labels.of([0, 2]))


def colours(drawing: Drawing) -> set[tuple[int, ...] | None]:
    """The colours of a picture as text."""
    assert isinstance(drawing, Text)
    styles = [style for strip in drawing.strips for _, style, _ in strip if style]
    return {style.bgcolor.triplet for style in styles if style.bgcolor}


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


async def test_pictures_are_kept_by_file_and_size(tmp_path: Path) -> None:
    pictures = Pictures(QUADRANTS, keep=2)
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

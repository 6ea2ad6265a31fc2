"""Folders of labelled pictures: what is taken of them, and what is refused before a run is made."""

import hashlib
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from hero_engine.errors import InputError
from hero_engine.method.reward import uses_embedding
from hero_engine.run import anypicture
from hero_engine.run.anypicture import Unfit, read_fitting
from hero_engine.run.folder import create_run, list_runs
from hero_engine.run.labels import KEEP, Labels
from hero_engine.run.picturesize import picture_size
from hero_engine.run.record import START
from hero_engine.run.resolve import resolve
from hero_engine.run.startfolder import listing_of
from hero_engine.run.startpictures import StartPictures, start_pictures
from hero_engine.run.task import Reward, RewardName, Task

SIZE = (64, 64)
"""Of the embedded model's pictures."""


def task_of(*overrides: str, **options: Any) -> Task:
    return resolve("black-cat", model="embedded", overrides=overrides, **options).task


TASK = task_of()
TWO_PROMPTS = TASK.model_copy(update={"prompts": ("a cat", "a dog")})


def picture(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture like no other of another number."""
    random = np.random.default_rng(number)
    return Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def save(path: Path, image: Image.Image | int, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture(image) if isinstance(image, int) else image).save(path, **how)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good pictures and two bad ones."""
    for number, name in enumerate(("good/1.png", "good/2.png", "good/10.png", "bad/a.png",
                                   "bad/b.png")):  # fmt: skip
        save(tmp_path / "pictures" / name, number)
    return tmp_path / "pictures"


def refused(*folders: Path, task: Task = TASK) -> str:
    with pytest.raises(InputError) as why:
        start_pictures(folders, task)
    return str(why.value)


def names(found: StartPictures) -> dict[int, tuple[str, bool]]:
    """The pictures' names without their folder, and whether they are good, by number."""
    return {n: (each.named.path.name, each.named.good) for n, each in found.pictures.items()}


# -- pictures --------------------------------------------------------------------------------


def exif_turned() -> bytes:
    exif = Image.new("RGB", (1, 1)).getexif()
    exif[0x0112] = 6
    return exif.tobytes()


@pytest.mark.parametrize(
    ("make", "how"),
    [
        (lambda: picture(0), {"format": "PNG"}),
        (lambda: picture(0), {"format": "WEBP", "lossless": True}),
        (lambda: picture(0).convert("RGBA"), {"format": "PNG"}),
        (lambda: picture(0).rotate(90), {"format": "PNG", "exif": exif_turned()}),
    ],
    ids=["png", "webp", "opaque alpha", "turned by a camera"],
)
def test_a_picture_is_read_as_it_looks(make: Callable[[], Image.Image], how: dict[str, Any],
                                       tmp_path: Path) -> None:  # fmt: skip
    found = read_fitting(save(tmp_path / "of-any-name", make(), **how), SIZE)
    assert np.array_equal(found, np.asarray(picture(0)))


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_grey_and_palettes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = picture(0).convert(mode)
    found = read_fitting(save(tmp_path / "a.png", image), SIZE)
    assert np.array_equal(found, np.asarray(image.convert("RGB")))


def test_jpeg_is_read_also_under_another_name(tmp_path: Path) -> None:
    grey = Image.new("RGB", SIZE, (90, 120, 150))
    found = read_fitting(save(tmp_path / "a.png", grey, format="JPEG", quality=95), SIZE)
    assert np.abs(found.astype(int) - np.asarray(grey)).max() <= 2


def test_a_larger_one_of_the_same_shape_is_scaled_down_by_lanczos(tmp_path: Path) -> None:
    large = picture(0, (200, 100))
    found = read_fitting(save(tmp_path / "a.png", large), (64, 32))
    assert np.array_equal(found, np.asarray(large.resize((64, 32), Image.Resampling.LANCZOS)))
    assert read_fitting(save(tmp_path / "b.png", picture(0, (1001, 1000))), SIZE).shape[0] == 64


def png_claiming(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))  # fmt: skip

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(
        b"IEND", b"")  # fmt: skip


def a_film(path: Path, kind: str) -> None:
    save(path, 0, format=kind, save_all=True, append_images=[picture(1)])


def clear_corner(path: Path) -> None:
    image = picture(0).convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 200))
    save(path, image)


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("smaller", lambda p: save(p, picture(0, (63, 64))), "63x64, expected 64x64 or larger"),
    ("other shape", lambda p: save(p, picture(0, (128, 96))), "128x96, expected .* crop it"),
    ("turned", lambda p: save(p, picture(0, (60, 90)), exif=exif_turned()), "90x60"),
    ("transparent", clear_corner, "transparent"),
    ("palette with a hole",
     lambda p: save(p, picture(0).quantize(16), transparency=3), "transparent"),
    ("CMYK", lambda p: save(p, picture(0).convert("CMYK"), format="JPEG"), "CMYK"),
    ("16 bit", lambda p: save(p, Image.fromarray(np.zeros((64, 64), np.uint16))), "8 bits"),
    ("APNG", lambda p: a_film(p, "PNG"), "animated"),
    ("animated WebP", lambda p: a_film(p, "WEBP"), "animated"),
    ("GIF", lambda p: save(p, 0, format="GIF"), "no PNG, JPEG or WebP"),
    ("text", lambda p: p.write_text("a picture"), "no PNG, JPEG or WebP"),
    ("empty", lambda p: p.touch(), "no PNG, JPEG or WebP"),
    ("cut", lambda p: p.write_bytes(save(p, 0).read_bytes()[:3000]), "damaged"),
    ("bomb", lambda p: p.write_bytes(png_claiming(10_001, 10_000)), "10001x10000 pixels"),
    ("large bomb", lambda p: p.write_bytes(png_claiming(60_000, 60_000)), "pixels"),
    ("folder", lambda p: p.mkdir(), "cannot be read"),
    ("pipe", lambda p: os.mkfifo(p), "no regular file"),
    ("link to nothing", lambda p: p.symlink_to("gone"), "a link to nothing"),
    ("link to itself", lambda p: p.symlink_to(p), "cannot be read"),
    ("nothing", lambda p: None, "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_does_not_fit_is_refused(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(Unfit, match=why):
        read_fitting(tmp_path / "a.png", SIZE)


def test_a_file_that_is_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anypicture, "MOST_BYTES", 100)
    with pytest.raises(Unfit, match="expected at most 100"):
        read_fitting(save(tmp_path / "a.png", 0), SIZE)


# -- folders ---------------------------------------------------------------------------------


def test_subfolders_say_what_is_good_and_numbers_are_sorted_as_people_do(folder: Path) -> None:
    found = start_pictures([folder], TASK)
    assert names(found) == {
        0: ("a.png", False), 1: ("b.png", False),
        2: ("1.png", True), 3: ("2.png", True), 4: ("10.png", True),
    }  # fmt: skip
    assert found.best is None
    assert found.words == "5 labelled pictures (3 good, 2 bad), apart from the budget"


@pytest.mark.parametrize("name", ["best.png", "best/any.jpg", "best.webp"])
def test_the_best_is_beside_them_and_one_of_the_good(folder: Path, name: str) -> None:
    save(folder / name, 9)
    found = start_pictures([folder], TASK)
    assert found.best is not None
    assert names(found)[found.best] == (Path(name).name, True)
    assert len(found.pictures) == 6


def test_a_copy_of_a_good_one_as_the_best_counts_once(folder: Path) -> None:
    save(folder / "best.png", 1)
    found = start_pictures([folder], TASK)
    assert len(found.pictures) == 5
    assert found.best is not None
    assert any("there twice" in remark for remark in found.remarks)


def test_two_bests_are_refused(folder: Path) -> None:
    save(folder / "best.png", 9)
    save(folder / "best" / "a.png", 8)
    assert "expected one best picture, found best/a.png, best.png" in refused(folder)


def test_the_same_picture_cannot_be_good_and_bad(folder: Path, tmp_path: Path) -> None:
    save(folder / "good" / "again.webp", 3, lossless=True)
    said = refused(folder)
    assert "again.webp: it is good, and the same picture as" in said
    assert "a.png, which is bad" in said


def test_everything_wrong_is_named_at_once_up_to_a_number(folder: Path, tmp_path: Path) -> None:
    for number in range(30):
        (folder / "bad" / f"broken-{number}.png").touch()
    said = refused(folder, tmp_path / "nowhere").splitlines()
    assert "nowhere: there is no such folder" in said[0]
    assert len(said) == 21
    assert said[-1] == "and 11 more"


def test_hidden_files_and_captions_are_left_out_and_other_pictures_are_named(folder: Path) -> None:
    (folder / "good" / ".DS_Store").touch()
    (folder / "good" / "1.txt").write_text("a caption")
    (folder / "good" / "more").mkdir()
    found = start_pictures([folder], TASK)
    assert len(found.pictures) == 5
    assert [r for r in found.remarks if "2 of its files and folders are not looked at" in r]
    save(folder / "good" / "film.gif", 7)
    assert "film.gif: it is no PNG, JPEG or WebP" in refused(folder)


def test_names_are_shown_and_not_obeyed(folder: Path) -> None:
    hostile = b"\x1b[31m\nnowhere: all is well \xff\xe2\x80\xae.png"
    with open(os.fsencode(folder / "good") + b"/" + hostile, "wb"):  # noqa: PTH123
        pass
    (line,) = refused(folder).splitlines()
    assert line.isprintable()
    assert r"\x1b[31m\nnowhere: all is well \udcff\u202e.png" in line


def test_links_are_followed_to_files_and_not_out_of_a_label_file(
    folder: Path, tmp_path: Path
) -> None:
    elsewhere = save(tmp_path / "elsewhere.png", 7)
    (folder / "good" / "linked.png").symlink_to(elsewhere)
    assert len(start_pictures([folder], TASK).pictures) == 6
    for name in ("../elsewhere.png", str(elsewhere), ".", "good/../../elsewhere.png"):
        (folder / "labels.yaml").write_text(f"good: ['{name}']\nbad: [bad/a.png]\n")
        assert "expected the name of a file in this folder" in refused(folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("good: [gone.png]\nbad: [bad/a.png]", "gone.png: there is no such file"),
        ("good: [good/1.png]\nbad: [./good/1.png]", "both good and bad"),
        ("good: [good/1.png]\nbad: [bad/a.png]\nunsure: [bad/a.png]", "is unsure, too"),
        ("good: [good/1.png]\nbad: [bad/a.png]\nbest: bad/a.png", "not one of the good"),
        ("good: [1]", "good.0: .*valid string"),
        ("rounds: []", "there is no such field"),
        ("good: [", "labels.yaml, line"),
        ("good: [good/1.png]", "expected good and bad pictures, found 1 good and 0 bad"),
        ("prompt: a horse", "'a horse' is none of the task's"),
        ("unsure: [1.png]", "unsure: 1.png: there is no such file"),
        ("unsure: [good]", "unsure: good: there is no such file"),
        (f"prompt: {{{TASK.prompts[0]}: [gone.png]}}", "prompt: gone.png: there is no such file"),
        (f"prompt: {{{TASK.prompts[0]}: [../a.png]}}", r"../a.png: there is no such .*folder"),
    ],
)
def test_a_label_file_that_is_wrong_is_refused(folder: Path, text: str, why: str) -> None:
    (folder / "labels.yaml").write_text(text)
    with pytest.raises(InputError, match=why):
        start_pictures([folder], TASK)


def test_a_label_file_names_pictures_and_those_it_does_not_name_are_left_out(folder: Path) -> None:
    (folder / "labels.yaml").write_text(
        "good: [./good/1.png, bad/b.png]\nbad: [good/10.png]\nbest: bad/b.png\nunsure: [bad/a.png]"
    )
    found = start_pictures([folder], TASK)
    assert names(found) == {0: ("b.png", True), 1: ("1.png", True), 2: ("10.png", False)}
    assert found.best == 0
    assert any("1 unsure, left out" in remark for remark in found.remarks)


def test_a_picture_of_a_subfolder_can_be_left_out_as_unsure(folder: Path) -> None:
    (folder / "labels.yaml").write_text("unsure: [./bad/a.png]")
    found = start_pictures([folder], TASK)
    assert "a.png" not in [name for name, _ in names(found).values()]
    assert any("1 unsure, left out" in remark for remark in found.remarks)


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    assert "expected subfolders good/ and bad/ with pictures, a labels.yaml" in refused(tmp_path)
    (tmp_path / "file").touch()
    assert "it is no folder" in refused(tmp_path / "file")


def test_too_many_are_refused_before_they_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hero_engine.run.startpictures.MOST_PICTURES", 4)
    monkeypatch.setattr("hero_engine.run.startpictures.read_fitting", None)
    assert "5 labelled pictures, expected at most 4" in refused(folder)
    monkeypatch.setattr("hero_engine.run.startfolder.MOST_ENTRIES", 2)
    assert "good: it has more than 2 files" in refused(folder)


# -- prompts ---------------------------------------------------------------------------------


def test_with_several_prompts_each_folder_says_its_own(folder: Path, tmp_path: Path) -> None:
    said = refused(folder, task=TWO_PROMPTS)
    assert "the task has 2 prompts" in said
    assert "write `prompt: a cat`" in said
    (folder / "labels.yaml").write_text("prompt: a dog\n")
    other = tmp_path / "other"
    save(other / "good" / "x.png", 20)
    (other / "labels.yaml").write_text("prompt: a cat\n")
    found = start_pictures([folder, other], TWO_PROMPTS)
    # As in a round: picture n has prompt n mod 2.
    assert names(found) == {
        0: ("x.png", True), 1: ("a.png", False), 3: ("b.png", False), 5: ("1.png", True),
        7: ("2.png", True), 9: ("10.png", True),
    }  # fmt: skip


def test_a_label_file_can_say_the_prompt_of_each(folder: Path) -> None:
    text = "prompt: {a cat: [good/1.png, bad/a.png], a dog: [good/2.png, bad/b.png]}\n"
    (folder / "labels.yaml").write_text(text)
    assert "of which good/10.png is" in refused(folder, task=TWO_PROMPTS)
    twice = "prompt: {a cat: [good/1.png], a dog: [bad/b.png, ./good/1.png]}\n"
    (folder / "labels.yaml").write_text(twice)
    assert "./good/1.png: it is of two prompts" in refused(folder, task=TWO_PROMPTS)
    (folder / "labels.yaml").write_text(text)
    (folder / "good" / "10.png").unlink()
    found = start_pictures([folder], TWO_PROMPTS)
    assert {n: name for n, (name, _) in names(found).items()} == {
        0: "a.png", 2: "1.png", 1: "b.png", 3: "2.png",
    }  # fmt: skip


# -- methods ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (task_of(method="noise-only"), "trains neither"),
        (task_of(method="pretrained"), "trains neither"),
        (task_of(method="ddpo"), "a function rewards"),
        (task_of(method="d3po"), "has no use for the embedding"),
        (task_of("feedback.rounds=0"), "it has no round"),
        (task_of(method="dreambooth"), "none is named as the best"),
    ],
)
def test_methods_that_learn_nothing_from_them_are_refused(
    folder: Path, task: Task, why: str
) -> None:
    assert why in refused(folder, task=task)


def test_a_reward_says_itself_whether_it_uses_the_embedding() -> None:
    for name in get_args(RewardName):
        function = "a:b" if name == "function" else None
        assert Reward(name=name, function=function).uses_embedding == uses_embedding(name)


def test_the_size_of_a_models_pictures_is_known_from_its_settings(tmp_path: Path) -> None:
    assert picture_size(TASK) == SIZE
    elsewhere = TASK.model_copy(update={"model": str(tmp_path)})
    with pytest.raises(InputError, match=r"size .* is not known before its settings"):
        picture_size(elsewhere)
    for part, text in (
        ("unet", '{"sample_size": [32, 64]}'),
        ("transformer", "{}"),
        ("vae", '{"block_out_channels": [8, 8, 8, 8]}'),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(text)
    (tmp_path / "model_index.json").write_text('{"unet": ["diffusers", "UNet2DConditionModel"]}')
    assert picture_size(elsewhere) == (512, 256)
    (tmp_path / "model_index.json").write_text('{"transformer": ["diffusers", "Flux2"]}')
    assert picture_size(elsewhere) == (1024, 1024)


def test_of_a_model_in_the_hubs_cache_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    (tmp_path / "model_index.json").write_text('{"unet": ["diffusers", "UNet2DConditionModel"]}')
    (tmp_path / "unet.json").write_text('{"sample_size": 64}')
    (tmp_path / "vae.json").write_text('{"block_out_channels": [8, 8, 8, 8]}')
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda model, name, revision: str(tmp_path / name.replace("/config", "")),
    )
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    assert picture_size(TASK.model_copy(update={"model": "some/model"})) == (512, 512)


# -- into the run's folder -------------------------------------------------------------------


def digests(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_run_has_its_own_copies_which_are_a_folder_to_start_from(
    folder: Path, tmp_path: Path
) -> None:
    save(folder / "best.png", picture(9, (128, 128)))
    before = digests(folder)
    found = start_pictures([folder], TASK)
    run = create_run(tmp_path / "runs", TASK, "run", found.fill)
    assert digests(folder) == before
    again = start_pictures([run.round(START)], TASK)
    assert {n: (c.digest, c.named.good) for n, c in again.pictures.items()} == {
        n: (c.digest, c.named.good) for n, c in found.pictures.items()
    }
    assert again.best == found.best
    with closing(run.open_record()) as record:
        start = record.start()
        assert start is not None
        assert start.labels == Labels.of([2, 3, 4, 5], 2)
        assert start.words == found.words
        assert record.reigning_best(0) == (START, 2)
        assert run.image(START, 2).is_file()
        assert record.rounds() == []


def test_copies_of_several_prompts_have_the_same_numbers_again(
    folder: Path, tmp_path: Path
) -> None:
    text = "prompt: {a cat: [good/1.png, bad/a.png, bad/b.png, good/2.png], a dog: [good/10.png]}\n"
    (folder / "labels.yaml").write_text(text)
    found = start_pictures([folder], TWO_PROMPTS)
    run = create_run(tmp_path / "runs", TWO_PROMPTS, "run", found.fill)
    again = start_pictures([run.round(START)], TWO_PROMPTS)
    assert {n: c.digest for n, c in again.pictures.items()} == {
        n: c.digest for n, c in found.pictures.items()
    }
    with closing(run.open_record()) as record:
        start = record.start()
        assert start is not None
        assert start.numbers == [0, 1, 2, 4, 6]
        assert start.labels.unsure == {3, 5}


def test_a_file_that_changes_meanwhile_makes_no_run(folder: Path, tmp_path: Path) -> None:
    found = start_pictures([folder], TASK)
    save(folder / "good" / "2.png", 77)
    with pytest.raises(InputError, match=r"good/2\.png: it was changed while the run was made"):
        create_run(tmp_path / "runs", TASK, "run", found.fill)
    assert list_runs(tmp_path / "runs") == []
    assert list((tmp_path / "runs").iterdir()) == []


# -- a run as the folder ---------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A run of two submitted rounds, and one that is not."""
    task = TASK.model_copy(update={"feedback": TASK.feedback.model_copy(update={"batch_size": 3})})
    run = create_run(tmp_path / "earlier", task, "run")
    with closing(run.open_record()) as record:
        for number, labels in enumerate(
            (Labels.of([1], 1, [2]), Labels.of([0, 2], KEEP), Labels.of([0], 0))
        ):
            record.begin_round(number, 3)
            for image in range(3):
                save(run.image(number, image), 100 + 10 * number + image)
            record.add_images(number, range(3))
            record.finish_sampling(number, {})
            record.label(number, labels)
            if number < 2:
                record.submit(number)
    return run.path


def test_a_runs_submitted_rounds_are_taken_and_nothing_is_written_to_it(earlier: Path) -> None:
    before = digests(earlier)
    found = start_pictures([earlier], TASK)
    goods = [(f"{c.named.path.parents[1].name}/{c.named.path.name}", c.named.good)
             for c in found.pictures.values()]  # fmt: skip
    assert goods == [
        ("000/000.png", False), ("000/001.png", True),
        ("001/000.png", True), ("001/001.png", False), ("001/002.png", True),
    ]  # fmt: skip
    assert found.best == 1
    assert any("1 unsure, left out" in remark for remark in found.remarks)
    assert digests(earlier) == before


def test_a_run_that_goes_on_is_read_as_it_is_now(earlier: Path) -> None:
    with closing(list_runs(earlier.parent)[0].open_record()) as record:
        record.submit(2)
        assert len(start_pictures([earlier], TASK).pictures) == 8


def test_a_run_with_nothing_to_give_is_refused(tmp_path: Path) -> None:
    run = create_run(tmp_path / "earlier", TASK, "new")
    assert "has submitted no round" in refused(run.path)
    rewarded = create_run(tmp_path / "earlier", task_of(method="ddpo"), "rewarded")
    assert "was labelled by nobody" in refused(rewarded.path)
    run.record_file.write_bytes(b"no record at all")
    assert "run.sqlite" in refused(run.path)


def test_a_runs_prompt_has_to_be_one_of_several(earlier: Path) -> None:
    said = refused(earlier, task=TWO_PROMPTS)
    assert f"its prompt '{TASK.prompts[0]}' is none of the task's: 'a cat', 'a dog'" in said
    both = TASK.model_copy(update={"prompts": ("a dog", TASK.prompts[0])})
    assert list(start_pictures([earlier], both).pictures) == [1, 3, 5, 7, 9]


def test_of_several_bests_the_last_folders_is_the_best(folder: Path, earlier: Path) -> None:
    save(folder / "best.png", 9)
    found = start_pictures([folder, earlier], TASK)
    assert found.best is not None
    assert found.pictures[found.best].named.path == earlier / "rounds/000/images/001.png"
    assert any("of 2 bests" in remark for remark in found.remarks)


def test_a_folder_that_may_not_be_read_is_named(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (folder / "good").chmod(0)
    assert "good: cannot be read" in refused(folder)


def test_listing_a_folder_does_not_look_into_pictures(folder: Path) -> None:
    (folder / "good" / "broken.png").touch()
    assert len(listing_of(folder, TASK).pictures) == 6

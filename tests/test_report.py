"""`hero-tui report` and `hero-tui compare`: what the pages say, and that they only say it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hero_engine.__main__ import main
from hero_engine.errors import InputError
from hero_engine.results.report import palette
from hero_engine.results.report.compare_page import compared_pictures, letter, same_noise
from hero_engine.results.report.curves import curves
from hero_engine.results.report.facts import RunFacts, Success, read_run
from hero_engine.results.report.run_page import run_page
from hero_engine.results.report.settings import changed_settings, differing_settings
from hero_engine.results.report.thumbnails import side_for, thumbnail, thumbnails
from hero_engine.results.report.words import duration, percent
from hero_engine.results.report.write import write_comparison, write_report
from hero_engine.run.folder import RunFolder
from hero_engine.run.intervals import wilson
from hero_engine.run.labels import Labels
from hero_engine.run.record import Noise
from hero_engine.run.resolve import resolve
from hero_tui.theme import COLOUR_BLIND
from tests.chromium import CHROMIUM, Browser, chromium
from tests.interface_runs import (
    make_run,
    painted,
    sample_round,
    submit_round,
    train_round,
)

EVIL = (
    "a </title></style><script>document.title = 'obeyed'</script> <img src=http://a.invalid/b.png "
    "onerror=\"document.title = 'obeyed'\"> & 'cat' $x^2$ \x1b[31m \u202e --> <b>bold</b>"
)
SHOWN = EVIL.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")


def made_up_run(where: Path, name: str = "run", **task: object) -> RunFolder:
    """Two submitted rounds, a third that is being labelled, and a final evaluation."""
    folder = make_run(where, images=6, rounds=3, **task)
    folder = RunFolder(folder.path.rename(where / name))
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
        record.label(0, Labels.of([1, 4], 4, unsure=[2]))
        record.submit(0)
        train_round(record, 0)
        sample_round(folder, record, 1)
        record.label(1, Labels.of([], None, unsure=range(6)))
        record.submit(1)
        train_round(record, 1)
        sample_round(folder, record, 2)
        record.label(2, Labels.of([3], 3))
        found: dict[Noise, int] = {"pi": 5, "fresh": 3}
        for noise, good in found.items():
            record.set_figures(noise, {"images": 6, "good": good, "diversity": 0.2})
            add_finals(folder, noise)
    return folder


def add_finals(folder: RunFolder, noise: str) -> None:
    folder.final_image(noise, 0).parent.mkdir(parents=True)
    for number in range(6):
        painted(number + len(noise)).save(folder.final_image(noise, number))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose texts, and whose name, are as bad as can be."""
    where = tmp_path_factory.mktemp("runs")
    task = {"prompts": (EVIL,), "criteria": (EVIL, "a cat"), "transfer_prompts": (EVIL,)}
    return made_up_run(where, "<b>$1$ & run", negative_prompt=EVIL, **task)


@pytest.fixture(scope="module")
def facts(run: RunFolder) -> RunFacts:
    return read_run(run)


@pytest.fixture(scope="module")
def page(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "report.html"
    assert write_report(run, path) == []
    return path


class Parsed(HTMLParser):
    """A page's elements and its text, as a browser that runs nothing has them."""

    def __init__(self, page: Path | str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(page if isinstance(page, str) else page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] and self.elements[-1][0] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def parsed(run: RunFacts) -> Parsed:
    """The page of facts that are not quite those of a folder."""
    return Parsed(run_page(run, thumbnails(list(run.paths))))


def test_a_tasks_text_is_shown_and_not_obeyed(page: Path) -> None:
    found = Parsed(page)
    assert found.text.count(SHOWN) >= 4  # prompt, negative prompt, criterion, transfer prompt
    assert "<b>$1$ & run" in found.text
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "iframe", "object", "link", "form", "a"}
    assert all(image["src"].startswith("data:image/") for image in found.all("img"))
    assert not any(name.startswith("on") for _, given in found.elements for name in given)
    assert {"charset": "utf-8"} in found.all("meta")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert {"http-equiv": "Content-Security-Policy", "content": policy} in found.all("meta")


def test_success_has_its_interval_and_leaves_the_unsure_out(page: Path, facts: RunFacts) -> None:
    low, high = wilson(2, 5)
    assert facts.rounds[0].success.interval == (low, high)
    text = Parsed(page).text
    assert f"2 good, 3 bad, 1 unsure: 40% ({low:.0%} to {high:.0%})" in text
    assert "0 good, 0 bad, 6 unsure" in text  # and no rate of none
    assert "6 pictures, not submitted yet; 1 marked good so far" in text
    assert percent(199 / 200) == "99.5%"
    assert (percent(1.0), percent(0.0), percent(0.344)) == ("100%", "0%", "34%")


def test_every_label_is_told_by_a_glyph(page: Path) -> None:
    words = [word.strip() for word in Parsed(page).words]
    assert {"★ best 4", "✓ 1", "? 2", "0"} <= set(words)
    alts = {image["alt"] for image in Parsed(page).all("img")}
    assert {f"Round 0, picture {n}: {label}" for n, label in
            enumerate(["bad", "good", "unsure", "bad", "best", "bad"])} <= alts  # fmt: skip
    assert "Round 2, picture 0: not marked" in alts
    assert len(alts) == 3 * 6 + 2 * 6


def test_what_the_evaluation_found_is_shown(page: Path) -> None:
    text = Parsed(page).text
    assert "Evaluation: after, from the noise pool 83%" in text
    assert "After, from fresh noise 6 3 50%" in text
    assert "Judged by: oracle." in text


def test_before_and_after_are_side_by_side(run: RunFolder, facts: RunFacts) -> None:
    """Once the model before teaching is evaluated, too."""
    base = {n: run.image(0, n) for n in range(6)}
    with_base = replace(
        facts,
        finals={"base": {"images": 6, "good": 1, "diversity": 0.3}, **facts.finals},
        final_pictures={"base": base, **facts.final_pictures},
    )
    found = parsed(with_base)
    assert "Before, from fresh noise 6 1 17%" in found.text
    alts = [image["alt"] for image in found.all("img")]
    start = alts.index("Picture 0, before teaching")
    assert alts[start : start + 12] == [
        f"Picture {n}, {when} teaching" for when in ("before", "after") for n in range(6)
    ]


def test_a_run_without_a_round_has_a_page(tmp_path: Path) -> None:
    write_report(make_run(tmp_path), tmp_path / "page.html")
    found = Parsed(tmp_path / "page.html")
    assert "No round has begun yet." in found.text
    assert "The run is not finished" in found.text
    assert not found.all("img")
    assert not found.all("svg")


def test_rounds_that_a_function_rewards_have_no_success(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 4, 2, reward={"name": "function", "function": "mine:reward"})
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
        submit_round(record, 0, [], None)
    write_report(folder, tmp_path / "page.html")
    found = Parsed(tmp_path / "page.html")
    assert "1 of 2 rounds · no labels" in found.text
    assert "Round 0 4 pictures, rewarded by a function" in found.text
    assert "0 4 – – – – – 0.200" in found.text  # noqa: RUF001
    assert " 0% " not in found.text


def test_the_same_run_has_the_same_bytes(run: RunFolder, page: Path, tmp_path: Path) -> None:
    write_report(run, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "again.html"]


def test_pictures_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_up_run(tmp_path)
    folder.image(0, 1).unlink()
    folder.image(1, 2).write_bytes(folder.image(1, 3).read_bytes()[:99])
    folder.final_image("pi", 5).write_bytes(b"GIF89a")
    said = [
        "rounds/000/images/001.png: it is missing",
        "rounds/001/images/002.png: it is damaged or cannot be read",
        "final/pi/005.png: it is damaged or cannot be read",
    ]
    assert main(["report", str(tmp_path / "page.html"), str(folder.path)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'page.html'}\n"
    assert err.splitlines() == [f"left out: {each}" for each in said]
    found = Parsed(tmp_path / "page.html")
    assert all(each in found.text for each in said)
    assert len(found.all("img")) == 5 * 6 - 3


def test_pages_of_full_runs_stay_under_15_mb(tmp_path: Path) -> None:
    """Of noise, which is the worst: 8 rounds of 64, and evaluations of 200 pictures."""
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    for count in (512, 512 + 2 * 200, 512 + 3 * 200):
        side = side_for(count)
        assert side >= 112
        # Noise of the thumbnail's own pixels: nothing was smoothed by making it smaller.
        Image.fromarray(pixels[:side, :side]).save(tmp_path / "noise.png")
        one = thumbnail(tmp_path / "noise.png", side)
        assert one.data is not None
        assert count * (len(one.data) + 250) < 14_700_000  # 250: its element
    assert side_for(10_000_000) == 32
    Image.fromarray(pixels[:200, :400]).save(tmp_path / "wide.png")
    wide = thumbnail(tmp_path / "wide.png", 192)
    assert (wide.width, wide.height) == (192, 96)


def test_settings_say_where_they_come_from() -> None:
    task = resolve("hand", model="embedded", overrides=["update.k=3"]).task
    found = {s.name: s for s in changed_settings(task)}
    assert found["update.steps"].origin.startswith("profile embedded: what is drawn is decided")
    assert found["feedback.batch_size"].origin == "shipped task hand"
    assert (found["feedback.batch_size"].value, found["feedback.batch_size"].default) == (
        "128", "64",
    )  # fmt: skip
    assert found["update.k"].origin == "task file or command line"
    assert "sampling.eta" not in found
    preferences = resolve("hand", model="embedded", method="d3po").task
    asked = {s.name: s.origin for s in changed_settings(preferences)}
    assert asked["update.objective"] == "method d3po: D3PO"
    assert asked["update.clip_range"] == "method d3po: D3PO's code: eps"
    other = resolve("hand", model="embedded").task
    assert differing_settings([task, other]) == [("update.k", ["3", "5"])]


def test_curves_have_gaps_between_rounds(facts: RunFacts) -> None:
    found = curves(facts)
    assert list(found)[:3] == ["diversity", "noise_norm", "embedding_loss"]
    assert [at for at, _ in found["noise_norm"]] == [0, 1, 2]
    loss = found["embedding_loss"]
    assert loss[39][0] < 1.0 == loss[40][0] < loss[42][0]
    assert str(loss[40][1]) == "nan"


def test_colours_are_the_colour_blind_themes() -> None:
    theme = COLOUR_BLIND
    named = {
        "background": theme.background, "surface": theme.surface, "panel": theme.panel,
        "foreground": theme.foreground, "good": theme.success, "best": theme.warning,
        "unsure": theme.secondary, **theme.variables,
    }  # fmt: skip
    assert dict(palette.DARK) == named
    assert palette.LIGHT.keys() == palette.DARK.keys()


def test_a_run_that_went_back_says_whose_line_it_is(facts: RunFacts) -> None:
    gone_back = replace(facts, status={**facts.status, "line": 1})
    found = parsed(gone_back)
    assert "went back to an earlier round 1 time. This page is of its present line" in found.text
    # Its seed is another now than that of round 0.
    assert compared_pictures(gone_back).keys() == {"fresh"}
    assert compared_pictures(facts).keys() == {"fresh", "round 0"}


def test_times_in_words() -> None:
    assert [duration(s) for s in (None, 0.0, 59.6, 200, 7500)] == [
        "–", "0 s", "1 min 00 s", "3 min 20 s", "2 h 05 min",  # noqa: RUF001
    ]  # fmt: skip
    assert Success(0, 0).rate is None


# -- several runs ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run beside one of the same noise and one of another seed, which has no label yet."""
    where = tmp_path_factory.mktemp("others")
    alike = made_up_run(where, "alike", noise={"s": 0.2})
    other = make_run(where, images=6, rounds=3, seed=7)
    with closing(other.open_record()) as record:
        sample_round(other, record, 0)
    assert write_comparison([run, alike, other], where / "compare.html") == []
    return where / "compare.html"


def test_runs_are_put_side_by_side(compared: Path) -> None:
    found = Parsed(compared)
    assert "Comparison of 3 runs" in found.text
    assert "C is not finished" in found.text
    assert "A, B: model embedded, seed 0." in found.text
    assert "C: no other of these runs has the same model and seed" in found.text
    assert "noise.s 0.1 0.2 0.1" in found.text
    assert SHOWN in found.text
    assert not found.all("script")
    alts = [image["alt"] for image in found.all("img")]
    assert alts == [
        f"Picture {n}, run {name}, {what}"
        for what in (
            "the final evaluation, from fresh noise",
            "round 0, drawn by the model as it was",
        )
        for name in "AB"
        for n in range(6)
    ]


def test_only_runs_of_the_same_model_and_seed_have_the_same_noise(facts: RunFacts) -> None:
    other = replace(facts, task=facts.task.model_copy(update={"seed": 1}))
    runs = [("A", facts), ("B", other), ("C", facts)]
    assert [[name for name, _ in group] for group in same_noise(runs)] == [["A", "C"], ["B"]]
    assert [letter(place) for place in (0, 25, 26)] == ["A", "Z", "A2"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_is_not_compared_with_itself(times: int, run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected two or more different runs"):
        write_comparison([run] * times, tmp_path / "page.html")


# -- as commands -----------------------------------------------------------------------------


def test_what_cannot_be_done_is_said(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "notes.md").write_text("kept")
    for target, said in [
        ("notes.md", "no page of hero-tui"),
        ("kept", "it is a folder"),
        ("file/page.html", "cannot be written"),
    ]:
        assert main(["report", str(tmp_path / target), str(run.path)]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "kept" / "file").exists()
    assert (tmp_path / "notes.md").read_text() == "kept"
    assert main(["report", str(tmp_path / "page.html"), str(tmp_path)]) == 2
    assert "task.yaml" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "page.html")]) == 2


def test_a_reader_that_has_gone_is_no_bug(run: RunFolder, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hero_engine", "report", str(tmp_path / "a.html")]
    ended = subprocess.run(
        [*command, str(run.path)], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert (tmp_path / "a.html").exists()


# -- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("which", ["page", "compared"])
def test_a_browser_shows_it_all_and_asks_nobody(
    which: str, dark: bool, browser: Browser, request: pytest.FixtureRequest
) -> None:
    page: Path = request.getfixturevalue(which)
    for width in (800, 1600):
        seen = browser.show(page, width, dark)
        assert seen.complaints == []
        assert {url.partition(":")[0] for url in seen.requests} == {"file", "data"}
        assert [url for url in seen.requests if url.startswith("file")] == [page.as_uri()]
        assert browser.value("document.scripts.length") == 0
        assert browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.value("document.images.length") > 10
        assert browser.value("document.documentElement.scrollWidth <= innerWidth")
        assert browser.value("document.body.innerText").count(SHOWN) > 0
        assert browser.value("document.title") != "obeyed"
        colours = palette.DARK if dark else palette.LIGHT
        found = browser.value("getComputedStyle(document.body).backgroundColor")
        assert found == "rgb({}, {}, {})".format(*bytes.fromhex(colours["background"][1:]))
        curve = "getComputedStyle(document.querySelector('svg text')).fill"
        assert browser.value(curve) == "rgb({}, {}, {})".format(
            *bytes.fromhex(colours["quiet"][1:])
        )

"""The page of one run: what it was taught, how well, and by which labels."""

from collections.abc import Iterator

from hero_engine.results.report import curves, provenance
from hero_engine.results.report.facts import RoundFacts, RunFacts
from hero_engine.results.report.html import (
    Html,
    element,
    folded,
    joined,
    listing,
    page,
    paragraph,
    section,
    table,
)
from hero_engine.results.report.pictures import Thumbnails, bands, left_out, plain_sheet, sheet
from hero_engine.results.report.plots import success_plot, time_plot
from hero_engine.results.report.words import (
    NOTHING,
    count,
    duration,
    interval,
    number,
    percent,
    rate,
)
from hero_engine.run.labels import KEEP
from hero_engine.run.methods import CLEAN_LATENTS
from hero_engine.run.record import start_words
from hero_engine.run.status import RoundStatus


def run_page(run: RunFacts, thumbnails: Thumbnails) -> str:
    """The page as text, the same for the same facts and pictures.

    Raises:
        OSError: the style sheet that comes with hero-tui cannot be read.
    """
    return page(
        f"{run.task.name}: what run {run.name} learned",
        _head(run),
        _cards(run),
        section("What was taught", *_taught(run)),
        section("Success", *_success(run)),
        section("Before and after", *_finals(run, thumbnails)),
        section("Curves", *_curves(run)),
        section("Time", *_time(run)),
        section("Rounds and their labels", *_sheets(run, thumbnails)),
        section("Settings", *provenance.settings(run)),
        section("Versions and hashes", *provenance.versions(run)),
        _left_out(left_out(thumbnails, run.folder.path)),
    )


def _head(run: RunFacts) -> Html:
    status = run.status
    said = [
        f"Run {run.name}",
        f"model {status['model']}",
        f"method {run.task.method}",
        f"{len(run.submitted)} of {count(status['rounds'], 'round')}",
        f"{status['labels_used']} of {count(status['labels_budget'], 'label')}"
        if run.task.asks_for_labels
        else "no labels",
        status["state"],
        *([f"began {run.began}"] if run.began else []),
    ]
    notes = []
    if "start" in status:
        notes.append(
            f"It began with {start_words(status['start']['good'], status['start']['bad'])}"
            ", from which it learned before round 0."
        )
    if status["state"] != "finished":
        notes.append("The run is not finished: this is what there was when the page was written.")
    if status["line"]:
        notes.append(
            f"The run went back to an earlier round {count(status['line'], 'time')}. This page is "
            "of its present line; the rounds that were left are runs of their own, in lines/."
        )
    if "collapse" in status:
        notes.append(f"Round {status['collapse']['round']}: {status['collapse']['said']}")
    return joined(
        [
            element("h1", run.task.name),
            paragraph(" · ".join(said), class_="quiet wide"),
            *(paragraph(note) for note in notes),
        ]
    )


def _cards(run: RunFacts) -> Html:
    shown = []
    judged = [r for r in run.submitted if r.labelled]
    if judged:
        first, last = judged[0], judged[-1]
        taught = "start" in run.status and run.task.update.objective in CLEAN_LATENTS
        as_it_was = "after the pictures it began with" if taught else "of the model as it was"
        shown.append((f"Round {first.number}, {as_it_was}", first.success))
        if last is not first:
            shown.append((f"Round {last.number}", last.success))
    for noise in run.finals:
        final = run.final(noise)
        assert final is not None, "it is one of the finals"
        shown.append((f"Evaluation: {run.noise_name(noise)}", final))
    cards = []
    for title, success in shown:
        big = NOTHING if success.rate is None else percent(success.rate)
        below = f"{success.good} of {success.judged} good; {interval(success)}"
        cards.append(
            element(
                "div", element("span", title), element("b", big), element("span", below),
                class_="card",
            )
        )  # fmt: skip
    return element("div", *cards, class_="cards") if cards else Html()


def _taught(run: RunFacts) -> Iterator[Html]:
    task = run.task
    yield joined(paragraph(prompt, class_="prompt") for prompt in task.prompts)
    if task.taught_prompts != task.prompts:
        yield paragraph("The taught model is asked for: ", "; ".join(task.taught_prompts))
    if task.negative_prompt:
        yield paragraph("Negative prompt: ", task.negative_prompt)
    yield paragraph("A picture is good if:")
    yield listing(task.criteria)
    if task.categories:
        yield paragraph("Kinds of difficulty: ", ", ".join(task.categories), class_="quiet")
    if task.transfer_prompts:
        yield folded("Prompts that were never trained on", listing(task.transfer_prompts))


def _success(run: RunFacts) -> Iterator[Html]:
    if not run.submitted:
        yield paragraph(
            "No round is submitted yet." if run.task.feedback.rounds else "The run has no rounds."
        )
        return
    rows = []
    for r, h in _history(run):
        best = NOTHING if h["best"] is None else "kept" if h["best"] == KEEP else h["best"]
        measures = map(number, (h["diversity"], h["good_diversity"], h["noise_norm"]))
        counts = (h["good"], h["bad"], h["unsure"]) if r.labelled else (NOTHING,) * 3
        rows.append([r.number, h["images"], *counts, best, rate(r.success), *measures])
    header = ["Round", "Pictures", "Good", "Bad", "Unsure", "Best", "Success", "Diversity"]
    yield table([*header, "Of the good", "Noise norm"], rows, "figures")
    yield paragraph(
        "Success is good over good and bad, with its 95 % interval (Wilson). A round's pictures "
        "are of the model before its training. Diversity is the mean difference of two pictures, "
        "and of two good ones. The noise norm is that of z_T over the root of its dimension.",
        class_="quiet",
    )
    yield joined(
        paragraph(f"Round {r.number}: {h['outcome']}") for r, h in _history(run) if h["outcome"]
    )
    if run.label_noise:
        yield paragraph(run.label_noise)


def _time(run: RunFacts) -> Iterator[Html]:
    if not run.submitted:
        return
    rows: list[list[object]] = [
        [r.number, *map(duration, (h["label_s"], h["wait_s"], h["sample_s"], h["train_s"]))]
        for r, h in _history(run)
    ]
    names = "label_s", "wait_s", "sample_s", "train_s"
    rows.append(["All", *(duration(run.seconds(name)) for name in names)])
    drawn = time_plot(
        [(r.number, h["label_s"] or 0.0, h["wait_s"] or 0.0) for r, h in _history(run)]
    )
    yield element(
        "div",
        table(["Round", "Labelled", "Waited", "Sampled", "Trained"], rows, "figures"),
        drawn,
        class_="beside",
    )
    yield paragraph(
        "Labelled: from a round's first picture to its submission. Waited: from a submission to "
        "the next round's first picture. Sampled and trained: the engine's work, in part while "
        "the person labelled.",
        class_="quiet",
    )


def _history(run: RunFacts) -> list[tuple[RoundFacts, RoundStatus]]:
    return [(r, r.history) for r in run.rounds if r.history is not None]


def _finals(run: RunFacts, thumbnails: Thumbnails) -> Iterator[Html]:
    pictures = dict(run.final_pictures)
    if run.finals:
        yield table(
            ["Model and noise", "Pictures", "Good", "Success", "Diversity", "Of the good"],
            [
                [run.noise_name(noise).capitalize(), int(f["images"]), int(f["good"]),
                 rate(run.final(noise)),
                 *(number(f.get(name)) for name in ("diversity", "good_diversity"))]
                for noise, f in run.finals.items()
            ],
            "figures",
        )  # fmt: skip
        yield paragraph(f"Judged by: {run.judge}.", class_="quiet")
    elif pictures:
        yield paragraph("The final evaluation was not judged, or not yet.")
    if {"base", "fresh"} <= pictures.keys():
        before, after = pictures.pop("base"), pictures.pop("fresh")
        yield element("h3", "Before and after, from the same noise")
        rows = [("before", "before teaching", before), ("after", "after teaching", after)]
        yield bands(rows, thumbnails)
    for noise, found in pictures.items():
        words = run.noise_name(noise)
        yield element("h3", words.capitalize())
        yield plain_sheet(words, found, thumbnails)


def _curves(run: RunFacts) -> Iterator[Html]:
    rounds = [(r.number, r.success) for r in run.submitted]
    finals = {noise: final for noise in run.finals if (final := run.final(noise)) is not None}
    drawn = [success_plot(rounds, finals), *curves.plots([("", run)])]
    if any(drawn):
        yield element("div", *drawn, class_="plots")


def _sheets(run: RunFacts, thumbnails: Thumbnails) -> Iterator[Html]:
    if not run.rounds:
        if run.task.feedback.rounds:
            yield paragraph("No round has begun yet.")
        return
    if run.task.asks_for_labels:
        yield paragraph("★ best, ✓ good, ? unsure; without a mark: bad.", class_="quiet")
    for r in run.rounds:
        yield folded(
            joined([f"Round {r.number}", element("small", _said_of(r))]),
            sheet(r, thumbnails),
            is_open=True,
        )


def _said_of(r: RoundFacts) -> str:
    if not r.labelled:
        return f"{count(len(r.pictures), 'picture')}, rewarded by a function"
    if r.history is None:
        marked = f"{len(r.labels.good)} marked good" if r.labels.good else "nothing marked good"
        return f"{count(len(r.pictures), 'picture')}, not submitted yet; {marked} so far"
    said = f"{r.success.good} good, {r.history['bad']} bad"
    if r.history["unsure"]:
        said += f", {r.history['unsure']} unsure"
    if r.success.rate is not None:
        said += f": {percent(r.success.rate)} ({interval(r.success)})"
    return f"{said}; the best of an earlier round was kept" if r.labels.best == KEEP else said


def _left_out(said: list[str]) -> Html:
    return section("Pictures that are left out", listing(said)) if said else Html()

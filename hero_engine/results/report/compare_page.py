"""The page that puts runs side by side: figures, curves, and pictures from the same noise."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from string import ascii_uppercase

from hero_engine.results.report import curves
from hero_engine.results.report.facts import NOISES, RunFacts
from hero_engine.results.report.html import (
    Html,
    element,
    joined,
    listing,
    page,
    paragraph,
    section,
    table,
)
from hero_engine.results.report.pictures import Thumbnails, bands, left_out
from hero_engine.results.report.plots import Curve, line_plot
from hero_engine.results.report.settings import differing_settings
from hero_engine.results.report.words import count, duration, number, rate

Lettered = Sequence[tuple[str, RunFacts]]
MOST_PICTURES = 24
"""Of a run from one noise."""
COMPARED = {
    "fresh": "the final evaluation, from fresh noise",
    "round 0": "round 0, drawn by the model as it was",
}


def compare_page(runs: Sequence[RunFacts], thumbnails: Thumbnails) -> str:
    """The page as text, the same for the same facts and pictures.

    Args:
        runs: two or more; they are called A, B and so on, in this order.
        thumbnails: of `compared_pictures`, at least.

    Raises:
        OSError: the style sheet that comes with hero-tui cannot be read.
    """
    of = [(letter(place), run) for place, run in enumerate(runs)]
    missing = missing_pictures(runs, thumbnails)
    return page(
        f"Comparison of {', '.join(run.name for run in runs)}",
        element("h1", f"Comparison of {count(len(runs), 'run')}"),
        _unfinished(of),
        _figures(of),
        section("What was taught", *_taught(of)),
        section("Curves", *_curves(of)),
        section("Pictures from the same noise", *_pictures(of, thumbnails)),
        section("Settings that differ", *_settings(of)),
        section("Pictures that are left out", listing(missing)) if missing else "",
    )


def missing_pictures(runs: Sequence[RunFacts], thumbnails: Thumbnails) -> list[str]:
    """Which pictures of the runs are left out, and why."""
    return [f"{run.name}: {said}" for run in runs for said in left_out(thumbnails, run.folder.path)]


def letter(place: int) -> str:
    """What a run is called in legends and rows: A, B, ..., Z, A2, B2, ..."""
    turn, at = divmod(place, len(ascii_uppercase))
    return ascii_uppercase[at] + (str(turn + 1) if turn else "")


def compared_pictures(run: RunFacts) -> dict[str, dict[int, Path]]:
    """What of a run can be put beside another's, by noise.

    The first pictures of round 0, which is drawn by the model as it was, and of the final
    evaluation, but for those from the noise pool: each run has a pool of its own.
    """
    found = {noise: run.final_pictures.get(noise, {}) for noise in ("base", "fresh")}
    if run.rounds and not run.status["line"]:  # else its seed is not the one of round 0
        found["round 0"] = run.rounds[0].pictures
    return {
        noise: dict(sorted(pictures.items())[:MOST_PICTURES])
        for noise, pictures in found.items()
        if pictures
    }


def same_noise(runs: Lettered) -> list[Lettered]:
    """The runs in groups: within one, pictures of the same number start from the same noise."""
    groups: dict[tuple[object, ...], list[tuple[str, RunFacts]]] = {}
    for name, run in runs:
        key = (run.task.model, run.task.revision, run.task.seed)
        groups.setdefault(key, []).append((name, run))
    return list(groups.values())


def _unfinished(of: Lettered) -> Html:
    said = []
    for name, run in of:
        if run.status["state"] != "finished":
            said.append(f"{name} is not finished: it is shown as far as it is.")
        if run.status["line"]:
            said.append(f"{name} went back to an earlier round; its present line is shown.")
    return joined(paragraph(each) for each in said)


def _figures(of: Lettered) -> Html:
    """A column for each run."""
    runs = [run for _, run in of]
    names = dict.fromkeys(
        (noise, run.noise_name(noise)) for noise in NOISES for run in runs if noise in run.finals
    )
    ends = [(run.submitted[0], run.submitted[-1]) if run.submitted else None for run in runs]
    last = [each[1].history if each else None for each in ends]
    rows: list[Sequence[object]] = [
        ["Task", *(run.task.name for run in runs)],
        ["Model", *(run.task.model for run in runs)],
        ["Seed", *(run.task.seed for run in runs)],
        ["Method", *(run.task.method for run in runs)],
        ["Labels", *(run.status["labels_used"] if run.task.asks_for_labels else 0 for run in runs)],
        ["First round", *(rate(each[0].success if each else None) for each in ends)],
        ["Last round", *(rate(each[1].success if each else None) for each in ends)],
        *(
            [
                name.capitalize(),
                *(
                    rate(run.final(noise) if run.noise_name(noise) == name else None)
                    for run in runs
                ),
            ]
            for noise, name in names
        ),
        ["Diversity, last round", *(number(each["diversity"] if each else None) for each in last)],
        [
            "Of its good pictures",
            *(number(each["good_diversity"] if each else None) for each in last),
        ],
        ["Labelled", *(duration(run.seconds("label_s")) for run in runs)],
        ["Waited", *(duration(run.seconds("wait_s")) for run in runs)],
    ]
    header = [joined([name, element("small", run.name)]) for name, run in of]
    words = "Success is good over good and bad, with its 95 % interval (Wilson)."
    return joined([table(["", *header], rows, "compared"), paragraph(words, class_="quiet")])


def _taught(of: Lettered) -> Iterator[Html]:
    said: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, run in of:
        said.setdefault((run.task.prompts, run.task.criteria), []).append(name)
    for (prompts, criteria), names in said.items():
        if len(said) > 1:
            yield element("h3", ", ".join(names))
        yield joined(paragraph(prompt, class_="prompt") for prompt in prompts)
        yield paragraph("A picture is good if:")
        yield listing(criteria)


def _curves(of: Lettered) -> Iterator[Html]:
    by_labels = [_success_curve(place, *each) for place, each in enumerate(of)]
    drawn = [
        line_plot("Success by labels given before, with 95 % intervals", by_labels, "labels", True),
        *curves.plots(of, [*curves.NAMES]),
    ]
    if any(drawn):
        yield element("div", *drawn, class_="plots")


def _success_curve(place: int, name: str, run: RunFacts) -> Curve:
    """Success of each round, over the labels that its model had learned from."""
    given = accumulate((len(r.pictures) for r in run.submitted), initial=0)
    judged = [
        (labels, r.success)
        for labels, r in zip(given, run.submitted, strict=False)
        if r.success.rate is not None
    ]
    points = [(float(labels), success.rate or 0.0) for labels, success in judged]
    return Curve(points, name, place, [success for _, success in judged])


def _pictures(of: Lettered, thumbnails: Thumbnails) -> Iterator[Html]:
    groups = same_noise(of)
    alone = [group[0][0] for group in groups if len(group) == 1]
    if alone:
        yield paragraph(
            f"{', '.join(alone)}: no other of these runs has the same model and seed, so no "
            "picture of another's starts from the same noise."
        )
    for group in groups:
        if len(group) > 1:
            run = group[0][1]
            names = ", ".join(name for name, _ in group)
            yield paragraph(f"{names}: model {run.task.model}, seed {run.task.seed}.")
            yield from _columns(group, thumbnails)


def _columns(group: Lettered, thumbnails: Thumbnails) -> Iterator[Html]:
    of = [(name, compared_pictures(run)) for name, run in group]
    for noise, title in COMPARED.items():
        rows = [
            (name, f"run {name}, {title}", found[noise]) for name, found in of if noise in found
        ]
        if noise == "fresh":
            rows[:0] = _before(group)
        if len(rows) > 1:
            yield element("h3", title.capitalize())
            yield bands(rows, thumbnails)


def _before(group: Lettered) -> list[tuple[str, str, dict[int, Path]]]:
    """Rows of the model before teaching: one for all who asked it for the same."""
    asked: dict[tuple[object, ...], tuple[str, dict[int, Path]]] = {}
    for name, run in group:
        found = compared_pictures(run)
        if "base" in found:
            key = run.task.prompts, run.task.negative_prompt, run.task.sampling
            asked.setdefault(key, (name, found["base"]))
    alone = len(asked) == 1
    return [
        ("before" if alone else f"{name} before", f"before teaching {name}", pictures)
        for name, pictures in asked.values()
    ]


def _settings(of: Lettered) -> Iterator[Html]:
    differing = differing_settings([run.task for _, run in of])
    if not differing:
        yield paragraph("None: all settings are the same.")
        return
    yield table(
        ["Setting", *(name for name, _ in of)],
        [[element("code", name), *values] for name, values in differing],
    )

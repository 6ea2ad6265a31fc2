"""Pictures of a page: sheets with their labels, and rows that start from the same noise."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hero_engine.results.report.facts import RoundFacts
from hero_engine.results.report.html import Html, element, folded, joined
from hero_engine.results.report.thumbnails import Thumbnail
from hero_engine.results.report.words import count
from hero_engine.run.labels import Labels

Thumbnails = Mapping[Path, Thumbnail]

GLYPHS = {"best": "★", "good": "✓", "unsure": "?", "bad": ""}
"""As in the interface: no label is told by its colour alone."""
SMALL = 96
"""Pixels of a side; what is smaller is enlarged without smoothing."""
COLUMNS = 8
AT_FIRST = 24
"""Of pictures of the final evaluation, so many are shown at once."""
MOST_NAMED = 20
"""Of pictures that are left out."""


def sheet(r: RoundFacts, thumbnails: Thumbnails) -> Html:
    """A round's pictures with their labels; those of an open round as they stand."""
    tiles = []
    for number, path in r.pictures.items():
        label = label_of(r.labels, number)
        marked = label != "bad" or (r.labelled and r.history is not None)
        word = label if marked else "not marked"
        alt = f"Round {r.number}, picture {number}: {word}"
        caption = f"{GLYPHS[label]} {label if label == 'best' else ''} {number}"
        tiles.append(
            element(
                "figure",
                image(thumbnails[path], alt),
                element("figcaption", " ".join(caption.split())),
                class_=f"tile {label}",
            )
        )
    return element("div", *tiles, class_="sheet")


def label_of(labels: Labels, image: int) -> str:
    """A picture's label in a word; the best has its own."""
    return "best" if labels.best == image else labels.label(image)


def plain_sheet(what: str, pictures: Mapping[int, Path], thumbnails: Thumbnails) -> Html:
    """Pictures with their numbers."""
    tiles = [
        element(
            "figure",
            image(thumbnails[path], f"Picture {number}, {what}"),
            element("figcaption", number),
            class_="tile",
        )
        for number, path in pictures.items()
    ]
    return _with_more_folded(tiles, lambda some: element("div", *some, class_="sheet"), AT_FIRST)


def bands(rows: Sequence[tuple[str, str, Mapping[int, Path]]], thumbnails: Thumbnails) -> Html:
    """Rows of pictures one below the other, so that a column's have started from the same noise.

    Args:
        rows: of each its name, what its pictures are in words, and the pictures by number; a
            number that is in one row only is left out.
    """
    times = Counter(number for _, _, pictures in rows for number in pictures)
    numbers = sorted(number for number, found in times.items() if found > 1)
    made = []
    for start in range(0, len(numbers), COLUMNS):
        here = [*numbers[start : start + COLUMNS], *[None] * COLUMNS][:COLUMNS]
        cells = [element("span")]
        cells += [element("span", "" if n is None else n, class_="number") for n in here]
        for name, what, pictures in rows:
            cells.append(element("span", name))
            for number in here:
                path = None if number is None else pictures.get(number)
                alt = f"Picture {number}, {what}"
                cells.append(image(thumbnails[path], alt) if path else element("span"))
        made.append(element("div", *cells, class_="pair"))
    return _with_more_folded(made, joined, AT_FIRST // COLUMNS)


def left_out(thumbnails: Thumbnails, among: Path) -> list[str]:
    """The pictures that could not be read, in words, as paths within a folder."""
    said = [
        f"{path.relative_to(among)}: {each.problem}"
        for path, each in thumbnails.items()
        if each.data is None and path.is_relative_to(among)
    ]
    more = len(said) - MOST_NAMED
    return said if more <= 0 else [*said[:MOST_NAMED], f"and {count(more, 'more picture')}"]


def image(thumbnail: Thumbnail, alt: str) -> Html:
    """A picture, or its empty place."""
    if thumbnail.data is None:
        return element("span", class_="absent", role="img", aria_label=f"{alt} (left out)")
    small = max(thumbnail.width, thumbnail.height) <= SMALL
    return element(
        "img",
        src=thumbnail.data,
        alt=alt,
        width=thumbnail.width,
        height=thumbnail.height,
        class_="small" if small else None,
    )


def _with_more_folded(
    parts: Sequence[Html], together: Callable[[Sequence[Html]], Html], most: int
) -> Html:
    shown = together(parts[:most])
    if len(parts) <= most:
        return shown
    return joined([shown, folded("All the others", together(parts[most:]))])

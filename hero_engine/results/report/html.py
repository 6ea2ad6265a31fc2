"""HTML out of small functions. Text is data: only what is `Html` already is not escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from hero_engine.results.report.palette import css_variables

# Nothing is fetched and nothing is run, whatever should ever get into a page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_CSS = Path(__file__).with_name("page.css")
_VOID = ("img", "meta")


class Html(str):
    """Markup: what `element` and `joined` make, and pieces that are written here."""


def shown(text: object) -> Html:
    """Text as HTML that shows it; what is not printable is written as its escape, as \\x1b."""
    printable = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in str(text))
    return Html(escape(printable))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """The parts one after another, escaped unless they are `Html`."""
    return Html(between.join(part if isinstance(part, Html) else shown(part) for part in parts))


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. `class_` is the attribute class; one that is None or False is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{shown(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{given}>" + ("" if name in _VOID else f"{joined(children)}</{name}>"))


def section(title: str, *children: object) -> Html:
    """A part of a page; nothing if there is nothing in it."""
    found = [child for child in children if child != ""]
    return element("section", element("h2", title), *found) if found else Html()


def paragraph(*children: object, **attributes: object) -> Html:
    return element("p", *children, **attributes)


def listing(items: Iterable[object]) -> Html:
    """A list with a bullet for each item."""
    return element("ul", *(element("li", item) for item in items))


def table(header: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "") -> Html:
    """A table, which scrolls by itself where the page is narrow; the first cell heads its row.

    Args:
        kind: its class: `figures` for columns of numbers.
    """
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    inner = element("table", element("thead", head), element("tbody", *body), class_=kind or None)
    return element("div", inner, class_="scroll")


def folded(summary: object, *children: object, is_open: bool = False) -> Html:
    """What a click shows and hides."""
    inner = joined([element("summary", summary), *children])
    return Html(f"<details{' open' if is_open else ''}>{inner}</details>")


RESTRICTED = element("meta", http_equiv="Content-Security-Policy", content=POLICY)
"""Every page begins with it, and hardly another program's."""


def page(title: str, *body: object) -> str:
    """The whole file.

    Raises:
        OSError: the style sheet that comes with hero-tui cannot be read.
    """
    style = Html(f"<style>\n{css_variables()}\n{_CSS.read_text('utf-8')}</style>")
    head = joined(
        [
            element("meta", charset="utf-8"),
            RESTRICTED,
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            style,
        ],
        "\n",
    )
    main = joined(body, "\n")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{main}\n'
        "</body>\n</html>\n"
    )

"""The last round of a run as a web page: every picture with its number and its present label.

Only text is made here; `hero_tui.outside.viewer` serves it.
"""

from html import escape

from PIL import Image

from hero_engine.run.labels import Labels
from hero_engine.run.sheet import LEAST_SIDE
from hero_engine.run.text import plain
from hero_tui.client.runview import RunView

REFRESH_SECONDS = 5

STYLE = """\
body { margin: 1.5rem; background: #14161f; color: #c0caf5; font: 1rem/1.4 system-ui, sans-serif; }
h1 { font-size: 1.2rem; }
a { color: #7aa2f7; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 1rem; }
figure { margin: 0; padding: 4px; border: 3px solid transparent; }
figcaption { color: #8b93b8; }
img { display: block; width: 100%; }
.pixels img { image-rendering: pixelated; }
.good { border-color: #73c936; }
.good figcaption { color: #73c936; font-weight: bold; }
.unsure { border-color: #bb9af7; border-style: dashed; }
.unsure figcaption { color: #bb9af7; font-weight: bold; }
.best { border-color: #ffc83d; }
.best figcaption { color: #ffc83d; font-weight: bold; }
"""

STYLE_NAME = "style.css"
SHEET_NAME = "sheet.png"


def picture_name(round_: int, image: int) -> str:
    """What the page calls a picture; the same name never means another picture."""
    return f"{round_:03d}-{image:03d}.png"


def round_page(view: RunView) -> str:
    """The page, in HTML. It loads its pictures, its style and its sheet by their plain names."""
    task = view.task
    number = view.rounds[-1].number
    images = sorted(view.images)
    title = f"{view.folder.name}, round {number}"
    good, unsure, best = len(view.labels.good), len(view.labels.unsure), view.labels.best
    criteria = "; ".join(criterion.rstrip(".") for criterion in task.criteria)
    said = f"{len(images)} pictures, {good} good" if images else "no pictures yet"
    said += f", {unsure} unsure" if unsure else ""
    chosen = f", the best is {best}" if isinstance(best, int) else ""
    figures = "\n".join(_figure(number, image, view.labels) for image in images)
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}">
<title>{_text(title)}</title>
<link rel="stylesheet" href="{STYLE_NAME}">
</head>
<body class="{"pixels" if _are_small(view) else ""}">
<h1>{_text(title)}</h1>
<p>“{_text(task.prompts[0])}” · {_text(criteria)}</p>
<p>{said}{chosen} · <a href="{SHEET_NAME}">as one picture</a></p>
<main>
{figures}
</main>
</body>
</html>
"""


def _figure(number: int, image: int, labels: Labels) -> str:
    named = "best" if image == labels.best else labels.label(image)
    label = "" if named == "bad" else named
    glyph = {"best": "★ ", "good": "✓ ", "unsure": "? ", "": ""}[label]
    name = picture_name(number, image)
    return (
        f'<figure class="{label}"><a href="{name}"><img src="{name}" alt="picture {image}"></a>'
        f"<figcaption>{image} {glyph}{label}</figcaption></figure>"
    )


def _are_small(view: RunView) -> bool:
    """Whether the page enlarges the pictures: then without smoothing, as the sheet does."""
    path = view.image(min(view.images, default=0))
    if path is None:
        return False
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return bool(max(picture.size) < LEAST_SIDE)
    except OSError:
        return False


def _text(text: str) -> str:
    """Text from a file, as HTML that shows it and obeys nothing in it."""
    return escape(plain(text))

"""The documents say what the code does: defaults, methods, commands, links.

`python -m tests.test_docs` rewrites the tables of methods and defaults in docs/method.md.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from hero_engine.run.methods import METHODS
from hero_engine.run.profiles import EMBEDDED, STABLE_DIFFUSION, Profile
from hero_engine.run.task import Section, Task

ROOT = Path(__file__).parents[1]
METHOD = ROOT / "docs" / "method.md"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def settings(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(field, default, source, description) of every setting of the method."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from settings(field.annotation, f"{prefix}{name}.")
        elif isinstance(field.json_schema_extra, dict):
            source = str(field.json_schema_extra["source"])
            yield prefix + name, shown(field.default), source, field.description or ""


def shown(value: object) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, tuple) else str(value)


def defaults_table() -> str:
    lines = [
        "| Setting | Paper's protocol | Source | Stable Diffusion | Embedded model | |",
        "|---|---|---|---|---|---|",
    ]
    for name, default, source, description in settings(Task):
        here = [profile_value(profile, name) for profile in (STABLE_DIFFUSION, EMBEDDED)]
        lines.append(f"| `{name}` | {default} | {source} | {' | '.join(here)} | {description} |")
    return "\n".join(lines)


def profile_value(profile: Profile, name: str) -> str:
    value, why = profile.values.get(name, ("", ""))
    return f"{shown(value)} ({why})" if why else ""


def methods_table() -> str:
    lines = ["| Method | What it is | Its settings | On the embedded model |", "|---|---|---|---|"]
    for name, method in METHODS.items():
        sets, more = (
            "; ".join(f"`{field}: {shown(value)}` ({why})" for field, (value, why) in of.items())
            for of in (method.values, method.embedded)
        )
        lines.append(f"| `{name}` | {method.what} | {sets} | {more} |")
    return "\n".join(lines)


METHODS_TABLE = re.compile(r"(?<=<!-- methods -->\n).*?(?=<!-- end of methods -->)", re.DOTALL)
TABLE = re.compile(r"(?<=<!-- defaults -->\n).*?(?=\n<!-- end -->)", re.DOTALL)


def test_the_table_of_defaults_is_the_codes() -> None:
    found = TABLE.search(METHOD.read_text("utf-8"))
    assert found is not None
    assert found[0] == defaults_table(), "rewrite it with `python -m tests.test_docs`"


def test_the_table_of_methods_is_the_codes() -> None:
    found = METHODS_TABLE.search(METHOD.read_text("utf-8"))
    assert found is not None
    assert found[0].strip() == methods_table(), "rewrite it with `python -m tests.test_docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_documents_name_exist(page: Path) -> None:
    pattern = r"`((?:hero_engine|hero_tui|tests|tasks|benchmarks|docs|examples)/[\w/.-]+)`"
    for name in re.findall(pattern, page.read_text("utf-8")):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_architecture_names_every_module() -> None:
    """All but those of the embedded model, which has a page of its own."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    modules = [
        str(path.relative_to(ROOT))
        for package in ("hero_engine", "hero_tui")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py" and "cartoons" not in path.parts
    ]
    assert [name for name in modules if f"`{name}`" not in text] == ["hero_tui/__main__.py"]


if __name__ == "__main__":
    text = METHOD.read_text("utf-8")
    text = METHODS_TABLE.sub(lambda _: methods_table() + "\n", text)
    METHOD.write_text(TABLE.sub(lambda _: defaults_table(), text), "utf-8")

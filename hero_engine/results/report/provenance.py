"""What it takes to make a run again: its settings, versions, and hashes to compare."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

from hero_engine import __version__
from hero_engine.results.report.facts import RunFacts
from hero_engine.results.report.html import Html, element, folded, paragraph, table
from hero_engine.results.report.settings import changed_settings
from hero_engine.run import yamlfile

PACKAGES = ("torch", "diffusers", "peft", "transformers", "numpy", "pillow", "matplotlib")


def settings(run: RunFacts) -> Iterator[Html]:
    """What is not as in the paper, and the whole task."""
    yield table(
        ["Setting", "This run", "Paper's protocol", "From"],
        [[element("code", s.name), s.value, s.default, s.origin]
         for s in changed_settings(run.task)],
    )  # fmt: skip
    whole = yamlfile.dump(run.task.model_dump(mode="json"))
    yield folded("The whole task, task.yaml", element("pre", whole))


def versions(run: RunFacts) -> Iterator[Html]:
    """The programs that are here, and SHA-256 of what the run depends on and has made."""
    found = [f"{name} {installed}" for name in PACKAGES if (installed := _version(name))]
    yield paragraph(
        f"Where this page was written: hero-tui {__version__}, Python {python_version()}, "
        f"{', '.join(found)}."
    )
    if run.hashes:
        yield table(
            ["File", "SHA-256"],
            [[name, element("code", digest)] for name, digest in run.hashes.items()],
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

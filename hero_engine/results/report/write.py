"""Writes the pages: reads the runs, makes the thumbnails, and puts the whole file in its place."""

from collections.abc import Sequence
from pathlib import Path

from hero_engine.errors import InputError
from hero_engine.results.report.compare_page import (
    compare_page,
    compared_pictures,
    missing_pictures,
)
from hero_engine.results.report.facts import read_run
from hero_engine.results.report.html import RESTRICTED
from hero_engine.results.report.pictures import left_out
from hero_engine.results.report.run_page import run_page
from hero_engine.results.report.thumbnails import thumbnails
from hero_engine.run.folder import RunFolder, write_complete

SEARCHED = 1024
"""Bytes at the beginning of a file by which a page is known."""


def write_report(folder: RunFolder, destination: Path) -> list[str]:
    """Writes the page of a run to the file `destination`; says which pictures are left out.

    The same run gives the same bytes, with the same versions of the libraries.

    Raises:
        InputError: the run's task or record is missing or damaged, it is another user's, or the
            file cannot be written.
    """
    destination = _free(destination)
    run = read_run(folder)
    pictures = thumbnails(list(run.paths))
    _write(destination, run_page(run, pictures))
    return left_out(pictures, folder.path)


def write_comparison(folders: Sequence[RunFolder], destination: Path) -> list[str]:
    """Writes the page of several runs to the file `destination`; says which pictures are left out.

    Raises:
        InputError: there are fewer than two runs, or one is named twice; a run's task or record is
            missing or damaged, it is another user's, or the file cannot be written.
    """
    destination = _free(destination)
    places = [folder.path.resolve() for folder in folders]
    if len(places) < 2 or len(set(places)) < len(places):
        named = ", ".join(folder.name for folder in folders)
        raise InputError(f"compare: expected two or more different runs, found {named}")
    runs = [read_run(folder) for folder in folders]
    pictures = thumbnails(
        [
            path
            for run in runs
            for found in compared_pictures(run).values()
            for path in found.values()
        ]
    )
    _write(destination, compare_page(runs, pictures))
    return missing_pictures(runs, pictures)


def _free(destination: Path) -> Path:
    """Where the page comes to be: what a link leads to is written, and not the link replaced."""
    if destination.is_dir():
        raise InputError(f"{destination}: it is a folder; name the file to write with -o")
    if destination.exists() and not destination.is_file():
        raise InputError(f"{destination}: it is no file; name the file to write with -o")
    if destination.is_file() and not _is_page(destination):
        raise InputError(
            f"{destination}: there is a file that is no page of hero-tui; name another with -o, or "
            "remove it"
        )
    return destination.resolve()


def _is_page(path: Path) -> bool:
    """Whether a file may be replaced: it is a page, or there is nothing in it."""
    try:
        with path.open("rb") as file:
            begins = file.read(SEARCHED)
    except OSError:
        return True  # why it cannot be written either is said when it is
    return not begins or RESTRICTED.encode() in begins


def _write(destination: Path, text: str) -> None:
    try:
        write_complete(destination, lambda path: _put(path, text))
    except OSError as error:
        raise InputError(f"{destination}: cannot be written: {error.strerror}") from None


def _put(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))

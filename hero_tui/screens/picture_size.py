"""The keys that change how large the pictures of a page are, on every screen that has pages."""

from typing import Any

from textual.binding import Binding
from textual.screen import Screen

from hero_tui.keys import key_shown
from hero_tui.widgets.grid import PictureGrid

PICTURE_SIZE = [
    Binding("plus", "resize_pictures(True)", "larger pictures", show=False, id="page.larger"),
    Binding("minus", "resize_pictures(False)", "smaller pictures", show=False, id="page.smaller"),
]


def resize_pictures(screen: Screen[Any], grid: PictureGrid, larger: bool) -> None:
    """Shows fewer and larger pictures on a page, or more and smaller ones; or says why not."""
    if grid.spread_out:
        key = key_shown(screen, "overview")
        screen.notify(f"These are all pictures: {key} goes back to a page.", markup=False)
    elif not grid.resize_pictures(larger):
        what = "larger" if larger else "smaller, or more on a page,"
        screen.notify(f"Pictures cannot be {what} in this terminal.", markup=False)

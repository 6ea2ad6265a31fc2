"""Labeling: a page of pictures, one key a picture."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.geometry import Size
from textual.reactive import reactive
from textual.widgets import Footer

from hero_engine.run.labels import KEEP, Best, Labels
from hero_tui.client.edits import Gesture, Stretch, invert, mark, toggle, toggle_best
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.messages import Edited, Looked, OutsideAsked, Turned
from hero_tui.pace import Pace, pace_text
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.picture_size import PICTURE_SIZE, resize_pictures
from hero_tui.screens.run_screen import TOO_EARLY, UNDO, RunScreen
from hero_tui.widgets.grid import TILE_KEYS, PictureGrid, small_tiles
from hero_tui.widgets.header import RunHeader, TaskLine
from hero_tui.widgets.side import SidePanel
from hero_tui.widgets.status import Clock, StatusLine
from hero_tui.widgets.tile import Tile
from hero_tui.widgets.warning import WarningLine


class LabelingScreen(RunScreen):
    """The open round, page by page."""

    BINDINGS = [
        *(
            Binding(key, f"tile({number})", "good, or not", show=False, id=f"tile.{key}")
            for number, key in enumerate(TILE_KEYS)
        ),
        *(
            Binding(key.upper(), f"best({number})", "best", show=False, id=f"best.{key}")
            for number, key in enumerate(TILE_KEYS)
            if key.isalpha()
        ),
        Binding("b", "ask('best')", "best: then the picture's key", id="best.ask"),
        Binding(
            "n",
            "ask('unsure')",
            "neither, unsure: then the picture's key",
            show=False,
            id="unsure.ask",
        ),
        Binding("space", "turn(1)", "next page", id="page.next"),
        Binding("backspace", "turn(-1)", "previous page", show=False, id="page.previous"),
        Binding("full_stop", "next_unseen", "next unseen page", show=False, id="page.unseen"),
        Binding("i", "invert", "invert the page", show=False, id="page.invert"),
        *PICTURE_SIZE,
        Binding("left", "move(-1, 0)", "move the cursor", show=False, id="cursor.left"),
        Binding("right", "move(1, 0)", "move the cursor", show=False, id="cursor.right"),
        Binding("up", "move(0, -1)", "move the cursor", show=False, id="cursor.up"),
        Binding("down", "move(0, 1)", "move the cursor", show=False, id="cursor.down"),
        Binding("m", "mark", "good, or not, under the cursor", show=False, id="cursor.mark"),
        Binding(
            "M", "mark_range", "good from the last marked to here", show=False, id="cursor.range"
        ),
        *(
            Binding(
                f"shift+{way}", f"stretch{by}", "good as far as here", show=False, id=f"range.{way}"
            )
            for way, by in {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}.items()
        ),
        Binding("enter", "zoom", "zoom", id="zoom"),
        # Where the page has no tile of that key.
        Binding(TILE_KEYS[-1], "zoom", "one at a time", show=False, id="one-at-a-time"),
        Binding("equals_sign", "compare", "compare with the best", show=False, id="compare"),
        Binding("k", "keep", "keep the reigning best", show=False, id="best.keep"),
        *UNDO,
        Binding("g", "overview", "all pictures, or a page", show=False, id="overview"),
        Binding("l", "order", "likely good ones first, or not", show=False, id="page.order"),
        Binding("p", "try", "try a prompt", show=False, id="try"),
        Binding("t", "task", "prompt and criteria", show=False, id="task"),
        Binding("o", "open_outside", "open outside", show=False, id="open"),
        Binding("ctrl+s", "submit", "submit", id="submit"),
        Binding("escape", "forget", "forget b or n; back to a page", show=False, id="best.forget"),
    ]

    # What the next picture's key says.
    asked: reactive[Literal["best", "unsure"] | None] = reactive(None, repaint=False)
    overview: reactive[bool] = reactive(False, repaint=False, toggle_class="-overview")
    last_marked: int | None = None
    likely_first = False
    _click_toggled = False
    # Shift and the arrows, from a picture on; over as soon as something else is done.
    _stretch: Stretch | None = None
    _stretch_from = _stretch_to = 0

    def __init__(
        self,
        view: RunView,
        pictures: Pictures,
        clock: Clock,
        at: int = 0,
        suggested_order: bool = False,
        pace: Pace | None = None,
    ) -> None:
        """`at`: the picture whose page is shown first; `suggested_order`: as in `Config`."""
        super().__init__(view, pictures, clock)
        self._at = at
        self._suggested_order = suggested_order
        self._pace = pace

    def compose(self) -> ComposeResult:
        view = self.view
        yield RunHeader(view).data_bind(LabelingScreen.view)
        yield WarningLine(view).data_bind(LabelingScreen.view)
        yield TaskLine(view).data_bind(LabelingScreen.view)
        with Horizontal():
            self.grid = PictureGrid(view, self.pictures).data_bind(LabelingScreen.view)
            if self._at in self.grid.order:
                self.grid.show_image(self._at)
            yield self.grid
            yield SidePanel(view, self.pictures).data_bind(LabelingScreen.view)
        self.status = StatusLine(view, self.clock).data_bind(LabelingScreen.view)
        yield self.status
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.watch(self.grid, "first", self.show_view)
        self.watch(self.grid, "page_size", self.show_view)
        # Once the cursor is on the page, too.
        self.watch(self.grid, "first", lambda: self.call_next(self._tell_place), init=False)

    def _tell_place(self) -> None:
        self.post_message(Turned(self.round, self.grid.image))

    def show_view(self) -> None:
        self.status.pages = tuple(self.grid.pages_seen())
        self.status.page = self.grid.page
        self.status.pace = pace_text(self._pace, self.grid.total - len(self.view.seen))
        self._show_hint()
        if self.suggests and self.view.scores and self._is_untouched():
            # Not under somebody's hands: only as long as nothing is labelled or seen.
            self._show_likely_first(True)

    @property
    def suggests(self) -> bool:
        """Whether likely good pictures are wanted first as soon as they can be told."""
        return self._suggested_order and not self.likely_first

    def _is_untouched(self) -> bool:
        return not self.view.seen and self.view.labels == Labels()

    def watch_asked(self) -> None:
        if self.is_mounted:
            self._show_hint()

    def _show_hint(self) -> None:
        if self.overview:
            self.status.tip = (
                f"{key_shown(self, 'cursor.mark')} or click: good, {key_shown(self, 'page.next')}: "
                f"all looked at, {key_shown(self, 'overview')}: back"
            )
        elif self.round == 0 and self._is_untouched():
            self.status.tip = (
                f"key: good, shift: best, {key_shown(self, 'page.next')}: next, "
                f"{key_shown(self, 'page.larger')}: larger, {key_shown(self, 'help')}: help"
            )
        else:
            self.status.tip = ""
        ways = "a click" if self.overview else "its key, a click"
        self.status.hint = (
            f"{self.asked.capitalize()}: {ways}, {key_shown(self, f'{self.asked}.ask')} for the "
            f"one under the cursor, or {key_shown(self, 'best.forget')}."
            if self.asked
            else ""
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        last = len(TILE_KEYS) - 1
        if (action, parameters) == ("tile", (last,)):  # without that tile, its key is another's
            return not self.overview and self.grid.page_size > last
        return True

    # -- all pictures at once ----------------------------------------------------------------

    def watch_overview(self) -> None:
        if self.is_mounted:
            self.show_view()

    def action_overview(self) -> None:
        if self.overview:
            self._fold()
        else:
            self._leave_page()
            self._spread()

    def on_resize(self) -> None:
        if self.overview:
            self.call_after_refresh(self._spread)

    def _spread(self) -> None:
        room, least = Size(self.size.width, self.grid.size.height), self.pictures.least
        shape = small_tiles(self.grid.total, room, least)
        if shape is not None:
            self.overview = True
            self.grid.spread(shape)
            return
        self.notify(
            f"{self.grid.total} pictures of at least {least.width}x{least.height} cells do not fit "
            "this terminal: make it larger, or its font smaller.",
            markup=False,
        )
        if self.overview:
            self._fold()

    def _fold(self) -> None:
        self.overview = False
        self.grid.fold()

    # -- labels ------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        self.status.say(text)

    def edit(self, gesture: Gesture) -> None:
        self._stretch = None
        super().edit(gesture)

    def _was_shown(self, image: int) -> bool:
        """Whether a picture was on the screen before the key was pressed whose action runs."""
        return self.pressed is None or self.grid.shown_before(image, self.pressed.time)

    def _may_label(self, images: Iterable[int]) -> bool:
        return self.meant(*map(self._was_shown, images))

    def _toggle(self, image: int) -> None:
        self.last_marked = image
        self.edit(toggle(image))

    def _choose(self, best: Best) -> None:
        self.asked = None
        if isinstance(best, int):
            self.last_marked = best
        self.edit(toggle_best(best))

    def _label(self, image: int) -> None:
        """Labels a picture as was asked for: good, or not, if nothing was."""
        if self.asked == "best":
            self._choose(image)
        elif self.asked == "unsure":
            self.asked = None
            self.edit(toggle(image, "unsure"))
        else:
            self._toggle(image)

    def action_tile(self, key: int) -> None:
        image = self.grid.image_of_key(key)
        if image is None:
            return
        self.grid.show_image(image)
        if self._may_label([image]):
            self._label(image)

    def action_best(self, key: int) -> None:
        image = self.grid.image_of_key(key)
        if image is None:
            return
        self.grid.show_image(image)
        if self._may_label([image]):
            before = self.view.labels.best
            if isinstance(before, int) and before != image:
                undo = key_shown(self, "edit.undo")
                self.say(f"The best is {image} now, not {before}: {undo} takes it back. CapsLock?")
            self._choose(image)

    def action_ask(self, what: Literal["best", "unsure"]) -> None:
        if self.asked != what:
            self.asked = what
        elif self._may_label([self.grid.image]):
            self._label(self.grid.image)

    def action_forget(self) -> None:
        if self.asked:
            self.asked = None
        elif self.overview:
            self._fold()

    def action_mark(self) -> None:
        if self._may_label([self.grid.image]):
            self._toggle(self.grid.image)

    def action_mark_range(self) -> None:
        here = self.grid.image
        start = here if self.last_marked is None else self.last_marked
        images = self.grid.between(start, here) & self.view.images
        if self._may_label(images - self.view.seen):  # those of other pages have been seen
            self.last_marked = here
            self.edit(mark(images, "good"))

    def action_stretch(self, right: int, down: int) -> None:
        if self._stretch is None or self.grid.image != self._stretch_to:
            self._stretch = Stretch()
            self._stretch_from = self.grid.image
        self.action_move(right, down)
        self._stretch_to = self.grid.image
        images = self.grid.between(self._stretch_from, self._stretch_to) & self.view.images
        if self.in_time(*map(self._was_shown, images - self.view.seen)):
            self.last_marked = self._stretch_to
            self.post_message(Edited(self.round, self._stretch.to(images)))

    def action_invert(self) -> None:
        if self.overview:  # a round is not inverted by a slip
            return
        page = frozenset(self.grid.images_of(self.grid.page)) & self.view.images
        if self._may_label(page):
            self.edit(invert(page))

    def action_keep(self) -> None:
        if self.view.reigning_best is None:
            self.say("There is no reigning best yet: choose one of the goods.")
        elif self.meant():
            self._choose(KEEP)

    def action_step(self, way: Literal["undo", "redo"]) -> None:
        self._stretch = None
        super().action_step(way)

    @on(Tile.Clicked)
    def _tile_clicked(self, clicked: Tile.Clicked) -> None:
        self.grid.show_image(clicked.image)
        if not clicked.shown:
            self._click_toggled = False
            self.say(TOO_EARLY)
        elif not clicked.double:
            self._click_toggled = self.asked is None
            self._label(clicked.image)
        else:
            if self._click_toggled:  # the first click of two: it meant no label
                self.action_step("undo")
            self.action_zoom()

    @on(PictureGrid.Wheeled)
    def _wheeled(self, wheeled: PictureGrid.Wheeled) -> None:
        self.action_turn(wheeled.by)

    # -- pages and the cursor ----------------------------------------------------------------

    def _leave_page(self) -> None:
        # To glance over a whole round is not yet to have looked at each of its pictures.
        if not self.overview:
            self._look()

    def _look(self) -> None:
        # Who holds the key down does not look, and who typed ahead has not.
        images = () if self.repeats else filter(self._was_shown, self.grid.complete_images())
        looked = frozenset(images) - self.view.seen
        if looked:
            self.post_message(Looked(self.round, looked))

    def _turn_to(self, page: int) -> None:
        if 0 <= page < self.grid.pages:
            self._leave_page()
            self.grid.show_image(self.grid.images_of(page)[0])

    def action_turn(self, by: int) -> None:
        if self.grid.page + by == self.grid.pages:
            self._look()
            which = "These were all pictures" if self.overview else "That was the last page"
            seen = self.view.seen | self.grid.complete_images()
            if missing := len(self.view.images - seen):
                self.say(self._still_to_see(which, missing))
            else:
                submits = f"{which}: {key_shown(self, 'submit')} submits the round"
                again = len(replace(self.view, seen=seen).doubted)
                offer = f", and offers a second look at {again} labels" if again else ""
                self.say(f"{submits}{offer}.")
        self._turn_to(self.grid.page + by)

    def _still_to_see(self, which: str, missing: int) -> str:
        leads = key_shown(self, "page.unseen")
        return f"{which}, but {missing} have not been looked at: {leads} goes to the next."

    def action_next_unseen(self) -> None:
        self._leave_page()
        seen = self.view.seen
        if self.overview:
            self._fold()
        else:
            seen |= self.grid.complete_images()
        here, pages = self.grid.page, self.grid.pages
        for page in [*range(here + 1, pages), *range(here + 1)]:
            if not seen.issuperset(self.grid.images_of(page)):
                self._turn_to(page)
                return
        self.say("Every page has been seen.")

    def action_move(self, right: int, down: int) -> None:
        place = self.grid.first + self.grid.cursor + right + down * self.grid.columns
        if 0 <= place < self.grid.total:
            if place // self.grid.page_size != self.grid.page:
                self._leave_page()
            self.grid.show_place(place)

    def action_resize_pictures(self, larger: bool) -> None:
        # What was too small to be judged has not been looked at: no page is left here.
        resize_pictures(self, self.grid, larger)

    def action_order(self) -> None:
        if len(self.view.scores) < self.grid.total:
            self.notify(
                "The engine guesses once it has learned from a round, and all pictures are made; "
                "never with the rewards binary and no-embedding, which do not learn to compare.",
                markup=False,
            )
        else:
            self._leave_page()
            self._show_likely_first(not self.likely_first)

    def _show_likely_first(self, likely_first: bool) -> None:
        self.likely_first = likely_first
        self.status.order = "likely first" if likely_first else ""
        self.grid.put_in_order(self.view.likely_first if likely_first else range(self.grid.total))

    # -- other screens -----------------------------------------------------------------------

    def action_zoom(self) -> None:
        from hero_tui.screens.zoom import ZoomScreen

        # The page is not left by it: each picture is looked at by itself there.
        self.app.push_screen(
            ZoomScreen(
                self.view, self.pictures, self.grid.image, order=self.grid.order, pace=self._pace
            ),
            self.grid.return_to,
        )

    def action_compare(self) -> None:
        from hero_tui.screens.compare import CompareScreen

        self._leave_page()
        self.app.push_screen(
            CompareScreen(self.view, self.pictures, self.grid.image),
            self.grid.return_to,
        )

    def action_task(self) -> None:
        from hero_tui.screens.task import TaskScreen

        self.app.push_screen(TaskScreen(self.view, self.pictures))

    def action_try(self) -> None:
        from hero_tui.screens.tryout import TryScreen

        self._leave_page()
        self.app.push_screen(TryScreen(self.view, self.pictures))

    def action_submit(self) -> None:
        from hero_tui.screens.submit import SubmitScreen

        self._leave_page()
        self.app.push_screen(SubmitScreen(self.view, self.pictures), self._look_on)

    def _look_on(self, unseen: int | None) -> None:
        if unseen is None:
            return
        # No page is left here, and so none looked at: that was done, or not, on the way there.
        if self.overview:
            self._fold()
        self.grid.show_image(unseen)

    def action_open_outside(self) -> None:
        self.post_message(OutsideAsked())

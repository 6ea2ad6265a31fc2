"""A second look at the labels that the engine doubts most: judged anew, and counted.

The label is not shown, lest it be said again unseen. Nothing is changed but by the person's own
answer; of a round that was submitted, nothing at all, since the engine has learned from its labels.
"""

from textual.content import Content

from hero_engine.run.labels import Label
from hero_tui.client.edits import mark
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.messages import LookedAgain
from hero_tui.preview.pictures import Pictures
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.theme import QUIET


class SecondLookScreen(ZoomScreen):
    """The pictures of a round to look at again, one after the other."""

    def __init__(self, view: RunView, pictures: Pictures, earlier: int | None = None) -> None:
        """`earlier`: the submitted round; None for the open one. It has labels in doubt."""
        order = (view if earlier is None else view.as_of(earlier)).doubted
        super().__init__(view, pictures, order[0], earlier, order)
        self._answered: list[int] = []

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"step", "open_outside"}:
            return self.earlier is None
        return action not in {"best", "submit"}

    def about(self) -> Content:
        place = self._order.index(self.image) + 1
        lines = [
            (f"Second look, {place} of {len(self._order)}\n", "bold $accent"),
            (f"Picture {self.image} of round {self.round}\n", "bold"),
            ("Judge it anew: its label is not shown.\n", QUIET),
        ]
        if self._answered:
            lines.append((f"\n{self._said_of(self._answered[-1])}\n", "$text"))
        if len(set(self._answered)) == len(self._order):
            back = key_shown(self, "zoom.close")
            lines.append((f"\nThese were all: {back} goes back.\n", "bold $success"))
        if self.earlier is not None:
            lines.append(
                (
                    "\nThe engine has learned from this round's labels, and they stay. What you "
                    "say is counted, for an estimate of how many are wrong.\n",
                    QUIET,
                )
            )
        return Content.assemble(*lines)

    def _said_of(self, image: int) -> str:
        for look in self.view.second_looks:
            if (look.round, look.image) == (self.round, image):
                was = f"it was {look.first}" if look.corrected else "as before"
                return f"Picture {image}: {look.second}, {was}."
        return ""

    def action_judge(self, label: Label) -> None:
        if not self.meant(self._was_shown()):
            return
        change = mark(frozenset({self.image}), label)
        self.post_message(LookedAgain(self.round, self.image, change))
        self._answered.append(self.image)
        here = self._order.index(self.image)
        left = [image for image in self._order if image not in self._answered]
        if left:
            self.image = next((each for each in left if self._order.index(each) > here), left[0])
        else:
            self.show_view()

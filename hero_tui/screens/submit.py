"""Before a round is submitted: what the engine will be told, or why it cannot be told yet."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from hero_engine.run.judges import is_evaluated
from hero_engine.run.labels import KEEP, problem_with
from hero_tui.client.runview import RunView
from hero_tui.keys import key_shown
from hero_tui.messages import Submitted
from hero_tui.screens.run_screen import SECOND_LOOK, RunDialog, second_look_offer
from hero_tui.widgets.picture import Picture
from hero_tui.widgets.status import duration
from hero_tui.widgets.tile import UNSURE


def obstacle(view: RunView, unseen_key: str = ".") -> str | None:
    """Why the open round cannot be submitted yet, in words for the person, or None."""
    round_ = view.open_round
    if round_ is None:
        return "The round is submitted."
    missing = round_.images - len(view.images)
    if missing or round_.sampled is None:
        return f"{missing} of {round_.images} pictures are still being made."
    if unseen := unseen_pictures(view):
        return (
            f"{len(unseen)} of {round_.images} pictures have not been looked at; "
            f"the key {unseen_key} goes to the next that has not."
        )
    problem = problem_with(view.labels, round_.images, view.reigning_best is not None)
    if problem:
        return problem.partition(": ")[2][0].upper() + problem.partition(": ")[2][1:] + "."
    return None


def unseen_pictures(view: RunView) -> list[int]:
    """Those of the round, all made, that have not been looked at."""
    return sorted(view.images - view.seen)


def what_follows(view: RunView) -> str:
    """What the engine does with the labels."""
    labels = view.labels
    last = len(view.outcomes) + 1 >= view.task.feedback.rounds
    if not last:
        then = f"the pictures of round {len(view.outcomes) + 1} are made"
    elif is_evaluated(view.task):
        then = "the final model is evaluated from both noises, and the run is finished"
    else:
        then = "the run is finished"
    if not labels.good:
        return f"With no good picture there is nothing to learn from this round; {then}."
    judged = labels.good | labels.unsure
    if view.task.update.signs == "labels" and len(judged) == view.rounds[-1].images:
        return f"No picture is bad: the model stays as it is; {then}."
    took = [outcome.training_seconds for outcome in view.outcomes if outcome.training_seconds]
    about = f" (about {duration(took[-1])})" if took and took[-1] >= 1 else ""
    return f"The model learns from these labels{about}; then {then}."


class SubmitScreen(RunDialog):
    """Goods, best, what happens next; enter submits.

    Left for a picture that has not been looked at, it says which.
    """

    CSS_PATH = "submit.tcss"
    BINDINGS = [
        Binding("enter", "submit", "submit", id="submit.confirm"),
        Binding("full_stop", "next_unseen", "look at the others", id="page.unseen"),
        SECOND_LOOK,
        Binding("escape", "dismiss(None)", "back to the pictures", id="submit.cancel"),
    ]

    def compose(self) -> ComposeResult:
        with Horizontal(classes="dialog") as dialog:
            dialog.border_title = f"Round {self.round}"
            self._picture = Picture(self.pictures)
            yield self._picture
            with VerticalScroll(can_focus=False):
                self._summary = Static(id="summary")
                yield self._summary
        yield Footer(compact=True, show_command_palette=False)

    def show_view(self) -> None:
        view = self.view
        labels, images = view.labels, view.rounds[-1].images
        good = len(labels.good)
        submitted = labels.as_submitted(view.reigning_best is not None).best
        if submitted == KEEP:
            best, path = "the reigning best stays", view.reigning_best_image
        elif isinstance(submitted, int):
            best, path = f"picture {submitted}", view.image(submitted)
        else:
            best, path = "none", None
        self._picture.path = path
        before = view.outcomes[-1].good if view.outcomes else None
        submits = key_shown(self, "submit.confirm")
        stop = obstacle(view, key_shown(self, "page.unseen"))
        again = len(view.doubted)
        sure = images - len(labels.unsure)
        self._summary.update(
            Content.assemble(
                ("✓ good   ", "bold $success"),
                f"{good} of {sure}",
                f" ({good / sure:.0%})" if sure else "",
                "" if before is None else f"; round before: {before}",
                (f"\n{UNSURE} unsure ", "bold $secondary") if labels.unsure else "",
                f"{len(labels.unsure)}, left out of what is learned" if labels.unsure else "",
                ("\n★ best   ", "bold $warning"),
                best,
                ("\n· seen   ", "bold"),
                f"{len(view.seen)} of {images}\n\n",
                (stop, "bold $error") if stop else what_follows(view),
                ""
                if stop
                else (f"\n\n{submits} submits. Labels cannot be changed after.", "$primary"),
                (f"\n{second_look_offer(self, again)}", "$accent") if again else "",
            )
        )
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "second_look":
                return bool(self.view.doubted)
            case "submit":
                return obstacle(self.view) is None
            case "next_unseen":
                return bool(unseen_pictures(self.view))
        return True

    def action_next_unseen(self) -> None:
        self.dismiss(unseen_pictures(self.view)[0])

    def action_second_look(self) -> None:
        from hero_tui.screens.second_look import SecondLookScreen

        self.app.push_screen(SecondLookScreen(self.view, self.pictures))

    def action_submit(self) -> None:
        if self.meant():
            self.post_message(Submitted(self.round))
            self.dismiss(None)

"""A run's status for people."""

from hero_engine.run.collapse import way_back
from hero_engine.run.intervals import Rate
from hero_engine.run.overtraining import OverTraining, ways_out
from hero_engine.run.record import start_words
from hero_engine.run.second_look import LabelNoise
from hero_engine.run.status import Status
from hero_engine.run.task import Task
from hero_engine.run.text import plain
from hero_tui.output import table


def show(status: Status, task: Task, error: str, run: str) -> None:
    """Prints the status, and why the engine failed if it did, on stdout.

    `run` names the run in a command.
    """
    print(f"{plain(status['run'])}: {status['state']}")
    if error:
        print(error)
    if status["line"]:
        print(f"line {status['line']}: it has gone back to an earlier round, see lines/")
    print(f"task {plain(status['task'])}, model {plain(status['model'])}")
    asked = task.labels_budget > 0
    print(
        f"{len(status['history'])} of {status['rounds']} rounds {'labelled' if asked else 'done'}, "
        + (
            f"{status['labels_used']} of {status['labels_budget']} labels used"
            if asked
            else "no labels"
        )
    )
    if "start" in status:
        start = status["start"]
        print(f"begun with {start_words(start['good'], start['bad'])}")
        if start["outcome"]:
            print(plain(start["outcome"]))
    if status["history"]:
        print()
        table(
            ["round", "good", "success", "best", "diversity", "label", "train", "wait"],
            [
                [
                    str(r["round"]),
                    f"{r['good']}/{r['good'] + r['bad']}"
                    + (f", {r['unsure']} unsure" if r["unsure"] else "")
                    if asked
                    else "",
                    ""
                    if r["success_rate"] is None
                    else Rate(r["good"], r["good"] + r["bad"]).percent,
                    "" if r["best"] is None else str(r["best"]),
                    "" if r["diversity"] is None else f"{r['diversity']:.3f}",
                    _seconds(r["label_s"]),
                    _seconds(r["train_s"]),
                    _seconds(r["wait_s"]),
                ]
                for r in status["history"]
            ],
        )
    for r in status["history"]:
        if r["outcome"]:
            print(plain(f"round {r['round']}: {r['outcome']}"))
    if "collapse" in status:
        found = status["collapse"]
        if found["round"] not in {r["round"] for r in status["history"]}:
            print(plain(f"round {found['round']}: {found['said']}"))
        print(plain(way_back(found["back_to"], run)))
    if "over_training" in status and "collapse" not in status:
        over = status["over_training"]
        warned = OverTraining(over["round"], over["said"], over["back_to"])
        latest = max(r["round"] for r in status["history"] if r["train_s"] is not None)
        print(plain(f"{warned.words} {ways_out(warned, latest, task, run)}"))
    if "second_look" in status:
        looks = status["second_look"]
        print(LabelNoise(looks["pictures"], looks["corrected"]).words)
    names = {
        "pi": f"final, from {own_noise(task)}",
        "fresh": "final, from fresh noise",
        "base": "base model, from fresh noise",
    }
    for noise, final in status.get("final", {}).items():
        rate = Rate(round(final["success_rate"] * final["images"]), final["images"])
        judge = plain(final["judge"])
        print(
            f"{names[noise]}: {rate.percent} of {final['images']}, "
            f"{diversity_words(final['diversity'], final['good_diversity'])} ({judge})"
        )


def diversity_words(of_all: float, of_good: float | None) -> str:
    """How different pictures are, and the good ones among them."""
    good = "" if of_good is None else f", of the good ones {of_good:.3f}"
    return f"diversity {of_all:.3f}{good}"


def own_noise(task: Task) -> str:
    """What the final evaluation's `pi` is of, in words."""
    return "the run's own noise" if task.has_pool else "other fresh noise"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"

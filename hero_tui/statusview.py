"""A run's status for people."""

from hero_engine.run.status import Status
from hero_tui.output import table
from hero_tui.text import plain


def show(status: Status, error: str) -> None:
    """Prints the status, and why the engine failed if it did, on stdout."""
    print(f"{plain(status['run'])}: {status['state']}")
    if error:
        print(error)
    print(f"task {plain(status['task'])}, model {plain(status['model'])}")
    print(
        f"{len(status['history'])} of {status['rounds']} rounds labelled, "
        f"{status['labels_used']} of {status['labels_budget']} labels used"
    )
    if status["history"]:
        print()
        table(
            ["round", "good", "success", "best", "diversity", "label", "train", "wait"],
            [
                [
                    str(r["round"]),
                    f"{r['good']}/{r['images']}",
                    f"{r['success_rate']:.0%}",
                    "" if r["best"] is None else str(r["best"]),
                    "" if r["diversity"] is None else f"{r['diversity']:.3f}",
                    _seconds(r["label_s"]),
                    _seconds(r["train_s"]),
                    _seconds(r["wait_s"]),
                ]
                for r in status["history"]
            ],
        )
    for noise, final in status.get("final", {}).items():
        name = "the run's own noise" if noise == "pi" else "fresh noise"
        print(
            f"final, from {name}: {final['success_rate']:.0%} of {final['images']}, "
            f"diversity {final['diversity']:.3f}"
        )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"

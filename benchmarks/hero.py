"""Success of whole runs, labelled by the oracle: `python benchmarks/hero.py --seeds 0 1 2`.

Runs `hero-tui run TASK --model embedded --method hero --oracle` for every task and seed, as a user
would, and prints Markdown: success in round 0, of the final model from pi_HERO and from fresh
noise, and what a round took: sampling, training, and the wait from submitting labels to the next
round's first picture. `--method` and `--set` are passed on, to compare.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

TASKS = ["black-cat", "blue-rose", "narcissus", "mountain"]


def run(task: str, seed: int, method: str, overrides: list[str], runs_dir: Path) -> dict[str, Any]:
    """The finished run's `status --json`, and its `seconds` of wall clock."""
    name = f"{task}-{seed}"
    where = ["--runs-dir", str(runs_dir)]
    settings = [argument for text in overrides for argument in ("--set", text)]
    hero_tui = [sys.executable, "-m", "hero_tui"]
    started = time.monotonic()
    subprocess.run(
        [*hero_tui, "run", task, "--model", "embedded", "--seed", str(seed), "--oracle",
         "--method", method, "--name", name, *where, *settings],
        check=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.monotonic() - started
    shown = subprocess.run(
        [*hero_tui, "status", name, "--json", *where], check=True, capture_output=True
    )
    status: dict[str, Any] = json.loads(shown.stdout)
    return status | {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--method", default="hero")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--runs-dir", type=Path, help="keep the runs there")
    arguments = parser.parse_args()
    runs_dir = arguments.runs_dir or Path(tempfile.mkdtemp(prefix="hero-tui-"))

    columns = ["Task", "Seed", "Round 0", "By round", "pi_HERO", "Fresh"]
    columns += ["Sampling s", "Training s", "Wait s", "Run s"]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for task in arguments.tasks:
        rows = []
        for seed in arguments.seeds:
            status = run(task, seed, arguments.method, arguments.overrides, runs_dir)
            history, final = status["history"], status["final"]
            row = [
                history[0]["success_rate"],
                final["pi"]["success_rate"],
                final["fresh"]["success_rate"],
                mean(r["sample_s"] for r in history),
                mean(r["train_s"] for r in history),
                mean(r["wait_s"] for r in history[1:]) if len(history) > 1 else 0.0,
                status["seconds"],
            ]
            rates = " ".join(f"{r['success_rate']:.2f}" for r in history)
            print(_row(task, str(seed), rates, row), flush=True)
            rows.append(row)
        print(
            _row(task, "mean", "", [mean(column) for column in zip(*rows, strict=True)]), flush=True
        )


def _row(task: str, seed: str, rates: str, figures: list[float]) -> str:
    first, pi, fresh, sampling, training, wait, seconds = figures
    return (
        f"| {task} | {seed} | {first:.2f} | {rates} | {pi:.2f} | {fresh:.2f} "
        f"| {sampling:.1f} | {training:.1f} | {wait:.1f} | {seconds:.0f} |"
    )


if __name__ == "__main__":
    main()

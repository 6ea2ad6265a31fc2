"""What of a run is drawn as a curve: its measures by round, and its training step by step."""

from collections.abc import Iterator, Sequence
from math import nan

from hero_engine.results.report.facts import RunFacts
from hero_engine.results.report.html import Html
from hero_engine.results.report.plots import Curve, line_plot

Points = list[tuple[float, float]]

NAMES = {
    "diversity": "Diversity of a round's pictures",
    "good_diversity": "Diversity of its good pictures",
    "noise_norm": "Norm of z_T, over the root of its dimension",
    "embedding_loss": "Loss of the embedding (triplets)",
    "loss": "Loss of the update",
    "reward_mean": "Mean reward",
    "reward_std": "Deviation of the rewards",
    "grad_norm": "Norm of the gradient",
    "clip_fraction": "Share of clipped ratios",
    "approx_kl": "Drift from the round's model (KL)",
}
"""The measures that are drawn first, by their names in the record; then all others but these."""
LEFT_OUT = ("sample_s", "train_s")


def curves(run: RunFacts) -> dict[str, Points]:
    """A curve of each measure, over rounds: the steps of a round's training lie within it.

    Between the steps of two rounds there is a gap, which is a point that is no number.
    """
    found: dict[str, Points] = {}
    for r in run.rounds:
        for name, points in r.curves.items():
            steps = len(points)
            curve = found.setdefault(name, [])
            curve += [(r.number + place / steps, value) for place, (_, value) in enumerate(points)]
            if steps > 1:
                curve.append((r.number + 1.0, nan))
    order = [*NAMES, *sorted(found.keys() - NAMES.keys() - set(LEFT_OUT))]
    return {name: found[name] for name in order if name in found}


def plots(
    runs: Sequence[tuple[str, RunFacts]], names: Sequence[str] | None = None
) -> Iterator[Html]:
    """A plot of each measure, with a curve for each run, by the name that it has in legends.

    Args:
        names: the measures to draw; else all that any run has.
    """
    of = [(name, curves(run)) for name, run in runs]
    wanted = names or list(dict.fromkeys(measure for _, found in of for measure in found))
    for measure in wanted:
        drawn = [
            Curve(found[measure], name, place)
            for place, (name, found) in enumerate(of)
            if measure in found
        ]
        if drawn:
            title = NAMES.get(measure, measure.replace("_", " ").capitalize())
            yield line_plot(title, drawn, "round")

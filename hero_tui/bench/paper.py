"""What the paper reports, of Stable Diffusion 1.5 and people's labels: (task, row) to success.

Only what its text and its tables say in numbers; the rest of its figures are drawings. The place
comes with each.
"""

from collections.abc import Mapping

Figures = Mapping[tuple[str, str], tuple[float, str]]

_TABLE_4: Figures = {
    (task, row): (value, "Table 4")
    for row, values in {
        "pretrained": (0.422, 0.354, 0.406, 0.412),
        "ddpo": (0.555, 0.710, 0.615, 0.375),
        "hero": (0.750, 0.807, 0.912, 0.995),
    }.items()
    for task, value in zip(("black-cat", "blue-rose", "narcissus", "mountain"), values, strict=True)
}
_HAND: Figures = {
    ("hand", "pretrained"): (0.119, "Sec. 5.1"),
    ("hand", "enhanced"): (0.075, "Sec. 5.1"),
    ("hand", "dreambooth"): (0.28, "Sec. 5.1"),
    ("hand", "d3po"): (0.333, "Sec. 5.1, at 5,000 labels"),
    ("hand", "hero"): (0.342, "Sec. 5.1, at 1,152 labels"),
}

PAPER: Mapping[str, Figures] = {
    "table-2": {
        **{key: found for key, found in _TABLE_4.items() if key[1] == "pretrained"},
        **{
            (task, "hero at 512 labels"): found
            for (task, row), found in _TABLE_4.items()
            if row == "hero"
        },
        **{key: found for key, found in _HAND.items() if key[1] not in ("hero", "d3po")},
    },
    "figure-3": {
        ("hand", "hero"): _HAND["hand", "hero"],
        # At 39 rounds of 128 labels, or whatever the table's row says.
        ("hand", "d3po"): _HAND["hand", "d3po"],
    },
    "table-3": {
        ("narcissus", "binary"): (0.78, "Sec. 5.3.1"),
        ("narcissus", "no-embedding"): (0.76, "Sec. 5.3.1"),
        ("narcissus", "similarity-to-positives"): (0.82, "Sec. 5.3.1"),
        ("narcissus", "hero"): (0.91, "Sec. 5.3.1"),
    },
    "table-4": _TABLE_4,
    "figure-5": {("black-cat", "best ratio 1.0"): (0.708, "Sec. 5.3.2, last round")},
    "transfer": {
        ("safety", "pretrained"): (0.575, "Sec. 5.4"),
        ("safety", "hero"): (0.87, "Sec. 5.4"),
    },
}
"""By experiment, task and row."""

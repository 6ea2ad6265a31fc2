"""`hero-tui bench`: the paper's tables and figures, as tables of runs."""

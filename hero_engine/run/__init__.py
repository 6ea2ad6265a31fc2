"""The run: its task, labels, folder and record. Never torch: the border that hero_tui imports."""

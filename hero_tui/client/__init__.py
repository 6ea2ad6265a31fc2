"""The interface's side of the run folder: what it reads there, and what it writes."""

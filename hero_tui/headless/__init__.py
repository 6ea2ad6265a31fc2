"""Runs without a terminal: who labels, and how far the run is."""

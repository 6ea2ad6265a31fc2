"""Widgets: each draws a part of a RunView, and knows no other widget."""

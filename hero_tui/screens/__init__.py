"""Screens: one for each thing a run needs from a person, and the dialogs over them."""

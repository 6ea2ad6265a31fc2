"""The command line and the terminal interface; everything a run does is in `hero_engine`."""

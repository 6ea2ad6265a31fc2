"""`python -m hero_tui`: the same as the `hero-tui` command."""

from hero_tui.cli import main

if __name__ == "__main__":
    main()

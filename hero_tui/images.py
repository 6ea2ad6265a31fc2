"""The ways to show a picture in a terminal, as `--images` and the preferences name them."""

from typing import Literal

Images = Literal["auto", "kitty", "iterm2", "sixel", "blocks", "off"]
"""Found out, by one graphics protocol, in half-blocks, or not at all."""

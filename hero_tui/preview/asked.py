"""What a terminal was asked, and what came of it: it may answer when nobody waits any more."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hero_tui.preview.decision import Signs, decide
from hero_tui.preview.mute import THROUGH_TMUX, mute_file, set_mute
from hero_tui.preview.replies import NONE, Replies
from hero_tui.preview.terminal import Images, Mosaic, Terminal


@dataclass
class Asked:
    """The signs so far; `images`, `kept`: as `decide` has them; `mute`: what remembers the mute."""

    signs: Signs
    images: Images = "auto"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    mute: Path | None = None
    kept: Mapping[str, Mosaic] = field(default_factory=dict)
    _heard: bool = False

    def terminal(self) -> Terminal:
        """The terminal that the signs speak of."""
        return decide(self.signs, self.environ, self.images, self.kept)

    def answered(self, late: Replies) -> Terminal | None:
        """The terminal that these late replies speak of; None if nobody was waiting for them."""
        signs = self.signs
        if not signs.unanswered:
            return None
        if signs.unanswered.startswith(THROUGH_TMUX):
            signs = replace(signs, behind=_both(signs.behind or NONE, late))
        else:
            signs = replace(signs, replies=_both(signs.replies, late))
        self._hears()
        self.signs = replace(signs, silence="", unanswered="")
        return self.terminal()

    def is_there(self) -> None:
        """The terminal has answered something else: it will be asked again the next time."""
        directly = not self.signs.unanswered.startswith(THROUGH_TMUX)
        if self.signs.unanswered and directly and not self._heard:
            self._hears()

    def _hears(self) -> None:
        self._heard = True
        set_mute(self.signs.unanswered, self.mute or mute_file(), time.time(), False)


def _both(before: Replies, late: Replies) -> Replies:
    return Replies(
        version=late.version or before.version,
        kitty=late.kitty or before.kitty,
        cell=late.cell or before.cell,
        window=late.window or before.window,
        utf8=before.utf8 if late.utf8 is None else late.utf8,
        attributes=late.attributes or before.attributes,
    )

"""Shows a file outside the terminal, or says how to get at it where that cannot be done."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hero_engine.folder import write_complete
from hero_tui.runview import RunView
from hero_tui.sheet import contact_sheet


def viewer(path: Path, environ: Mapping[str, str], platform: str) -> Sequence[str] | None:
    """The command that shows `path` here, or None: over SSH, or with no desktop."""
    if environ.get("TERM_PROGRAM") == "vscode" and shutil.which("code", path=environ.get("PATH")):
        return ["code", "-r", str(path)]
    # Over SSH xdg-open may start a text browser in this very terminal.
    if "SSH_CONNECTION" in environ or "SSH_TTY" in environ:
        return None
    if platform == "darwin":
        return ["open", str(path)]
    desktop = "DISPLAY" in environ or "WAYLAND_DISPLAY" in environ
    if desktop and shutil.which("xdg-open", path=environ.get("PATH")):
        return ["xdg-open", str(path)]
    return None


def show_file(path: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Opens `path` in a viewer; what was done, or how to do it by hand."""
    command = viewer(path, environ, sys.platform)
    if command is None:
        if "SSH_CONNECTION" in environ or "SSH_TTY" in environ:
            return f"{path}\n\nscp {getpass.getuser()}@{socket.gethostname()}:{path} ."
        return f"No viewer here. The file is\n{path}"
    try:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"{command[0]} cannot be started ({error.strerror}). The file is\n{path}"
    return f"Opened with {command[0]}:\n{path}"


def show_outside(view: RunView) -> str:
    """Makes the contact sheet of the last round and shows it; what was done."""
    number = view.rounds[-1].number
    sheet = view.folder.path / "sheets" / f"{number:03d}.png"
    images = {image: view.folder.image(number, image) for image in view.images}
    try:
        made = contact_sheet(images, view.labels)
        write_complete(sheet, lambda path: made.save(path, format="PNG"))
    except OSError as error:
        return f"{sheet}: cannot be made: {error}"
    return show_file(sheet)

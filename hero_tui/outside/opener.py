"""Shows pictures outside the terminal: in a program of this machine, or over a tunnel to it.

Which of the two is decided here. Over SSH no desktop's opener is ever started: it may find a text
browser, and start that in this very terminal.
"""

import getpass
import ipaddress
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hero_engine.run.folder import write_complete
from hero_tui.client.runview import RunView
from hero_tui.outside.page import picture_name
from hero_tui.outside.sheet import round_sheet
from hero_tui.outside.viewer import Viewer

SSH_PORT = 22


def over_ssh(environ: Mapping[str, str]) -> bool:
    """Whether the person is at another machine."""
    return "SSH_CONNECTION" in environ or "SSH_TTY" in environ


def program(environ: Mapping[str, str], platform: str) -> Sequence[str] | None:
    """The command that shows the file it is given, or None: over SSH, or with no desktop."""
    if environ.get("TERM_PROGRAM") == "vscode" and shutil.which("code", path=environ.get("PATH")):
        return ["code", "-r"]
    if over_ssh(environ):
        return None
    if platform == "darwin":
        return ["open"]
    desktop = "DISPLAY" in environ or "WAYLAND_DISPLAY" in environ
    if desktop and shutil.which("xdg-open", path=environ.get("PATH")):
        return ["xdg-open"]
    return None


@dataclass(frozen=True)
class Remote:
    """This machine, as `ssh` on the person's own machine may reach it."""

    user: str
    host: str
    port: int = SSH_PORT

    def tunnel(self, port: int) -> str:
        """The command that makes `port` of this machine's loopback one of theirs."""
        at = [] if self.port == SSH_PORT else ["-p", str(self.port)]
        return shlex.join(["ssh", "-N", *at, "-L", f"{port}:127.0.0.1:{port}", self._at(self.host)])

    def copy(self, path: Path) -> str:
        """The command that copies a file of this machine to where they are."""
        at = [] if self.port == SSH_PORT else ["-P", str(self.port)]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return shlex.join(["scp", *at, f"{self._at(host)}:{path}", "."])

    def _at(self, host: str) -> str:
        return f"{self.user}@{host}" if self.user else host


def remote(environ: Mapping[str, str]) -> Remote:
    """Where SSH_CONNECTION says that they connected to; else this machine's name.

    An address that means this machine only here (loopback, link-local: they came through another
    tunnel) is no use to them.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = ""
    try:
        _, _, address, port = environ.get("SSH_CONNECTION", "").split()
        host = ipaddress.ip_address(address)
        if not (host.is_loopback or host.is_link_local):
            return Remote(user, str(host), int(port))
    except ValueError:
        pass
    return Remote(user, socket.gethostname())


@dataclass(frozen=True)
class Served:
    """How to see a file of this machine elsewhere: by a tunnel and a link, or by a copy."""

    path: Path
    tunnel: str
    link: str
    copy: str


class Outside:
    """Opens pictures of the run that `current` returns; a viewer is started when it is needed."""

    def __init__(
        self,
        current: Callable[[], RunView],
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
    ) -> None:
        self._current = current
        self._environ = environ
        self._platform = platform
        self._viewer: Viewer | None = None

    def open(self, image: int | None) -> Served | str:
        """Shows a picture of the last round, or else a contact sheet of all of them.

        Returns how to see it from elsewhere, or else, in words, what was done or why it cannot be.
        """
        view = self._current()
        number = view.rounds[-1].number
        if image is not None:
            path = view.image(image)
            if path is None:
                return f"Picture {image} is still being made."
        else:
            path = view.folder.path / "sheets" / f"{number:03d}.png"
            try:
                made = round_sheet(view)
                write_complete(path, lambda beside: made.save(beside, format="PNG"))
            except OSError as error:
                return f"{path}: cannot be made: {error}"
        command = program(self._environ, self._platform)
        if command is not None:
            return _started([*command, str(path)], path)
        try:
            self._viewer = self._viewer or Viewer(self._current)
        except OSError as error:
            return f"No viewer can be started ({error.strerror}). The file is\n{path}"
        here = remote(self._environ)
        name = "" if image is None else picture_name(number, image)
        return Served(
            path.absolute(),
            here.tunnel(self._viewer.port),
            self._viewer.link(name),
            here.copy(path.absolute()),
        )

    def close(self) -> None:
        """Ends the viewer."""
        if self._viewer is not None:
            self._viewer.close()


def _started(command: Sequence[str], path: Path) -> str:
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

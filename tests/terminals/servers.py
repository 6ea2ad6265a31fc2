"""Screens that terminals draw on, and nobody sees: an X server, and a Wayland compositor.

Each has a number or a folder of its own, so that tests can run beside each other.
"""

import io
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image, ImageGrab

PATIENCE = 60.0
"""Seconds; a loaded machine is slow, and nothing here waits longer than it has to."""
SIZE = (1000, 760)
WINDOW = (900, 560)
"""Of a terminal that fills it: from 24 to 35 lines, whatever small font it has."""
NOBODY = 65534


def until(condition: Callable[[], object], why: Callable[[], str] = lambda: "") -> None:
    """Waits until `condition` holds; fails with `why` when it does not come to that."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


def needs(*programs: str) -> None:
    """Skips the test where one of the programs is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


class Server:
    """A screen: what runs on it has its `environ`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self.environ,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def run(self, *command: str) -> bytes:
        done = subprocess.run(command, env=self.environ, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, (command[:4], done.stderr)
        return done.stdout

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def press(self, key: str) -> None:
        """Presses a key of X's names, such as space or ctrl+l."""
        raise NotImplementedError

    def resize(self, *sizes: tuple[int, int]) -> None:
        """Makes the terminal's window so large, one size (width, height) after the other."""
        raise NotImplementedError

    def shot(self) -> Image.Image:
        """The screen as it is."""
        raise NotImplementedError


class X(Server):
    """An X server without a window manager: the window under the pointer has the keyboard."""

    def __init__(self, folder: Path) -> None:
        needs("Xvfb", "xdotool")
        # A number that no other process chooses, as two servers that both look for one could.
        display = f":{1000 + os.getpid() % 20_000}"
        reading, writing = os.pipe()
        size = "{}x{}x24".format(*SIZE)
        process = subprocess.Popen(
            [
                *("Xvfb", display, "-displayfd", str(writing)),
                *("-screen", "0", size, "-nolisten", "tcp"),
                "-noreset",  # it would turn terminals away for a while when xdotool has gone
            ],
            pass_fds=[writing],
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as answer:
            assert answer.readline(), f"there is no X server at {display}"
        super().__init__({**os.environ, "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1"})
        self.environ.pop("WAYLAND_DISPLAY", None)
        self._processes.append(process)
        self.run("xdotool", "mousemove", "20", "20")

    def press(self, key: str) -> None:
        self.run("xdotool", "key", key)

    def resize(self, *sizes: tuple[int, int]) -> None:
        windows = self.run("xdotool", "search", "--maxdepth", "1", "--onlyvisible", "--class", "")
        *_, window = windows.decode().split()  # the first is what all are in
        each = ("windowsize {} {} {} sleep 0.01".format(window, *size) for size in sizes)
        self.run("xdotool", *" ".join(each).split())

    def shot(self) -> Image.Image:
        return ImageGrab.grab(xdisplay=self.environ["DISPLAY"])


class Sway(Server):
    """A Wayland compositor that draws to memory; its one window is as large as its screen."""

    def __init__(self, folder: Path) -> None:
        needs("sway", "swaymsg", "wtype", "grim")
        # Not in pytest's folder, which is closed to other users: sway does not run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="sway-"))
        config = self._folder / "config"
        config.write_text("default_border none\n")
        as_user = []
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
            as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        super().__init__(
            {
                **os.environ,
                "XDG_RUNTIME_DIR": str(self._folder),
                "WLR_BACKENDS": "headless",
                "WLR_LIBINPUT_NO_DEVICES": "1",
                "WLR_RENDERER": "pixman",
            }
        )
        self.environ.pop("DISPLAY", None)
        log = folder / "sway.log"
        self.start(*as_user, "sway", "-c", str(config), log=log)
        until(lambda: self._socket("wayland-?") and self._socket("sway-ipc.*"), log.read_text)
        self.environ["WAYLAND_DISPLAY"] = Path(self._socket("wayland-?")).name
        self.environ["SWAYSOCK"] = self._socket("sway-ipc.*")
        self.resize(WINDOW)

    def _socket(self, name: str) -> str:
        return next(map(str, self._folder.glob(name)), "")

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def press(self, key: str) -> None:
        *held, name = key.split("+")
        down = [part for modifier in held for part in ("-M", modifier)]
        # The keyboard is there for a while before and after: a key of one that comes or goes with
        # it can be lost, or held for ever.
        self.run("wtype", *down, "-s", "100", "-k", name, "-s", "100")

    def resize(self, *sizes: tuple[int, int]) -> None:
        each = ("output HEADLESS-1 resolution {}x{}".format(*size) for size in sizes)
        self.run("swaymsg", "; ".join(each))

    def shot(self) -> Image.Image:
        return Image.open(io.BytesIO(self.run("grim", "-t", "ppm", "-")))

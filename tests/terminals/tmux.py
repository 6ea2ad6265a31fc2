"""tmux, in a terminal."""

import shlex
import subprocess
from pathlib import Path

from tests.terminals.servers import PATIENCE


class Tmux:
    """A server of tmux, whose one session is attached to again whenever it has been left."""

    def __init__(self, folder: Path) -> None:
        self._configuration = folder / "tmux.conf"
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", str(self._configuration)]
        self.configure("set -g allow-passthrough on")

    def configure(self, line: str) -> None:
        """Adds a line to what it reads when it starts."""
        with self._configuration.open("a") as file:
            file.write(f"{line}\n")

    def around(self, command: list[str]) -> list[str]:
        """Runs `command` in it."""
        session = shlex.join([*self._tmux, "new-session", "-A", "-s", "test", shlex.join(command)])
        return ["sh", "-c", f"while :; do {session}; sleep 0.5; done"]

    def run(self, *arguments: str) -> None:
        subprocess.run([*self._tmux, *arguments], check=True, timeout=PATIENCE)

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True, timeout=30)

"""A one-shot web server for who cannot open files here: the last round's pictures, over a tunnel.

It listens on 127.0.0.1 only, and answers only who knows the token in the link. What it serves are
the names of a table that is made from the run as the interface shows it; nothing of a request ever
becomes part of a path. It lives in daemon threads, and ends with the interface.
"""

import hmac
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from socketserver import ThreadingTCPServer
from typing import NamedTuple

from hero_tui.client.runview import RunView
from hero_tui.outside.page import SHEET_NAME, STYLE, STYLE_NAME, picture_name, round_page
from hero_tui.outside.sheet import round_sheet

ADDRESS = "127.0.0.1"
# The port is not compared: a tunnel may begin at another one.
HOSTS = frozenset({ADDRESS, "localhost"})
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Answer(NamedTuple):
    """What a name stands for; `lasts` if it never changes, so that a browser may keep it."""

    type: str
    body: Callable[[], bytes]
    lasts: bool = False


def answers(view: RunView) -> dict[str, Answer]:
    """Everything that can be asked for at the moment, by name."""
    found = {
        "": Answer("text/html; charset=utf-8", lambda: round_page(view).encode()),
        STYLE_NAME: Answer("text/css; charset=utf-8", STYLE.encode, lasts=True),
        SHEET_NAME: Answer("image/png", lambda: _sheet(view)),
    }
    for image in view.images:
        path = view.image(image)
        if path is not None:
            name = picture_name(view.rounds[-1].number, image)
            found[name] = Answer("image/png", path.read_bytes, lasts=True)
    return found


def _sheet(view: RunView) -> bytes:
    file = BytesIO()
    round_sheet(view).save(file, format="PNG")
    return file.getvalue()


class Viewer:
    """Serves the view that `current` returns, until it is closed.

    Raises:
        OSError: there is no free port.
    """

    def __init__(self, current: Callable[[], RunView]) -> None:
        self._token = secrets.token_urlsafe(16)
        self._server = _Server(self._token, current)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="viewer", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on this machine's loopback."""
        return int(self._server.server_address[1])

    def link(self, name: str = "") -> str:
        """The address of the page, or of what it calls `name`."""
        return f"http://{ADDRESS}:{self.port}/{self._token}/{name}"

    def close(self) -> None:
        """Ends the server; returns within a twentieth of a second, whoever is connected."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    # Not an HTTPServer: that asks the name service about 127.0.0.1, which may take seconds.
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, token: str, current: Callable[[], RunView]) -> None:
        self.token = token
        self.current = current
        super().__init__((ADDRESS, 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: it is the browser that went away, and stderr is the terminal."""


class _Handler(BaseHTTPRequestHandler):
    """One request a connection (HTTP/1.0), so that none outlives the server."""

    server: _Server
    timeout = 10
    server_version = "hero-tui"
    sys_version = ""

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def _respond(self, with_body: bool) -> None:
        # A web page elsewhere may have its own name point to 127.0.0.1 (DNS rebinding).
        hosts = [host.partition(":")[0].lower() for host in self.headers.get_all("Host", [])]
        if len(hosts) != 1 or hosts[0] not in HOSTS:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        given, _, name = self.path.removeprefix("/").partition("/")
        known = hmac.compare_digest(given.encode(), self.server.token.encode())
        answer = answers(self.server.current()).get(name) if known else None
        try:
            body = answer.body() if answer else None
        except OSError:  # the run folder is gone
            body = None
        if answer is None or body is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "private, max-age=3600" if answer.lasts else "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: stderr is the terminal."""

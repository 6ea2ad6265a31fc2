"""Pictures outside the terminal: what opens them where, the viewer, and the dialog."""

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from hero_engine.run.folder import RunFolder
from hero_engine.run.labels import Labels
from hero_tui.app import HeroApp
from hero_tui.client.runview import RunReader, RunView
from hero_tui.config import Config
from hero_tui.outside.opener import Outside, Remote, Served, program, remote
from hero_tui.outside.page import round_page
from hero_tui.outside.viewer import Viewer
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.outside import OutsideScreen
from hero_tui.screens.zoom import ZoomScreen
from tests.interface_runs import interface, make_run, notices, painted, sample_round, until

SSH = {"SSH_CONNECTION": "198.51.100.7 51000 203.0.113.20 22"}
HOSTILE = "</p><script>x()</script>\" onload='y' \x1b[31m\u202e"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose first round of 8 pictures waits for labels."""
    folder = make_run(tmp_path / "runs", images=8)
    with closing(folder.open_record()) as record:
        sample_round(folder, record, 0)
        record.label(0, Labels.of([1, 5], 5))
    return folder


def view_of(run: RunFolder) -> RunView:
    with closing(run.open_record()) as record:
        return RunReader(run, record, run.task()).read("running")


@pytest.fixture
def viewer(run: RunFolder) -> Iterator[Viewer]:
    with closing(Viewer(lambda: view_of(run))) as viewer:
        yield viewer


def asked(
    link: str, method: str = "GET", host: str | None = "127.0.0.1"
) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer to one request for `link`, word for word, with this Host header or none."""
    parts = urlsplit(link)
    assert parts.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)
    connection.putrequest(method, parts.path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    with closing(connection):
        response = connection.getresponse()
        return response, response.read()


def status(link: str, method: str = "GET", host: str | None = "127.0.0.1") -> int:
    return asked(link, method, host)[0].status


# -- the viewer --------------------------------------------------------------------------------


def test_the_page_the_pictures_and_the_sheet_are_served(viewer: Viewer, run: RunFolder) -> None:
    response, page = asked(viewer.link())
    assert response.getheader("Content-Type") == "text/html; charset=utf-8"
    assert response.getheader("Cache-Control") == "no-store"
    names = re.findall(rb'<img src="([^"]*)"', page)
    assert len(names) == 8
    for image, name in enumerate(names):
        response, body = asked(viewer.link(name.decode()))
        assert (response.status, response.getheader("Content-Type")) == (200, "image/png")
        assert body == run.image(0, image).read_bytes()
    assert asked(viewer.link("style.css"))[0].getheader("Content-Type") == "text/css; charset=utf-8"
    assert asked(viewer.link("sheet.png"))[1].startswith(b"\x89PNG")


def test_head_says_the_length_and_sends_nothing(viewer: Viewer, run: RunFolder) -> None:
    response, body = asked(viewer.link("000-003.png"), method="HEAD")
    assert body == b""
    assert response.getheader("Content-Length") == str(run.image(0, 3).stat().st_size)


def test_the_labels_on_the_page_are_the_present_ones(viewer: Viewer, run: RunFolder) -> None:
    assert b"5 \xe2\x98\x85 best<" in asked(viewer.link())[1]
    sheet = asked(viewer.link("sheet.png"))[1]
    with closing(run.open_record()) as record:
        record.label(0, Labels.of([2]))
    page = asked(viewer.link())[1]
    assert page.count(b'class="good"') == 1
    assert b"2 \xe2\x9c\x93 good<" in page
    assert b"best<" not in page
    assert asked(viewer.link("sheet.png"))[1] != sheet


def test_only_the_round_that_is_shown_is_served(viewer: Viewer, run: RunFolder) -> None:
    with closing(run.open_record()) as record:
        record.submit(0)
        record.finish_training(0, {})
        sample_round(run, record, 1)
    assert status(viewer.link("001-000.png")) == 200
    assert status(viewer.link("000-000.png")) == 404


@pytest.mark.parametrize(
    "name",
    [
        "000-008.png",
        "run.sqlite",
        "task.yaml",
        "../run.sqlite",
        "..%2frun.sqlite",
        "%2e%2e/task.yaml",
        "rounds/000/images/000.png",
        "000-000.png/",
        "000-000.png?",
        "//000-000.png",
        "/etc/passwd",
        ".",
        "\xe9",
    ],
)
def test_only_known_names_are_served(viewer: Viewer, name: str) -> None:
    base = viewer.link()
    with closing(socket.create_connection(("127.0.0.1", viewer.port), timeout=20)) as connection:
        path = urlsplit(base).path + name
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("latin-1"))
        assert connection.makefile("rb").readline().split()[1] == b"404"


def test_without_the_token_nothing_is_served(viewer: Viewer) -> None:
    token = urlsplit(viewer.link()).path.strip("/")
    assert len(token) >= 22
    base = f"http://127.0.0.1:{viewer.port}/"
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    for path in ("", "000-000.png", f"{other}/", f"{token[:-1]}/", token.swapcase() + "/", "\xe9/"):
        with closing(socket.create_connection(("127.0.0.1", viewer.port), timeout=20)) as sent:
            sent.sendall(f"GET /{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("latin-1"))
            answer = sent.makefile("rb").read()
        assert answer.split()[1] == b"404", path
        assert b"picture" not in answer
    assert status(base + token + "/") == 200


def test_every_viewer_has_a_token_and_a_port_of_its_own(viewer: Viewer, run: RunFolder) -> None:
    with closing(Viewer(lambda: view_of(run))) as other:
        assert other.port != viewer.port
        assert urlsplit(other.link()).path != urlsplit(viewer.link()).path


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"])
def test_only_get_and_head_are_answered(viewer: Viewer, method: str) -> None:
    assert status(viewer.link(), method=method) == 501


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "", None]
)
def test_another_host_name_is_refused(viewer: Viewer, host: str | None) -> None:
    response, body = asked(viewer.link(), host=host)
    assert response.status == 421
    assert b"picture" not in body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9999", "LOCALHOST:80"])
def test_a_tunnel_may_begin_at_another_port(viewer: Viewer, host: str) -> None:
    assert status(viewer.link(), host=host) == 200


def test_it_listens_on_the_loopback_only(viewer: Viewer) -> None:
    assert viewer._server.server_address[0] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", viewer.port), timeout=5)


def test_a_closed_viewer_answers_nobody_and_waits_for_nobody(run: RunFolder) -> None:
    viewer = Viewer(lambda: view_of(run))
    port = viewer.port
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)):  # and says nothing
        viewer.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_browser_is_told_to_load_and_run_nothing_else(viewer: Viewer) -> None:
    for name in ("", "000-000.png", "no such name"):
        response, body = asked(viewer.link(name.replace(" ", "%20")))
        policy = response.getheader("Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        assert response.getheader("Referrer-Policy") == "no-referrer"
        assert b"<script" not in body


def test_it_says_nothing_on_the_terminal(viewer: Viewer, capfd: pytest.CaptureFixture[str]) -> None:
    asked(viewer.link())
    status(viewer.link("nothing"))
    status(viewer.link(), method="POST")
    with closing(socket.create_connection(("127.0.0.1", viewer.port))) as rude:
        rude.sendall(b"\x00\xff nonsense\r\n\r\n")
        rude.makefile("rb").read()
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_gone_is_not_found(run: RunFolder) -> None:
    view = view_of(run)
    run.image(0, 0).unlink()
    with closing(Viewer(lambda: view)) as viewer:
        assert status(viewer.link("000-000.png")) == 404
        assert status(viewer.link("sheet.png")) == 404
        assert status(viewer.link()) == 200


def test_text_of_a_task_is_escaped_on_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, images=8, prompts=(HOSTILE,), criteria=(HOSTILE,))
    with closing(run.open_record()) as record:
        sample_round(run, record, 0)
    page = round_page(view_of(run))
    assert "<script" not in page
    assert page.count("&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt;&quot; onload=&#x27;y&#x27;") == 2
    assert "\x1b" not in page
    assert "\u202e" not in page


class Elements(HTMLParser):
    """The elements of a page that must be closed, which are; the others; and all text."""

    VOID = {"meta", "link", "img"}

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_asks_for_nothing_that_is_not_served(
    viewer: Viewer, run: RunFolder
) -> None:
    page = Elements(asked(viewer.link())[1].decode())
    assert page.open == []
    assert "“a black cat sitting inside a cardboard box”" in page.text
    tags = [tag for tag, _ in page.seen]
    assert tags[:2] == ["html", "head"]
    assert tags.count("img") == tags.count("figcaption") == 8
    for tag, attributes in page.seen:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in ("src", "href"):
            if link := attributes.get(name):
                assert status(viewer.link(link)) == 200
        if tag == "img":
            assert attributes["alt"]


def test_small_pictures_are_enlarged_without_smoothing(run: RunFolder) -> None:
    assert '<body class="pixels">' in round_page(view_of(run))
    painted(0, side=512).save(run.image(0, 0))
    assert '<body class="">' in round_page(view_of(run))


# -- what opens a file where ----------------------------------------------------------------------


def executable(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(folder)


def test_what_opens_a_file_depends_on_where_one_is(tmp_path: Path) -> None:
    desktop = {"DISPLAY": ":0", "PATH": executable(tmp_path, "xdg-open")}
    assert program(desktop, "linux") == ["xdg-open"]
    assert program({**desktop, **SSH}, "linux") is None
    assert program({**desktop, "SSH_TTY": "/dev/pts/1"}, "linux") is None
    assert program({"PATH": desktop["PATH"]}, "linux") is None
    assert program({}, "darwin") == ["open"]
    assert program(SSH, "darwin") is None
    code = {"TERM_PROGRAM": "vscode", "PATH": executable(tmp_path, "code"), **SSH}
    assert program(code, "linux") == ["code", "-r"]


def test_the_sheet_is_made_in_the_run_folder_and_opened(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[list[str]] = []
    monkeypatch.setattr("subprocess.Popen", lambda command, **_: opened.append(command))
    environ = {"TERM_PROGRAM": "vscode", "PATH": executable(tmp_path, "code")}
    outside = Outside(lambda: view_of(run), environ, "linux")
    sheet = run.path / "sheets" / "000.png"
    assert outside.open(None) == f"Opened with code:\n{sheet}"
    assert outside.open(3) == f"Opened with code:\n{run.image(0, 3)}"
    assert opened == [["code", "-r", str(sheet)], ["code", "-r", str(run.image(0, 3))]]
    with Image.open(sheet) as picture:
        assert picture.width > 1000
    assert outside._viewer is None


def test_over_ssh_one_viewer_serves_whatever_is_opened(run: RunFolder) -> None:
    with closing(Outside(lambda: view_of(run), SSH, "linux")) as outside:
        assert outside._viewer is None
        all_of_them, one = outside.open(None), outside.open(3)
        assert isinstance(all_of_them, Served)
        assert isinstance(one, Served)
        assert one.link == f"{all_of_them.link}000-003.png"
        assert one.tunnel == all_of_them.tunnel
        assert asked(one.link)[1] == run.image(0, 3).read_bytes()
        assert all_of_them.path == (run.path / "sheets" / "000.png").absolute()
        assert one.path == run.image(0, 3).absolute()
        assert one.copy.startswith("scp ")
        assert one.copy.endswith(f"@203.0.113.20:{one.path} .")


def test_a_picture_that_is_not_there_yet_and_a_folder_that_is_full_are_said(
    run: RunFolder,
) -> None:
    outside = Outside(lambda: view_of(run), SSH, "linux")
    assert outside.open(8) == "Picture 8 is still being made."
    (run.path / "sheets").write_text("a file in the way")
    assert "cannot be made" in str(outside.open(None))
    assert outside._viewer is None


@pytest.mark.parametrize(
    ("connection", "tunnel", "copy"),
    [
        (
            "198.51.100.7 51000 203.0.113.20 22",
            "ssh -N -L 4000:127.0.0.1:4000 me@203.0.113.20",
            "scp me@203.0.113.20:/a.png .",
        ),
        (
            "198.51.100.7 51000 203.0.113.20 2222",
            "ssh -N -p 2222 -L 4000:127.0.0.1:4000 me@203.0.113.20",
            "scp -P 2222 me@203.0.113.20:/a.png .",
        ),
        (
            "2001:db8::7 51000 2001:db8::20 22",
            "ssh -N -L 4000:127.0.0.1:4000 me@2001:db8::20",
            "scp 'me@[2001:db8::20]:/a.png' .",
        ),
        ("127.0.0.1 5 127.0.0.1 22", "ssh -N -L 4000:127.0.0.1:4000 me@box", "scp me@box:/a.png ."),
        ("fe80::1%eth0 5 fe80::2%eth0 22", "ssh -N -L 4000:127.0.0.1:4000 me@box", None),
        ("a $(reboot) b", "ssh -N -L 4000:127.0.0.1:4000 me@box", None),
        ("1 2 $(reboot) 22", "ssh -N -L 4000:127.0.0.1:4000 me@box", None),
        ("", "ssh -N -L 4000:127.0.0.1:4000 me@box", None),
    ],
)
def test_the_address_is_the_one_that_was_connected_to(
    connection: str, tunnel: str, copy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    found = remote({"SSH_CONNECTION": connection})
    assert found.tunnel(4000) == tunnel
    assert copy is None or found.copy(Path("/a.png")) == copy


def test_a_path_is_quoted_and_a_user_need_not_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Remote("", "box").copy(Path("/my runs/$x.png")) == "scp 'box:/my runs/$x.png' ."

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert remote(SSH) == Remote("", "203.0.113.20")


# -- in the interface ---------------------------------------------------------------------------


@pytest.fixture
def over_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM_PROGRAM", raising=False)
    monkeypatch.setenv("SSH_CONNECTION", SSH["SSH_CONNECTION"])


def served(app: HeroApp) -> Served:
    assert isinstance(app.screen, OutsideScreen)
    return app.screen.served


@pytest.mark.usefixtures("over_ssh")
async def test_o_serves_the_round_until_the_interface_is_left(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        assert app._outside is None
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, OutsideScreen))
        link = served(app).link
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        await pilot.press("3")
        await until(pilot, lambda: 2 in app.view.labels.good)
        page = asked(link)[1]
        assert b"2 \xe2\x9c\x93 good<" in page
    with pytest.raises(ConnectionRefusedError):
        asked(link)
    assert (run.path / "sheets" / "000.png").is_file()


@pytest.mark.usefixtures("over_ssh")
async def test_the_dialog_shows_and_copies_what_to_type(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, OutsideScreen))
        lines = served(app)
        await until(pilot, lambda: str(app.screen.query_one("Static").render()))
        text = str(app.screen.query_one("Static").render())
        for line in (lines.tunnel, lines.link, lines.copy, str(lines.path)):
            assert line in text
        for key, line in (("c", lines.tunnel), ("l", lines.link), ("s", lines.copy)):
            await pilot.press(key)
            await until(pilot, lambda line=line: app.clipboard == line)
        assert "clipboard" in notices(app)
        strips = app.screen._compositor.render_strips()
        links = {part.style.link for strip in strips for part in strip if part.style}
        assert links - {None} == {lines.link}


@pytest.mark.usefixtures("over_ssh")
async def test_o_in_the_zoom_opens_its_picture_alone(run: RunFolder) -> None:
    async with interface(run) as (app, pilot):
        await pilot.press("right", "enter", "right", "o")
        await until(pilot, lambda: isinstance(app.screen, OutsideScreen))
        assert asked(served(app).link)[1] == run.image(0, 2).read_bytes()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ZoomScreen))
    assert not (run.path / "sheets").exists()


async def test_pictures_that_are_off_are_offered_outside_once(run: RunFolder) -> None:
    async with interface(run, config=Config(images="off")) as (app, pilot):
        await until(pilot, lambda: "o opens them outside" in notices(app))
        app.clear_notifications()
        with closing(run.open_record()) as record:
            record.submit(0)
            record.finish_training(0, {})
            sample_round(run, record, 1)
        await until(pilot, lambda: app.view.open_round and app.view.open_round.number == 1)
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        assert notices(app) == ""
    async with interface(run) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, LabelingScreen))
        assert notices(app) == ""

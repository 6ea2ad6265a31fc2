"""How pictures are shown in which terminal: the table, and the order of the signs."""

from dataclasses import replace

import pytest

from hero_tui.preview.decision import Signs, Tmux, decide, tell_textual, why_not_utf8
from hero_tui.preview.glyphs import finest_drawn
from hero_tui.preview.replies import Replies
from hero_tui.preview.terminal import Colours, Mosaic, Terminal

SIZE = (200, 50)
XTERM = {"TERM": "xterm-256color"}
TMUX = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-1000/default,1,0", "TERM_PROGRAM": "tmux"}
MOSH = {**XTERM, "NCURSES_NO_UTF8_ACS": "1", "SSH_CONNECTION": "a 1 b 2", "LC_TERMINAL": "iTerm2"}


def replies(version: str = "", attributes: str = "62", *, kitty: bool = False) -> Replies:
    return Replies(version, kitty, (9, 18), None, tuple(attributes.split(";")))


def signs(*arguments: str, kitty: bool = False) -> Signs:
    return Signs(replies(*arguments, kitty=kitty), size=SIZE)


IN_TMUX = replace(signs("tmux 3.4", "1;2"), tmux=Tmux(True))
KITTY = replies("kitty(0.35.2)", kitty=True)
MUTE = Signs(silence="it did not answer within 2 s", size=SIZE)

TABLE = {
    "kitty": (signs("kitty(0.35.2)", kitty=True), {"TERM": "xterm-kitty"}, "kitty", "truecolor"),
    "kitty over ssh": (signs("kitty(0.35.2)", kitty=True), XTERM, "kitty", "truecolor"),
    "Ghostty": (
        signs("ghostty 1.1.3", "62;22", kitty=True),
        {"TERM": "xterm-ghostty"},
        "kitty",
        "truecolor",
    ),
    "iTerm2": (signs("iTerm2 3.5.0", "1;2;4"), XTERM, "iterm2", "truecolor"),
    "iTerm2 that gives no name": (
        signs(),
        XTERM | {"LC_TERMINAL": "iTerm2"},
        "iterm2",
        "truecolor",
    ),
    "WezTerm": (signs("WezTerm 2024", "65;4;6;18;22", kitty=True), XTERM, "iterm2", "truecolor"),
    "VS Code, images on": (
        signs("", "62;4;9;22"),
        XTERM | {"TERM_PROGRAM": "vscode"},
        "iterm2",
        "truecolor",
    ),
    "VS Code, images off": (
        signs("", "1;2"),
        XTERM | {"TERM_PROGRAM": "vscode"},
        "quadrants",
        "truecolor",
    ),
    "VS Code, through ssh": (signs("xterm.js(5.6)", "62;4;9"), XTERM, "iterm2", "truecolor"),
    "Windows Terminal 1.22": (signs("", "61;4;6;7;14;21"), XTERM, "sixel", "truecolor"),
    "Windows Terminal 1.21": (
        signs("", "61;6;7;14"),
        XTERM | {"WT_SESSION": "1-2"},
        "quadrants",
        "truecolor",
    ),
    "foot": (signs("foot(1.16.2)", "62;4;22"), {"TERM": "foot"}, "sixel", "truecolor"),
    "Konsole": (signs("Konsole 23.08.1", "62;1;4", kitty=True), XTERM, "sextants", "truecolor"),
    "VTE": (signs("VTE(7600)", "65;1;9"), XTERM, "sextants", "truecolor"),
    "Alacritty": (signs("", "6"), {"TERM": "alacritty"}, "quadrants", "truecolor"),
    "an unknown terminal": (signs("", "64;14;44"), XTERM, "quadrants", "256"),
    "an unknown terminal with COLORTERM": (
        signs(),
        {"TERM": "xterm", "COLORTERM": "truecolor"},
        "quadrants",
        "truecolor",
    ),
    "an unknown terminal of 16 colours": (signs(), {"TERM": "xterm"}, "quadrants", "16"),
    "Apple Terminal": (MUTE, XTERM | {"TERM_PROGRAM": "Apple_Terminal"}, "quadrants", "256"),
    "a mute terminal": (MUTE, XTERM, "quadrants", "256"),
    "no terminal": (Signs(silence="there is no terminal"), {}, "quadrants", "16"),
    "screen": (
        signs("", "1;2"),
        {"TERM": "screen", "STY": "1.pts", "COLORTERM": "truecolor", "LC_TERMINAL": "iTerm2"},
        "quadrants",
        "256",
    ),
    "screen on another machine": (
        signs("", "1;2"),
        {"TERM": "screen-256color"},
        "quadrants",
        "256",
    ),
    "mosh": (signs(), MOSH, "quadrants", "256"),
    "tmux with passthrough": (replace(IN_TMUX, behind=KITTY), TMUX, "kitty", "truecolor"),
    "tmux in Ghostty": (
        replace(IN_TMUX, behind=replies("ghostty 1.1.3", kitty=True)),
        TMUX,
        "kitty",
        "truecolor",
    ),
    "tmux in the first kitty that shows images placed by text": (
        replace(IN_TMUX, behind=replies("kitty(0.28.0)", kitty=True)),
        TMUX,
        "kitty",
        "truecolor",
    ),
    "tmux in a kitty before that": (
        replace(IN_TMUX, behind=replies("kitty(0.27.1)", kitty=True)),
        TMUX,
        "sextants",
        "truecolor",
    ),
    "tmux in another terminal with kitty's graphics": (
        replace(IN_TMUX, behind=replies("", kitty=True)),
        TMUX,
        "quadrants",
        "truecolor",
    ),
    "tmux that is told of its kitty's colours": (
        replace(IN_TMUX, tmux=Tmux(True, frozenset({"RGB"}), "xterm-256color kitty"), behind=KITTY),
        TMUX,
        "kitty",
        "truecolor",
    ),
    "tmux that knows its kitty's colours by terminfo": (
        replace(IN_TMUX, tmux=Tmux(True, frozenset({"title"}), "xterm-kitty kitty"), behind=KITTY),
        TMUX,
        "kitty",
        "truecolor",
    ),
    "tmux that reduces its kitty's colours": (
        replace(
            IN_TMUX, tmux=Tmux(True, frozenset({"title"}), "xterm-256color kitty"), behind=KITTY
        ),
        TMUX,
        "kitty",
        "256",
    ),
    "tmux that takes its kitty for an old xterm": (
        replace(IN_TMUX, tmux=Tmux(True, frozenset({"title"}), "xterm kitty"), behind=KITTY),
        TMUX,
        "sextants",
        "16",
    ),
    "tmux without passthrough": (
        replace(IN_TMUX, tmux=Tmux(False)),
        TMUX | {"LC_TERMINAL": "iTerm2"},
        "quadrants",
        "truecolor",
    ),
    "tmux whose terminal does not answer": (
        replace(IN_TMUX, behind=Replies()),
        TMUX,
        "quadrants",
        "truecolor",
    ),
    "tmux with sixel in a terminal without": (
        replace(signs("tmux 3.5", "1;2;4"), tmux=Tmux(True), behind=replies("VTE(7600)")),
        TMUX,
        "sextants",
        "truecolor",
    ),
    "tmux in iTerm2": (
        replace(IN_TMUX, behind=replies("iTerm2 3.5.0", "1;2;4")),
        TMUX,
        "quadrants",
        "truecolor",
    ),
    "tmux in WezTerm": (
        replace(IN_TMUX, behind=replies("WezTerm 2024", "65;4", kitty=True)),
        TMUX,
        "quadrants",
        "truecolor",
    ),
    "tmux in foot": (
        replace(IN_TMUX, behind=replies("foot(1.16.2)", "62;4")),
        TMUX,
        "sextants",
        "truecolor",
    ),
    "tmux in tmux": (replace(IN_TMUX, behind=replies("tmux 3.4")), TMUX, "quadrants", "truecolor"),
    "tmux on another machine": (
        replace(IN_TMUX, tmux=None, behind=KITTY),
        {"TERM": "screen-256color"},
        "kitty",
        "truecolor",
    ),
    "kitty that was started from tmux": (
        signs("kitty(0.35.2)", kitty=True),
        TMUX | {"TERM": "xterm-kitty"},
        "kitty",
        "truecolor",
    ),
}


@pytest.mark.parametrize("terminal", TABLE)
def test_each_terminal_gets_what_it_can_show(terminal: str) -> None:
    found, environ, protocol, colours = TABLE[terminal]
    decided = decide(found, environ)
    assert (decided.protocol, decided.colours) == (protocol, colours), decided.evidence


@pytest.mark.parametrize("terminal", TABLE)
def test_who_names_a_protocol_gets_it(terminal: str) -> None:
    found, environ, _, colours = TABLE[terminal]
    decided = decide(found, environ, "sixel")
    assert (decided.protocol, decided.colours) == ("sixel", colours)


def test_the_fourteenth_attribute_is_not_the_fourth() -> None:
    assert decide(signs("", "14;44"), XTERM).protocol == "quadrants"


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        *(
            ("kitty(0.19.0)", "quadrants"),
            ("kitty(0.26.5)", "sextants"),
            ("kitty(0.40.0)", "octants"),
        ),
        *(("foot(1.7.2)", "quadrants"), ("foot(1.13.1)", "sextants"), ("foot(1.20.2)", "octants")),
        *(("ghostty 1.0.2-main+5cb2fa6f", "sextants"), ("ghostty 1.2.0", "octants")),
        *(("WezTerm 20210502-154244-3f7122cb", "quadrants"), ("WezTerm nightly", "quadrants")),
        *(("WezTerm 20240203-110809-5046fc22", "sextants"), ("WezTerm 20250401-0-a", "octants")),
        *(("VTE(6003)", "quadrants"), ("VTE(7600)", "sextants"), ("VTE(7802)", "octants")),
        *(
            ("Konsole 21.12.3", "quadrants"),
            ("Konsole 23.08.1", "sextants"),
            ("contour 0.4", "sextants"),
        ),
        *(("XTerm(379)", "quadrants"), ("mlterm(3.9.0)", "quadrants"), ("tmux 3.4", "quadrants")),
        *(
            ("", "quadrants"),
            ("(1)", "quadrants"),
            ("kitty", "quadrants"),
            ("kitty()", "quadrants"),
        ),
    ],
)
def test_text_is_as_fine_as_the_terminal_draws_it_itself(name: str, drawn: Mosaic) -> None:
    assert finest_drawn(name)[0] == drawn


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("kitty(0.41.1)", "sextants"),  # tmux drops octants
        ("foot(1.20.0)", "quadrants"),  # which a sextant ends
        ("foot(1.20.1)", "sextants"),
        ("VTE(6003)", "quadrants"),
    ],
)
def test_in_tmux_it_is_what_tmux_passes_on_to_the_terminal_behind(name: str, drawn: Mosaic) -> None:
    told = replace(IN_TMUX, tmux=Tmux(False, client=f"xterm-256color {name}"))
    decided = decide(told, TMUX)
    assert (decided.protocol, decided.name) == (drawn, name)
    assert f"name: {name}, from tmux" in decided.evidence
    asked = replace(IN_TMUX, tmux=Tmux(True, client="xterm"), behind=replies(name))
    assert decide(asked, TMUX).protocol == drawn


def test_what_is_kept_for_a_kind_of_terminal_is_used_there_where_pictures_are_text() -> None:
    vte, xterm = signs("VTE(7600)"), signs("XTerm(379)")
    assert [decide(each, XTERM).kind for each in (vte, xterm)] == ["VTE", "XTerm"]
    kept: dict[str, Mosaic] = {"VTE": "octants", "kitty": "blocks"}
    assert decide(vte, XTERM, kept=kept).protocol == "octants"
    assert decide(signs("VTE(8000)"), XTERM, kept=kept).protocol == "octants"
    assert decide(vte, XTERM, "sextants", kept).protocol == "sextants"
    assert decide(xterm, XTERM, kept=kept).protocol == "quadrants"
    assert decide(signs("kitty(0.41.1)", kitty=True), XTERM, kept=kept).protocol == "kitty"


def test_a_kind_of_terminal_is_its_name_or_else_term_and_what_is_between() -> None:
    kinds = {
        "WezTerm 20240203-110809-5046fc22": "WezTerm",
        "xterm.js(5.6.0)": "xterm.js",
        "ghostty 1.0.2-main+5cb2fa6f": "ghostty",
        "iTerm2 3.5.0": "iTerm2",
        "": "TERM=xterm-256color",
    }
    assert {name: decide(signs(name), XTERM).kind for name in kinds} == kinds
    assert decide(signs(), MOSH).kind == "TERM=xterm-256color in mosh"
    assert decide(replace(IN_TMUX, behind=KITTY), TMUX).kind == "kitty in tmux"


def test_half_blocks_are_used_only_where_they_are_asked_for() -> None:
    for found, environ, *_ in TABLE.values():
        assert decide(found, environ).protocol != "blocks"
        assert decide(found, environ, "blocks").protocol == "blocks"
        assert decide(found, environ, "block").protocol == "blocks"  # as it was called before


def test_what_runs_between_is_named() -> None:
    assert decide(IN_TMUX, TMUX).multiplexer == "tmux"
    assert decide(signs(), {"TERM": "screen"}).multiplexer == "screen"
    assert decide(signs(), MOSH).multiplexer == "mosh"
    assert decide(signs("VTE(7600)"), XTERM).multiplexer is None


def test_a_cell_is_measured_by_itself_or_by_the_window() -> None:
    said = Replies(window=(1605, 1000), attributes=("62",))
    assert decide(signs(), XTERM).cell == (9, 18)
    assert decide(Signs(said, size=SIZE), XTERM).cell == (8, 20)
    assert decide(Signs(said, size=(0, 0)), XTERM).cell == (10, 20)
    assert decide(Signs(replace(said, window=None), size=SIZE), XTERM).cell == (10, 20)


def test_the_kernel_is_asked_before_the_size_of_a_cell_is_guessed() -> None:
    mute = Signs(Replies(attributes=("63", "4")), size=(120, 60))
    xterm = replace(mute, pixels=(964, 1024))
    assert decide(xterm, XTERM).cell == (8, 17)
    assert decide(replace(xterm, replies=replies("", "4")), XTERM).cell == (9, 18)
    assert decide(xterm, XTERM).protocol == "sixel"
    for unknown in (mute, replace(xterm, size=(0, 0)), replace(xterm, pixels=(100, 1024))):
        assert decide(unknown, XTERM).protocol == "quadrants"
        assert decide(unknown, XTERM, "sixel").protocol == "sixel"
    iterm2 = Signs(Replies("iTerm2 3.5.0", attributes=("62",)), size=SIZE)
    assert decide(iterm2, XTERM).protocol == "iterm2"  # which scales pictures to their cells


def test_a_terminal_that_does_not_take_utf8_is_refused_by_name() -> None:
    latin1 = replace(signs(), replies=replace(replies(), utf8=False))
    said = why_not_utf8(latin1, XTERM | {"LANG": "de_DE.ISO-8859-1", "LC_ALL": ""})
    assert "(the locale is de_DE.ISO-8859-1)" in said
    assert "LC_ALL=C.UTF-8" in said
    assert "screen -U" in why_not_utf8(latin1, {"TERM": "screen", "STY": "1.pts"})
    assert "tmux -u attach" in why_not_utf8(replace(IN_TMUX, tmux=Tmux(utf8=False)), TMUX)
    for takes in (True, None):  # whatever the locale is
        known = replace(signs(), replies=replace(replies(), utf8=takes))
        assert why_not_utf8(known, XTERM | {"LC_ALL": "de_DE.ISO-8859-1"}) == ""
    assert why_not_utf8(replace(IN_TMUX, tmux=Tmux(utf8=True)), TMUX) == ""


def test_sizes_in_pixels_are_those_of_the_terminal_and_not_of_tmux() -> None:
    tmux = replace(IN_TMUX, replies=replace(IN_TMUX.replies, cell=(1, 1)))
    assert decide(tmux, TMUX).cell == (10, 20)
    behind = replace(KITTY, cell=None, window=(2000, 1000))  # of the whole window, not of the pane
    assert decide(replace(tmux, behind=behind), TMUX).cell == (10, 20)
    assert decide(replace(tmux, behind=KITTY), TMUX).cell == (9, 18)


def test_the_evidence_is_a_sentence_for_each_decision() -> None:
    assert decide(signs("foot(1.16.2)", "62;4"), XTERM).evidence == (
        "name: foot(1.16.2), from XTVERSION",
        "pictures: sixel; field 4 of DA1",
        "colours: true colour; foot(1.16.2) has it",
        "cell: 9x18 pixels; CSI 16 t",
    )
    assert (
        "pictures: sextants; sixel does not pass through tmux, only kitty does, and foot(1.16.2) "
        "draws sextants in any font"
        in decide(replace(IN_TMUX, behind=replies("foot(1.16.2)", "62;4")), TMUX).evidence
    )
    assert decide(MUTE, XTERM).evidence[0] == "silent: it did not answer within 2 s"


def test_the_user_s_own_colours_come_first() -> None:
    environ = XTERM | {"TEXTUAL_COLOR_SYSTEM": "standard", "COLORTERM": "truecolor"}
    assert decide(signs(), environ).colours == "16"
    tell_textual("truecolor", environ)
    assert environ["TEXTUAL_COLOR_SYSTEM"] == "standard"


def test_no_color_is_for_text_and_pictures_keep_theirs() -> None:
    environ = {"NO_COLOR": "1"}
    tell_textual("truecolor", environ)
    assert environ == {"NO_COLOR": "1", "TEXTUAL_COLOR_SYSTEM": "truecolor"}


def test_textual_is_told_the_colours_in_its_own_words() -> None:
    words: dict[Colours, str] = {"truecolor": "truecolor", "256": "256", "16": "standard"}
    for colours, system in words.items():
        environ: dict[str, str] = {}
        tell_textual(Terminal("quadrants", colours).colours, environ)
        assert environ == {"TEXTUAL_COLOR_SYSTEM": system}

"""Text from files and arguments, made safe to show in a terminal."""

from pathlib import PurePath


def plain(text: str | PurePath) -> str:
    """`text` with every character that is not printable written as its escape, such as \\x1b.

    What a file says, or is called, can then neither move the cursor nor change colours, nor reorder
    or hide text; line breaks become \\n, so the result is one line. Markup is not touched: print
    the result with markup off, or as a `rich.text.Text`.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in str(text)
    )


def plain_lines(text: str) -> str:
    """`plain` for a message of several lines: the line breaks stay."""
    return "\n".join(plain(line) for line in text.split("\n"))

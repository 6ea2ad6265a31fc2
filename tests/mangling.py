"""Broken versions of valid YAML files, for property tests: in their values and in their bytes."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

from hero_engine.errors import InputError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2**31, 2**63, 2**64, 10**400]),
    st.floats(),
    st.sampled_from(["", "keep", "embedded", "yes", "1e999", "0x10", "2020-13-45", "\x1b[31m"]),
    st.text(),
    st.binary(max_size=8),
    st.dates(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8) | SCALARS, inner, max_size=4),
    ),
    max_leaves=6,
)
FRAGMENTS = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.sampled_from(
        [
            b"\x00", b"\xff\xfe", b"\t", b"&a ", b"*a", b"!!python/object:os.system ", b"!!set ",
            b"<<: ", b"? ", b"- ", b": ", b"{", b"[" * 2000, b"'", b'"', b"\\", b"|", b"%YAML 9\n",
            b"---\n", b"...\n", b"9" * 5000, b"0x" + b"f" * 5000, b".nan", b"-.inf", b"=", b"~",
        ]
    ),
)  # fmt: skip


def refusal(call: Callable[[], object]) -> str | None:
    """The message of the InputError that `call` raises, or None when it returns."""
    try:
        call()
    except InputError as refused:
        return str(refused)
    return None


@st.composite
def mangled(draw: st.DrawFn, valid: dict[str, Any]) -> bytes:
    """A file that was `valid` before values, and then perhaps bytes, were changed."""
    value: Any = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        value = draw(_changed(value))
    text = yaml.dump(value, allow_unicode=draw(st.booleans()), sort_keys=False)
    data = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(data)))
        if draw(st.booleans()):
            data = data[:start]
        else:
            end = min(len(data), start + draw(st.integers(0, 5)))
            data = data[:start] + draw(FRAGMENTS) + data[end:]
    return data


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` with one place in it replaced, removed or added to."""
    places = list(_places(value))
    if not places:
        return draw(VALUES)
    container, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            container[key] = draw(VALUES)
        case "remove":
            del container[key]
        case "add" if isinstance(container, dict):
            container[draw(st.text(max_size=8))] = draw(VALUES)
        case "add":
            container.insert(key, draw(VALUES))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return
    for key, inner in items:
        yield value, key
        yield from _places(inner)

"""Reading the YAML files that people write, strictly, with errors that name file and line.

Only plain data is accepted: no tags, no anchors (a few nested aliases can stand for billions of
values), no repeated keys (YAML would silently keep the last).
"""

from pathlib import Path
from typing import Any

import yaml

from hero_engine.errors import InputError

MAX_BYTES = 1 << 20


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        for name in ("anchor", "tag"):
            if getattr(event, name, None):
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name}s are not allowed here", event.start_mark
                )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected a name as key, found {key!r}", key_node.start_mark
                )
            if key in mapping:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' is given twice", key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that the YAML file at `path` holds.

    Raises:
        InputError: the file is missing, unreadable, too large, not UTF-8, not YAML, or holds
            something other than a mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{path}: the file is too large, expected at most {MAX_BYTES:,} bytes")
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    value = parse(text, str(path))
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a mapping at the top, found {type(value).__name__}")
    return value


def parse(text: str, where: str) -> Any:
    """The value that `text` stands for.

    Raises:
        InputError: it is not YAML, or not plain data; the message begins with `where`.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506, a SafeLoader made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{where}: not valid YAML: {reason}") from None


def dump(value: Any) -> str:
    """`value` as YAML text that `read_mapping` accepts: keys in their order, no aliases."""
    dumper = type("_Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda self, data: True})
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100))

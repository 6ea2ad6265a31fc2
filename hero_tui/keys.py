"""The keys in force: those of the bindings, or those that the preferences put in their place."""

from collections.abc import Iterable
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


def declared(owner: type[DOMNode]) -> list[Binding]:
    """The bindings of ours that a screen or the app has: its own first, then inherited ones."""
    found: list[Binding] = []
    for each in owner.__mro__:
        found += Binding.make_bindings(vars(each).get("BINDINGS", ()))
    return [binding for binding in found if binding.id]


def keys_in_force(screen: Screen[Any]) -> dict[str, str]:
    """For each binding id that does something on this screen, its first key as the footer says."""
    keys: dict[str, str] = {}
    for active in screen.active_bindings.values():
        if active.binding.id:
            keys.setdefault(active.binding.id, screen.app.get_key_display(active.binding))
    return keys


def key_shown(node: DOMNode, binding_id: str) -> str:
    """The key that a text on the screen names for a binding, of this screen or one below it."""
    for screen in reversed(node.app.screen_stack):
        key = keys_in_force(screen).get(binding_id)
        if key is not None:
            return key
    return binding_id


def key_table(app: App[Any], bindings: Iterable[Binding]) -> list[tuple[str, str]]:
    """(keys, what they do), keys of the same meaning together, in the order of the bindings."""
    keys: dict[str, list[str]] = {}
    for binding in bindings:
        if binding.id and binding.description:
            keys.setdefault(binding.description, []).append(app.get_key_display(binding))
    return [(" ".join(dict.fromkeys(of)), description) for description, of in keys.items()]

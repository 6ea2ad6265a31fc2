"""The command palette: what the keys of this screen do, by their meaning, and the themes."""

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from hero_tui.theme import THEMES


class Commands(Provider):
    """What can be done on the screen that the palette was opened on."""

    async def discover(self) -> Hits:
        for meaning, key, run in self._commands():
            yield DiscoveryHit(meaning, run, help=key)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for meaning, key, run in self._commands():
            score = matcher.match(meaning)
            if score > 0:
                yield Hit(score, matcher.highlight(meaning), run, help=key)

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        """(what it does, its keys, a function that does it)."""
        found: dict[str, dict[str, list[str]]] = {}
        nodes = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.id and binding.description and active.enabled:
                keys = found.setdefault(binding.description, {}).setdefault(binding.action, [])
                keys.append(self.app.get_key_display(binding))
                nodes[binding.action] = active.node
        for meaning, actions in found.items():
            # One meaning of several actions says where, not what: the tiles' keys, the arrows.
            if len(actions) == 1 and "app.command_palette" not in actions:
                ((action, keys),) = actions.items()
                yield meaning, " ".join(keys), partial(self.app.run_action, action, nodes[action])
        for name in THEMES:
            yield f"theme: {name}", "", partial(setattr, self.app, "theme", name)

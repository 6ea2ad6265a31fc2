"""A person's own keys: which bindings the preferences file may name, and what it may map them to.

Textual puts the keys in force (`App.set_keymap`); here is found out, before the interface starts,
whether each binding can still be reached with them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_ALIASES, REPLACED_KEYS, Keys, key_to_character
from textual.screen import ModalScreen, Screen

from hero_engine.errors import InputError
from hero_tui.app import HeroApp
from hero_tui.keys import declared
from hero_tui.screens.compare import CompareScreen
from hero_tui.screens.confirm_finish import ConfirmFinishScreen
from hero_tui.screens.confirm_rollback import ConfirmRollbackScreen
from hero_tui.screens.finished import FinishedScreen
from hero_tui.screens.help import HelpScreen
from hero_tui.screens.history import HistoryScreen
from hero_tui.screens.judging import BlindZoomScreen, EndScreen, JudgingScreen
from hero_tui.screens.labeling import LabelingScreen
from hero_tui.screens.outside import OutsideScreen
from hero_tui.screens.pairs import PairsScreen
from hero_tui.screens.runs import RunList, RunsApp
from hero_tui.screens.second_look import SecondLookScreen
from hero_tui.screens.stopped import StoppedScreen
from hero_tui.screens.submit import SubmitScreen
from hero_tui.screens.task import TaskScreen
from hero_tui.screens.tryout import TryScreen
from hero_tui.screens.verdict import VerdictScreen
from hero_tui.screens.working import WorkingScreen
from hero_tui.screens.zoom import ZoomScreen
from hero_tui.widgets.grid import TILE_KEYS

Owner = type[DOMNode]

SCREENS: Mapping[str, type[Screen[Any]]] = {
    "labeling": LabelingScreen,
    "zoom": ZoomScreen,
    "second look": SecondLookScreen,
    "compare": CompareScreen,
    "summary": SubmitScreen,
    "earlier rounds": HistoryScreen,
    "try": TryScreen,
    "outside": OutsideScreen,
    "working": WorkingScreen,
    "finished": FinishedScreen,
    "stopped": StoppedScreen,
    "prompt and criteria": TaskScreen,
    "finish": ConfirmFinishScreen,
    "go back": ConfirmRollbackScreen,
    "judging": JudgingScreen,
    "judging, zoom": BlindZoomScreen,
    "judging pairs": PairsScreen,
    "end of judging": EndScreen,
    "verdict": VerdictScreen,
    "keys": HelpScreen,
}
# An app of its own: what works everywhere else does not work here.
RUNS: tuple[Owner, ...] = (RunList, RunsApp)
MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
NAMED_KEYS = {key.value for key in Keys} | set(REPLACED_KEYS)
# What a terminal sends for the alias is the key itself.
# The second one's key where the page has no tile of that key.
SHARED = {frozenset({f"tile.{TILE_KEYS[-1]}", "one-at-a-time"})}
ALIASES = {alias: key for key, aliases in KEY_ALIASES.items() for alias in aliases}


@dataclass(frozen=True)
class Command:
    """One binding: where it works, its name, its keys as the preferences write them."""

    where: str
    id: str
    keys: tuple[str, ...]
    meaning: str


def commands(keys: Mapping[str, str]) -> list[Command]:
    """Every binding with the keys that it has under `keys`, those that work everywhere first."""
    found: dict[tuple[str, str], Command] = {}
    owners: list[tuple[str, Owner]] = [("everywhere", HeroApp), *SCREENS.items()]
    owners += [("runs", owner) for owner in RUNS]
    for where, owner in owners:
        for binding in in_force(owner, keys):
            name = str(binding.id)
            # What a screen has in common with all is listed once.
            place = ("everywhere", name) if ("everywhere", name) in found else (where, name)
            before = found.get(place)
            of = () if before is None else before.keys
            if binding.key not in of:
                found[place] = Command(place[0], name, (*of, binding.key), binding.description)
    return list(found.values())


def in_force(owner: Owner, keys: Mapping[str, str]) -> list[Binding]:
    """The bindings of a screen, app or widget with the keys that they have under `keys`."""
    found: list[Binding] = []
    for binding in declared(owner):
        own = keys.get(str(binding.id))
        if own is None:
            found.append(binding)
        elif binding.id not in {each.id for each in found}:
            found += Binding.make_bindings([replace(binding, key=own)])
    return found


def check_keys(keys: Mapping[str, str], file: Path) -> None:
    """Finds out whether every binding can be reached with `keys` from the preferences `file`.

    Raises:
        InputError: names the file, the binding and what is wrong: there is no such binding or no
            such key, or a key would stand for two bindings of one screen.
    """
    known = list(dict.fromkeys(command.id for command in commands({})))
    for name, text in keys.items():
        if name not in known:
            raise InputError(
                f"{file}: keys.{name}: there is no such binding; there are: {', '.join(known)} "
                "(`hero-tui keys` says what each does)"
            )
        for key in text.split(","):
            _check_key(key.strip(), f"{file}: keys.{name}")
    for where, owner in SCREENS.items():
        _check_clashes(list(_reachable(owner, keys)), where, keys, file)
    runs = [binding for owner in RUNS for binding in in_force(owner, keys)]
    _check_clashes(runs, "runs", keys, file)


def _check_key(key: str, where: str) -> None:
    if not key:
        raise InputError(f"{where}: expected keys with a comma between them")
    (binding,) = Binding.make_bindings([Binding(key, "")])
    *modifiers, name = binding.key.split("+")
    if "shift" in modifiers and len(name) == 1:
        raise InputError(f"{where}: {key!r}: write the character that shift makes, such as A")
    character = len(name) == 1 and name.isprintable()
    by_name = name in NAMED_KEYS or (name.islower() and key_to_character(name) is not None)
    if not (character or by_name) or not MODIFIERS.issuperset(modifiers):
        raise InputError(
            f"{where}: {key!r} is no key; expected a character, or a name such as space, enter, "
            "comma, left, f5, ctrl+x"
        )


def _reachable(owner: type[Screen[Any]], keys: Mapping[str, str]) -> Iterator[Binding]:
    """What a key can mean while this screen is shown; a dialog leaves the app its urgent keys."""
    yield from in_force(owner, keys)
    modal = issubclass(owner, ModalScreen)
    yield from (binding for binding in in_force(HeroApp, keys) if binding.priority or not modal)


def _check_clashes(
    bindings: list[Binding], where: str, keys: Mapping[str, str], file: Path
) -> None:
    taken: dict[str, str] = {}
    for binding in bindings:
        name, key = str(binding.id), ALIASES.get(binding.key, binding.key)
        other = taken.setdefault(key, name)
        if other != name and frozenset({name, other}) not in SHARED:
            mine, theirs = (name, other) if name in keys else (other, name)
            raise InputError(
                f"{file}: keys.{mine}: {binding.key} is the key of {theirs} too ({where}); "
                "give one of them another key (`hero-tui keys` lists them all)"
            )

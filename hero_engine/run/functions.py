"""Functions and classes of the user's own, named `module:name` in an option or a task."""

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable
from typing import Any

from hero_engine.errors import InputError

USERS_ERRORS = (Exception, SystemExit)
"""What a user's own code may raise: a `sys.exit` in it ends neither an engine nor a command."""


def load_function(name: str, asked_by: str) -> Callable[..., Any]:
    """What `name`, a `module:name`, stands for; modules of the current folder are found, too.

    Args:
        asked_by: the option or the field that names it, for messages.

    Raises:
        InputError: there is no such function, or its module cannot be imported.
    """
    module_name, function_name = _parts(name, asked_by)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        function: Any = getattr(importlib.import_module(module_name), function_name, None)
    except USERS_ERRORS as error:
        raise InputError(
            f"{asked_by} {name}: cannot import {module_name}: {where(error)}"
        ) from None
    if not callable(function):
        raise InputError(f"{asked_by} {name}: {module_name} has no function {function_name}")
    loaded: Callable[..., Any] = function
    return loaded


def check_module(name: str, asked_by: str) -> None:
    """The same refusal where nothing but its module is looked for, which is not run; packages that
    it is in are.

    Raises:
        InputError: there is no such module.
    """
    module_name, _ = _parts(name, asked_by)
    before = list(sys.path)
    sys.path.insert(0, "")
    try:
        found = importlib.util.find_spec(module_name)
    except USERS_ERRORS as error:  # of what the module belongs to
        raise InputError(
            f"{asked_by} {name}: cannot import {module_name}: {where(error)}"
        ) from None
    finally:
        sys.path[:] = before  # what this process imports later is not the current folder's
    if found is None:
        raise InputError(
            f"{asked_by} {name}: there is no module {module_name}, here or among what is installed"
        )


def _parts(name: str, asked_by: str) -> tuple[str, str]:
    """The module's name and the function's."""
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise InputError(f"{asked_by} {name}: expected module:function, for example mine:judge")
    return module_name, function_name


def where(error: BaseException) -> str:
    """The error, with the line of the user's code that it came from."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    said = f"{type(error).__name__}: {error}"
    installed = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))
    ours = __file__.partition("hero_engine")[0]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((f"{ours}hero_engine", f"{ours}hero_tui", *installed, "<"))
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {said}" if frames else said

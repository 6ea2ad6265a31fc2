"""Each half stays on its side: no torch in the interface, no interface in the engine.

What our own modules import is a matter of the contracts in pyproject.toml (`make lint`). Here: what
a fresh process has really loaded, through other people's packages too; and that nothing unpickles.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = ("torch", "diffusers", "transformers", "peft", "accelerate")
HEAVY = (*TORCH, "matplotlib")
INTERFACE = ("textual", "term_image", "hero_tui")


def modules_of(package: str) -> list[str]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def loaded_by(code: str, watched: tuple[str, ...]) -> set[str]:
    """Which of the `watched` packages a fresh interpreter has loaded after `code`."""
    report = f"import sys; print(*sorted(set({watched!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"TERM": "dumb"},
    )
    return set(done.stdout.split("\n")[-2].split())


def test_the_run_room_loads_neither_torch_nor_the_interface() -> None:
    modules = [*modules_of("hero_engine/run"), "hero_engine.cartoons.oracle"]
    assert loaded_by("; ".join(f"import {name}" for name in modules), HEAVY + INTERFACE) == set()


def test_no_module_of_the_interface_loads_torch() -> None:
    modules = [name for name in modules_of("hero_tui") if not name.endswith("__main__")]
    assert loaded_by("; ".join(f"import {name}" for name in modules), HEAVY) == set()


def test_the_report_loads_no_torch() -> None:
    modules = ["hero_engine.__main__", *modules_of("hero_engine/results/report")]
    assert loaded_by("; ".join(f"import {name}" for name in modules), TORCH + INTERFACE) == set()


def test_the_help_loads_little() -> None:
    code = """
import sys
from hero_tui.cli import main
sys.argv = ["hero-tui", "--help"]
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""
    watched = (*HEAVY, "textual", "term_image", "pydantic", "numpy", "PIL")
    assert loaded_by(code, watched) == set()


def imported_names(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ["hero_engine", "hero_tui"])
def test_nothing_is_unpickled(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        assert not imported_names(path) & {"pickle", "shelve", "marshal", "dill", "joblib"}, path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in {"torch.load", "yaml.unsafe_load", "np.load", "eval", "exec"}, path

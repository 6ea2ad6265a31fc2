"""What the tests for a CUDA GPU share: the device, its peak of memory, the table at the end.

Without a GPU they are skipped. `HERO_GPU_TESTS_ON=cpu` runs the same code on the CPU, which shows
that the tests themselves work and says nothing about a GPU.
"""

import gc
import os
import platform
import time
from collections.abc import Generator, Iterator

import pytest

GIB = 2**30


class Peak:
    """The most bytes that were allocated on the GPU, whoever resets PyTorch's own count."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        self._highest = 0
        self._allocated = torch.cuda.max_memory_allocated
        self._reset = torch.cuda.reset_peak_memory_stats
        self._reset()
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self._note_and_reset)

    @property
    def bytes(self) -> int:
        return max(self._highest, self._allocated())

    def _note_and_reset(self) -> None:
        self._highest = self.bytes
        self._reset()


@pytest.fixture(scope="session")
def device() -> str:
    """cuda; or cpu, where that was asked for."""
    import torch

    if os.environ.get("HERO_GPU_TESTS_ON") == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU here (torch.cuda.is_available() is False)")
    return "cuda"


@pytest.fixture(autouse=True)
def peak(
    device: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Peak | None]:
    """Notes for the table what a test takes; None on the CPU, where it is not measured."""
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    found = Peak(monkeypatch) if device == "cuda" else None
    name = torch.cuda.get_device_name() if found else f"CPU, {platform.machine()}"
    started = time.monotonic()
    yield found
    request.node.user_properties += [
        ("device", name),
        ("torch", torch.__version__),
        ("seconds", f"{time.monotonic() - started:.1f}"),
        ("peak", f"{found.bytes / GIB:.2f}" if found else "not measured"),
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The table's rows are read off the last report of a test, which does not know how it went."""
    report = yield
    if report.when == "call" or report.failed:
        item.user_properties.append(("result", report.outcome))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table, in Markdown, unless all was skipped."""
    reports = terminalreporter.getreports("") + terminalreporter.getreports("error")
    ended = [r for r in reports if r.when == "teardown" and "/gpu/" in r.nodeid]
    rows = [(r.nodeid, dict(r.user_properties)) for r in ended]
    rows = [(test, found) for test, found in rows if {"device", "result"} <= found.keys()]
    if not rows:
        return
    first = rows[0][1]
    write = terminalreporter.write_line
    write(f"\n{first['device']}, torch {first['torch']}\n")
    write("| what | seconds | peak GiB | result |")
    write("|---|---|---|---|")
    for test, found in rows:
        what = test.partition("::test_")[2].replace("_", " ").replace("[", " [")
        write(f"| {what} | {found['seconds']} | {found['peak']} | {found['result']} |")

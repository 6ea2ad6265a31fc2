"""Work on the side: in order, whole when the block ends, and its errors are not lost."""

import threading

import pytest

from hero_engine.engine.background import in_background


def test_work_is_done_on_the_side_and_in_order() -> None:
    done: list[int] = []
    go_on = threading.Event()

    def first() -> None:
        assert go_on.wait(timeout=30)
        done.append(1)

    with in_background() as hand_over:
        hand_over(first)
        assert done == []
        go_on.set()
        hand_over(lambda: done.append(2))
    assert done == [1, 2]


def test_an_error_reaches_the_next_hand_over_or_the_end() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), in_background() as hand_over:  # noqa: PT012
        hand_over(fail)
        hand_over(lambda: pytest.fail("comes after an error"))
    with pytest.raises(OSError, match="full"), in_background() as hand_over:
        hand_over(fail)


def test_an_interruption_waits_for_what_is_being_written() -> None:
    done: list[str] = []
    interrupted = threading.Event()

    def write() -> None:
        assert interrupted.wait(timeout=30)
        done.append("written")

    with pytest.raises(KeyboardInterrupt), in_background() as hand_over:  # noqa: PT012
        hand_over(write)
        interrupted.set()
        raise KeyboardInterrupt
    assert done == ["written"]

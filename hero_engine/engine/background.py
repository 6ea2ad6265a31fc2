"""Work on the side, in one thread and in order: pictures are saved while the next are sampled."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

HandOver = Callable[[Callable[[], None]], None]


@contextmanager
def in_background() -> Iterator[HandOver]:
    """Gives a function that has work done in a thread, once the work before it is done.

    An error of the work is raised by the next call or at the block's end, which waits for the last
    work however the block ends: what was being written is whole.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="background") as pool:
        last: Future[None] | None = None

        def hand_over(work: Callable[[], None]) -> None:
            nonlocal last
            if last is not None:
                last.result()
            last = pool.submit(work)

        yield hand_over
        if last is not None:
            last.result()

"""Results that are taken one after the other, worked out several at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def worked_ahead(
    items: Sequence[Item], work: Callable[[Item], Result], drop: Callable[[Result], None], *, at_once: int
) -> Generator[Result]:
    """What ``work`` gives for each item, in the order of ``items``.

    One at a time, an item is begun when its result is asked for. Several at a time, later ones are begun before, but no
    more than ``at_once`` beside the one that was given out. Close the iterator where it is not used to its end: what
    runs is then waited for and dropped, as it is after an item that fails.

    Args:
        drop: gives back what a result holds. Those that were given out are the caller's.

    Raises:
        Exception: what ``work`` raised, when the turn of that item comes.
    """
    if at_once == 1:
        yield from map(work, items)
        return
    waiting = deque(items)
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="mart-chunk") as pool:
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    running.append(pool.submit(work, waiting.popleft()))
                result = running.popleft().result()
                if waiting:
                    running.append(pool.submit(work, waiting.popleft()))
                yield result
        finally:
            for future in running:
                if not future.cancel() and future.exception() is None:
                    drop(future.result())

"""Runs steps that depend on each other: each after those that it needs, independent ones at the same time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")


def run_side_by_side(
    steps: Mapping[str, Collection[str]], work: Callable[[str], Result], done: dict[str, Result], *, at_once: int
) -> None:
    """Runs ``work`` once per step and keeps what it returns in ``done``.

    Once a step fails, none is begun any more and those that run are waited for, so that nothing goes on behind the
    caller's back.

    Args:
        steps: the names of the steps, each with the names that it needs; needs that are no steps are met already.
        done: filled as steps end; after an error it holds what had been done.
        at_once: how many steps may run at the same time.

    Raises:
        Exception: what a step raised; of several, that of the step which stands first in ``steps``.
    """
    waiting = dict(steps)
    running: dict[Future[Result], str] = {}
    failed: dict[str, BaseException] = {}
    with ThreadPoolExecutor(at_once, thread_name_prefix="mart-step") as pool:
        while (waiting and not failed) or running:
            if not failed:
                for name in _ready(waiting, steps, done)[: at_once - len(running)]:
                    del waiting[name]
                    running[pool.submit(work, name)] = name
            if not running:
                raise ValueError(f"steps that wait for each other: {', '.join(waiting)}")
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                error = future.exception()
                if error is None:
                    done[name] = future.result()
                else:
                    failed[name] = error
    for name in steps:
        if name in failed:
            raise failed[name]


def _ready(waiting: Collection[str], steps: Mapping[str, Collection[str]], done: Collection[str]) -> list[str]:
    return [name for name in waiting if all(need in done or need not in steps for need in steps[name])]

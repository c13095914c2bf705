"""The order in which views can be built, and the cycles that forbid one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush


def topological_order(inputs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names in an order in which each follows its inputs, ties by name; and the cycles among those that have none.

    Inputs that are no keys of ``inputs`` are taken as given. Each cycle begins and ends with the same name, its least.
    """
    needed = {name: {before for before in given if before in inputs} for name, given in inputs.items()}
    dependents: dict[str, list[str]] = {}
    for name, before in needed.items():
        for other in before:
            dependents.setdefault(other, []).append(name)
    ready = [name for name, before in needed.items() if not before]
    heapify(ready)
    order: list[str] = []
    waiting = {name: len(before) for name, before in needed.items()}
    while ready:
        name = heappop(ready)
        order.append(name)
        for dependent in dependents.get(name, ()):
            waiting[dependent] -= 1
            if not waiting[dependent]:
                heappush(ready, dependent)
    left = set(needed) - set(order)
    return order, _cycles({name: sorted(needed[name] & left) for name in left})


def _cycles(inputs: Mapping[str, list[str]]) -> list[tuple[str, ...]]:
    """One cycle for each knot: all of these names lead into one."""
    cycles: set[tuple[str, ...]] = set()
    done: set[str] = set()
    for start in sorted(inputs):
        path: list[str] = []
        name = start
        while name not in done and name not in path:
            path.append(name)
            name = inputs[name][0]
        if name in path:
            ring = path[path.index(name) :]
            first = ring.index(min(ring))
            turned = ring[first:] + ring[:first]
            cycles.add((*turned, turned[0]))
        done.update(path)
    return sorted(cycles)

"""The order of a SELECT's columns, taken out of its text where it means nothing: a view's columns go by their names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_SET_OPERATORS = frozenset(["union", "except", "intersect", "minus"])
_OPEN, _CLOSE = frozenset("(["), frozenset(")]")
_GENERIC_TYPES = frozenset(["map", "struct", "array"])


def with_sorted_columns(tokens: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The tokens of a statement, the columns of its outermost SELECT in the order of their own texts.

    Where position has a meaning (a set operator beside it, ``group by 1``) or where the columns cannot be told apart
    with certainty, the tokens stay as they are. Tokens are those of `fingerprint`: keywords in small letters.
    """
    outer = _outermost(tokens)
    selects = [place for place in outer if tokens[place] == "select"]
    if len(selects) != 1 or any(tokens[place] in _SET_OPERATORS for place in outer):
        return list(tokens)
    first = selects[0] + 1
    if first < len(tokens) and tokens[first] in ("distinct", "all"):
        first += 1
    end = next((place for place in outer if place > first and tokens[place] == "from"), len(tokens))
    if _has_ordinals(tokens, kinds, [place for place in outer if place >= end]):
        return list(tokens)
    if any(a in _GENERIC_TYPES and b == "<" for a, b in pairwise(tokens[first:end])):
        return list(tokens)
    commas = [place for place in outer if first <= place < end and tokens[place] == ","]
    edges = [first - 1, *commas, end]
    columns = sorted(list(tokens[left + 1 : right]) for left, right in pairwise(edges))
    joined = [token for number, column in enumerate(columns) for token in ([","] if number else []) + column]
    return [*tokens[:first], *joined, *tokens[end:]]


def _outermost(tokens: Sequence[str]) -> list[int]:
    """The places that stand in no brackets."""
    depth, places = 0, []
    for place, token in enumerate(tokens):
        depth -= token in _CLOSE
        if depth == 0 and token not in _OPEN and token not in _CLOSE:
            places.append(place)
        depth += token in _OPEN
    return places


def _has_ordinals(tokens: Sequence[str], kinds: Sequence[str], places: Sequence[int]) -> bool:
    return any(kinds[place] == "number" and tokens[place - 1] in ("by", ",") for place in places)

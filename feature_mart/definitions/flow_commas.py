"""Unquoted values within { } that hold a comma, as in ``{price: decimal(8,3)}``: for YAML they end at the comma."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yaml.nodes import Node, ScalarNode

Pair = tuple[Node, Node]


def may_be_split(pairs: Sequence[Pair]) -> bool:
    """Whether a key without a value looks like the end of the value before it; hardly any map has one."""
    return any(not value.value and (")" in key.value or ">" in key.value) for key, value in pairs)


def rejoined(pairs: Sequence[Pair], tell: Callable[[Node, str], None]) -> list[Pair]:
    """The pairs of a map, with values that a comma has split made whole.

    Args:
        pairs: keys and values, as YAML takes them.
        tell: is called with the key of each such value, and the whole value.
    """
    result: list[Pair] = []
    at = 0
    while at < len(pairs):
        key, value = pairs[at]
        whole, end = _whole(pairs, at)
        if whole is not None:
            tell(key, whole)
            value = ScalarNode(value.tag, whole, value.start_mark, value.end_mark)
        result.append((key, value))
        at = end
    return result


def _whole(pairs: Sequence[Pair], at: int) -> tuple[str | None, int]:
    """The value at ``at`` with the keys behind it that belong to it, None if none does; and where the next pair is."""
    value = pairs[at][1]
    text = value.value if isinstance(value, ScalarNode) and not value.style else ""
    for end in range(at + 1, len(pairs)):
        key, nothing = pairs[end]
        if _is_whole(text) or nothing.value or not isinstance(key, ScalarNode):
            break
        text = f"{text},{key.value}"
        if _is_whole(text):
            return text, end + 1
    return None, at + 1


def _is_whole(text: str) -> bool:
    return text.count("(") <= text.count(")") and text.count("<") <= text.count(">")

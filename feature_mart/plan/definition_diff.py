"""How two recorded definitions differ, as lines that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any


def read_record(text: str | None) -> dict[str, Any]:
    """The definition that a commit recorded; empty where there is none, or it is another engine's."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def definition_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines of a unified diff of the logic, the windows, the derived features, how the view is built, and the words.

    What only one of the two records says (older ones say less) is left out.
    """
    facts = (before, after)
    names = [str(fact.get("path") or f"{fact.get('kind', 'nothing')} definition") for fact in facts]
    texts = [str(fact.get("text") or "").splitlines() for fact in facts]
    windows = [_lines(fact.get("windows")) for fact in facts]
    derived = [_lines(fact.get("derived")) for fact in facts]
    diff = [
        *unified_diff(texts[0], texts[1], names[0], names[1], lineterm=""),
        *unified_diff(windows[0], windows[1], "windows", "windows", lineterm="", n=0),
        *unified_diff(derived[0], derived[1], "derived", "derived", lineterm=""),
    ]
    if all(fact.get("shape") for fact in facts):
        shapes = [_lines(fact["shape"]) for fact in facts]
        diff += unified_diff(shapes[0], shapes[1], "pipeline", "pipeline", lineterm="", n=0)
    if all(fact.get("described") for fact in facts):
        words = [_words(fact["described"]) for fact in facts]
        diff += unified_diff(words[0], words[1], "metadata", "metadata", lineterm="", n=0)
    return tuple(diff)


def _lines(named: Mapping[str, Any] | None) -> list[str]:
    return [f"{name}: {text}" for name, text in sorted((named or {}).items())]


def _words(described: Mapping[str, Any]) -> list[str]:
    head = [f"description: {described.get('description')}", f"owner: {described.get('owner')}"]
    return [*head, *_lines(described.get("features"))]

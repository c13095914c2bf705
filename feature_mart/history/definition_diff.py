"""What changed in the definition between two commits, from what they recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any


def definition_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """The definition that a commit recorded (``kind``, ``path``, ``text``, ``derived``); empty where it did not."""
    try:
        found = json.loads(said.get("definition") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def definition_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Lines of a unified diff of the logic, of derived features and of the words, as far as both commits say them."""
    facts = (definition_of(before), definition_of(after))
    names = [str(fact.get("path") or f"{fact.get('kind', 'nothing')} definition") for fact in facts]
    texts = tuple(str(fact.get("text") or "").splitlines() for fact in facts)
    derived = tuple(_lines(fact.get("derived")) for fact in facts)
    diff = [
        *unified_diff(texts[0], texts[1], names[0], names[1], lineterm=""),
        *unified_diff(derived[0], derived[1], "derived", "derived", lineterm=""),
    ]
    if all("described" in fact for fact in facts):
        words = tuple(_words(fact["described"]) for fact in facts)
        diff += unified_diff(words[0], words[1], "metadata", "metadata", lineterm="", n=0)
    return diff


def _lines(named: Any) -> list[str]:
    return [f"{name}: {text}" for name, text in sorted((named or {}).items())]


def _words(described: Mapping[str, Any]) -> list[str]:
    head = [f"description: {described.get('description')}", f"owner: {described.get('owner')}"]
    return [*head, *_lines(described.get("features"))]

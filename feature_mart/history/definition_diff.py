"""What changed in the definition between two commits, from what they recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_mart.plan import definition_diff as records


def definition_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """The definition that a commit recorded (``kind``, ``path``, ``text``, ``derived``); empty where it did not."""
    return records.read_record(said.get("definition"))


def definition_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Lines of a unified diff of what two commits recorded, as far as both say it."""
    return list(records.definition_diff(definition_of(before), definition_of(after)))

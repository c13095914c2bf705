"""How a definition differs from the one that built what is there."""

from __future__ import annotations

import json
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_mart.definitions import FeatureView


def definition_record(view: FeatureView) -> str:
    """What a commit keeps of a definition, so that it can be read and compared without the repository."""
    facts = {
        "kind": view.definition.kind,
        "path": view.definition.path,
        "text": view.definition.text,
        "derived": dict(view.derived),
    }
    return json.dumps(facts, sort_keys=True)


def only_adds_features(before: str, view: FeatureView) -> bool:
    """Whether the definition gives all that the recorded one gave, in the same way, and some features more.

    Only SQL can be compared like this; a changed Python definition is taken to change values.
    """
    if view.definition.kind != "sql" or not before:
        return False
    try:
        recorded: dict[str, Any] = json.loads(before)
        if recorded.get("kind") != "sql":
            return False
        old, new = _select(recorded["text"]), _select(view.definition.text)
    except (ValueError, KeyError, SqlglotError):
        return False
    if old is None or new is None or not dict(view.derived).items() >= dict(recorded.get("derived", {})).items():
        return False
    return _columns(new) >= _columns(old) and _rest(old) == _rest(new)


def _select(text: str) -> exp.Select | None:
    tree = sqlglot.parse_one(text, dialect="spark")
    return tree if isinstance(tree, exp.Select) else None


def _columns(select: exp.Select) -> set[str]:
    return {column.sql(dialect="spark", comments=False) for column in select.expressions}


def _rest(select: exp.Select) -> str:
    rest = select.copy()
    rest.set("expressions", [])
    # DISTINCT and grouping by position depend on the columns, so an added one may change the others.
    depends = rest.args.get("distinct") is not None or (
        rest.args.get("group") is not None and "GROUP BY ALL" in rest.sql().upper()
    )
    return rest.sql(dialect="spark", comments=False) + (
        "" if not depends else select.sql(dialect="spark", comments=False)
    )

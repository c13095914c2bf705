"""Warns where a Python definition joins a feature view and says nothing about time: it may see the future."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from feature_mart.definitions.problems import Problem, Problems
from feature_mart.definitions.python_rules import called, root_name
from feature_mart.definitions.python_text import PythonTransform


def check_joins(transform: PythonTransform, timed: Mapping[str, str], problems: Problems) -> None:
    """Look at every ``.join(…)``; ``timed`` gives the event timestamp of each feature view that has one."""
    message = "joins the feature view {} without a condition on its event timestamp {}: it may leak"
    fix = "compare {} of {} with the event timestamp of the other side, in the join or a filter"
    calls = [node for node in ast.walk(transform.function) if isinstance(node, ast.Call)]
    origins = _origins(transform.function, timed)
    filtered = _mentioned(part for node in calls if called(node) in ("where", "filter") for part in node.args)
    for node in calls:
        if called(node) not in ("join", "crossJoin") or not node.args:
            continue
        view = origins.get(root_name(node.args[0]))
        if view is None:
            continue
        names = _mentioned([*node.args, *(keyword.value for keyword in node.keywords)]) | filtered
        if not any(timed[view].lower() in name.lower() for name in names):
            problems.add(
                Problem(
                    transform.file,
                    node.lineno,
                    "",
                    message.format(view, timed[view]),
                    view,
                    fix=fix.format(timed[view], view),
                    severity="warning",
                )
            )


def _origins(function: ast.FunctionDef, timed: Mapping[str, str]) -> dict[str, str]:
    """Which view a name stands for: the parameter itself, and names that are made from it by method calls."""
    origins = {name: name for name in timed}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            view = origins.get(root_name(node.value))
            if view is not None:
                origins.setdefault(node.targets[0].id, view)
    return origins


def _mentioned(nodes: Iterable[ast.expr]) -> set[str]:
    """Texts and attribute names within expressions: what columns are named by."""
    names: set[str] = set()
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                names.add(part.value)
            elif isinstance(part, ast.Attribute):
                names.add(part.attr)
    return names

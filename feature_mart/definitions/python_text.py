"""A Python definition as text, read by ``ast`` and never run here."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from feature_mart.definitions.parameters import PARAMETERS, TableReference
from feature_mart.definitions.problems import Problem, Problems
from feature_mart.definitions.python_rules import check_module

TRANSFORM = "transform"
_SIGNATURE = "def transform(<input>: DataFrame, …) -> DataFrame, and interval_start, interval_end: datetime"


@dataclass(frozen=True)
class PythonTransform:
    """A parsed definition: its one function ``transform``."""

    file: str
    tree: ast.Module
    function: ast.FunctionDef
    tables: tuple[TableReference, ...]
    parameters: frozenset[str]


def read_transform(file: str, text: str, problems: Problems) -> PythonTransform | None:
    """Parse a definition, telling ``problems`` why it is none; None if there is nothing to go on with."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        found = (error.text or "").strip()
        message = f"is no valid Python: {error.msg}"
        problems.add(
            Problem(
                file, error.lineno or 1, "", message, found, fix="mend the syntax; python -m py_compile shows it too"
            )
        )
        return None
    except (ValueError, RecursionError, MemoryError):
        problems.add(
            Problem(file, 1, "", "is no valid Python: it holds null bytes, or nests too deep", fix="rewrite the file")
        )
        return None
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == TRANSFORM), None)
    if function is None:
        message = f"has no function {TRANSFORM}"
        problems.add(Problem(file, 1, "", message, allowed=_SIGNATURE, fix=f"add def {TRANSFORM}(…)"))
        return None
    _check_signature(file, function, problems)
    names = [argument for argument in _arguments(function) if argument.arg not in PARAMETERS]
    used = frozenset(argument.arg for argument in _arguments(function)) & frozenset(PARAMETERS)
    references = tuple(TableReference(argument.arg, argument.lineno) for argument in names)
    check_module(file, tree, problems)
    return PythonTransform(file, tree, function, references, used)


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _check_signature(file: str, function: ast.FunctionDef, problems: Problems) -> None:
    given = function.args
    for argument in (given.vararg, given.kwarg):
        if argument is not None:
            message = f"found *{argument.arg} in {TRANSFORM}: its parameters are its inputs, so each has to be named"
            problems.add(
                Problem(file, argument.lineno, "", message, f"*{argument.arg}", _SIGNATURE, fix="name the inputs")
            )
    if given.posonlyargs:
        message = f"found parameters by position alone in {TRANSFORM}: inputs are given by name"
        problems.add(Problem(file, function.lineno, "", message, "/", _SIGNATURE, fix="remove the /"))
    if given.defaults or any(default is not None for default in given.kw_defaults):
        message = f"found a parameter with a default in {TRANSFORM}: all inputs are given"
        problems.add(Problem(file, function.lineno, "", message, "a default", _SIGNATURE, fix="remove the default"))

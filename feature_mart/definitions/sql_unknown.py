"""Tells of columns that a SQL definition names and that its inputs, as far as theirs are known, do not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from feature_mart.definitions.lineage.sql_query import unknown_columns
from feature_mart.definitions.problems import Problem, Problems, listed, nearest
from feature_mart.definitions.sql_text import SqlQuery, line_of


def check_columns(query: SqlQuery, inputs: Mapping[str, Sequence[str] | None], problems: Problems) -> None:
    """Look at every name of the query; ``inputs`` gives the columns of each input, None where only the data knows."""
    known = sorted({column for columns in inputs.values() for column in columns or ()})
    told: set[tuple[str, int]] = set()
    for column in unknown_columns(query.tree, inputs.get):
        name, line = column.name, line_of(column)
        if (name, line) in told:  # a CTE is looked at wherever it is used
            continue
        told.add((name, line))
        problems.add(_problem(query.file, line, column, inputs, known))


def _problem(
    file: str, line: int, column: exp.Column, inputs: Mapping[str, Sequence[str] | None], known: Sequence[str]
) -> Problem:
    text = column.sql("spark")
    allowed = f"columns of {', '.join(sorted(inputs))}: {listed(known)}"
    if column.name.lower() in {name.lower() for name in known}:
        message = f"found {text}, which an input has, but what is read here does not give"
        return Problem(file, line, "", message, column.name, allowed, fix="select it in the CTE or subquery too")
    meant = nearest(column.name, known)
    message = f"found {text}, which no input has, and no CTE or alias gives"
    fix = f"write {meant}" if meant else "name a column of an input, or add it to the source's schema"
    return Problem(file, line, "", message, column.name, allowed, meant, fix)

"""A SQL definition, and what follows from its text. The SQL parser is loaded only for what no run before has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from feature_mart.definitions.parameters import TableReference
from feature_mart.definitions.problems import Problem, Problems
from feature_mart.definitions.sql_memo import Answer, SqlMemo

if TYPE_CHECKING:
    from feature_mart.definitions.sql_text import SqlQuery

Lookup = Callable[[str], Sequence[str] | None]


class SqlDefinition:
    """One query: the tables that it reads, in the order of the text, and the parameters that it takes."""

    def __init__(self, file: str, text: str, found: Answer, memo: SqlMemo) -> None:
        self.file = file
        self.text = text
        self.tables = tuple(TableReference(name, line) for name, line in found["tables"])
        self.parameters = frozenset(found["parameters"])
        self._memo = memo

    @cached_property
    def query(self) -> SqlQuery:
        """The text, parsed."""
        from feature_mart.definitions.sql_text import read_query

        query = read_query(self.file, self.text, Problems())
        assert query is not None  # nobody makes a definition of a text that is none
        return query

    def columns(self, lookup: Lookup) -> list[str | None] | None:
        """The columns that it gives, or None where only the data can tell; ``lookup`` gives those of an input."""
        inputs = {name: lookup(name) for name in sorted({table.name for table in self.tables})}
        question = ("columns", self.text, inputs)
        answer = self._memo.recall(question)
        if answer is None:
            from feature_mart.definitions.sql_columns import output_columns

            answer = self._memo.keep(question, {"columns": output_columns(self.query.tree, inputs.get)})
        columns: list[str | None] | None = answer["columns"]
        return columns

    def check_columns(self, lookup: Lookup, problems: Problems) -> None:
        """Tell of columns that it names and no input has; ``lookup`` gives those of an input, None where not known."""
        inputs = {name: lookup(name) for name in sorted({table.name for table in self.tables})}
        question = ("unknown columns", self.text, inputs)
        if self._memo.recall(question) is None:
            from feature_mart.definitions.sql_unknown import check_columns

            found = Problems()
            check_columns(self.query, inputs, found)
            for problem in found.errors():
                problems.add(problem)
            if not found.errors():  # what has to be mended is looked at again each time
                self._memo.keep(question, {})

    def check_leaks(self, timed: Mapping[str, str], problems: Problems) -> None:
        """Tell of feature views that it joins without looking at time; ``timed``: view to its event timestamp."""
        question = ("leaks", self.file, self.text, sorted(timed.items()))
        answer = self._memo.recall(question)
        if answer is None:
            from feature_mart.definitions.sql_leaks import check_leaks

            found = Problems()
            check_leaks(self.query, timed, found)
            answer = self._memo.keep(question, {"warnings": _as_dicts(found)})
        _tell(answer, problems)


def read_sql(file: str, text: str, problems: Problems, memo: SqlMemo) -> SqlDefinition | None:
    """The definition in a text, telling ``problems`` what is wrong with it; None if it is no query."""
    question = ("definition", file, text)
    answer = memo.recall(question)
    if answer is not None:
        _tell(answer, problems)
        return SqlDefinition(file, text, answer, memo)
    from feature_mart.definitions.sql_rules import check_query
    from feature_mart.definitions.sql_text import read_query

    found = Problems()
    query = read_query(file, text, found)
    if query is not None:
        check_query(query, found)
    for problem in (*found.errors(), *found.warnings()):
        problems.add(problem)
    if query is None:
        return None
    tables = [[table.name, table.line] for table in query.tables]
    answer = {"tables": tables, "parameters": sorted(query.parameters), "warnings": _as_dicts(found)}
    if not found.errors():  # what has to be mended is looked at again each time
        memo.keep(question, answer)
    definition = SqlDefinition(file, text, answer, memo)
    definition.query = query
    return definition


def columns_used(expression: str, memo: SqlMemo) -> tuple[str, ...]:
    """The columns that a SQL expression on one row names.

    Raises:
        Invalid: it does not parse, or is more than that.
    """
    question = ("expression", expression)
    answer = memo.recall(question)
    if answer is None:
        from feature_mart.definitions.sql_rules import read_expression

        answer = memo.keep(question, {"columns": read_expression(expression)[1]})
    return tuple(answer["columns"])


def _as_dicts(found: Problems) -> list[dict[str, object]]:
    return [problem.to_dict() for problem in found.warnings()]


def _tell(answer: Answer, problems: Problems) -> None:
    for warning in answer["warnings"]:
        problems.add(Problem(**warning))

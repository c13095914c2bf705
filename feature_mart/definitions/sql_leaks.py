"""Warns where a SQL definition joins a feature view by its keys and says nothing about time: it may see the future."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from feature_mart.definitions.problems import Problem, Problems
from feature_mart.definitions.sql_columns import relations
from feature_mart.definitions.sql_text import SqlQuery, enclosing_cte, line_of


def check_leaks(query: SqlQuery, timed: Mapping[str, str], problems: Problems) -> None:
    """Look at every join of the query; ``timed`` gives the event timestamp of each feature view that has one."""
    for select in query.tree.find_all(exp.Select):
        if not select.args.get("joins"):
            continue
        conditioned = _names_in(_conditions(select))
        for relation in _joined(select):
            for view, names, line in _views_behind(relation, timed, frozenset()):
                if not conditioned & names:
                    problems.add(_warning(query.file, line, view, timed[view]))


def _warning(file: str, line: int, view: str, timestamp: str) -> Problem:
    return Problem(
        file,
        line,
        "",
        f"joins the feature view {view} without a condition on its event timestamp {timestamp}: it may leak",
        view,
        fix=f"compare {timestamp} of {view} with the event timestamp of the other side, in ON or WHERE",
        severity="warning",
    )


def _joined(select: exp.Select) -> list[exp.Expr]:
    """The relations that are joined to others: all but the first, which rows come from; of right and full joins all."""
    joins = select.args.get("joins") or ()
    if any(str(join.args.get("side") or "").upper() in ("RIGHT", "FULL") for join in joins):
        return relations(select)
    first, *others = relations(select)
    return others if others else [first]


def _conditions(select: exp.Select) -> Iterable[exp.Expr]:
    for join in select.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield join.args["on"]
        yield from join.args.get("using") or ()
    for clause in ("where", "having", "qualify"):
        if select.args.get(clause) is not None:
            yield select.args[clause]


def _names_in(conditions: Iterable[exp.Expr]) -> set[str]:
    names: set[str] = set()
    for condition in conditions:
        if isinstance(condition, exp.Identifier):
            names.add(condition.name.lower())
        names.update(column.name.lower() for column in condition.find_all(exp.Column))
    return names


def _views_behind(
    relation: exp.Expr, timed: Mapping[str, str], seen: frozenset[int]
) -> Iterable[tuple[str, set[str], int]]:
    """The timed views that a relation shows rows of, the names that their timestamps have there, and the line.

    Views that the relation's own query already holds against a time are left out.
    """
    if isinstance(relation, exp.Table):
        cte = enclosing_cte(relation)
        if cte is not None:
            if id(cte) not in seen:
                yield from _views_within(cte.this, timed, seen | {id(cte)})
            return
        name = relation.name.lower()
        if name in timed:
            yield name, {timed[name].lower()}, line_of(relation)
    elif isinstance(relation, exp.Subquery):
        yield from _views_within(relation.this, timed, seen)


def _views_within(
    query: exp.Expr, timed: Mapping[str, str], seen: frozenset[int]
) -> Iterable[tuple[str, set[str], int]]:
    if isinstance(query, exp.SetOperation):
        yield from _views_within(query.this, timed, seen)
        yield from _views_within(query.expression, timed, seen)
    if isinstance(query, exp.Select):
        yield from _views_of_select(query, timed, seen)


def _views_of_select(
    query: exp.Select, timed: Mapping[str, str], seen: frozenset[int]
) -> Iterable[tuple[str, set[str], int]]:
    conditioned = _names_in(_conditions(query))
    for relation in relations(query):
        for view, names, line in _views_behind(relation, timed, seen):
            if not conditioned & names:
                yield view, _shown_as(query, names), line


def _shown_as(select: exp.Select, names: set[str]) -> set[str]:
    """What the columns ``names`` are called in the result: their own name, or the aliases of what is made from them."""
    shown = set(names) if any(isinstance(part, exp.Star) or part.is_star for part in select.expressions) else set()
    for projection in select.expressions:
        if {column.name.lower() for column in projection.find_all(exp.Column)} & names:
            shown.add(projection.alias_or_name.lower())
    return shown

"""Which columns a query gives, as far as that can be told without the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlglot import exp

#: Names in order; a name is None where the query gives a column none. None as a whole: only the data can tell.
Columns = list[str | None] | None
Lookup = Callable[[str], Sequence[str] | None]

_GENERATORS = (exp.Explode, exp.Posexplode, exp.Inline, exp.Unnest)
_GENERATOR_NAMES = frozenset(
    ["inline", "inline_outer", "stack", "json_tuple", "explode", "explode_outer", "posexplode", "posexplode_outer"]
)


def output_columns(query: exp.Query, lookup: Lookup) -> Columns:
    """The columns of ``query``; ``lookup`` gives those of a source or view, or None where they are not known."""
    return _Reader(lookup).query(query, {})


class _Reader:
    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup

    def query(self, node: exp.Expr, known: Mapping[str, Columns]) -> Columns:
        scope = dict(known)
        clause = node.args.get("with_")
        for cte in clause.expressions if clause is not None else ():
            scope[cte.alias.lower()] = _renamed(self.query(cte.this, scope), cte.args.get("alias"))
        if isinstance(node, exp.SetOperation):
            return self.query(node.this, scope)
        if isinstance(node, exp.Subquery):
            return None if node.args.get("pivots") else _renamed(self.query(node.this, scope), node.args.get("alias"))
        return self.select(node, scope) if isinstance(node, exp.Select) else None

    def select(self, node: exp.Select, scope: Mapping[str, Columns]) -> Columns:
        columns: list[str | None] = []
        for projection in node.expressions:
            given = self.projection(projection, node, scope)
            if given is None:
                return None
            columns.extend(given)
        return columns

    def projection(self, node: exp.Expr, select: exp.Select, scope: Mapping[str, Columns]) -> Columns:
        if isinstance(node, exp.Alias):
            return [node.alias]
        if isinstance(node, exp.Column):
            return self.star(node.this, node.table, select, scope) if node.is_star else [node.name]
        if isinstance(node, exp.Star):
            return self.star(node, "", select, scope)
        if isinstance(node, exp.Aliases):
            return [alias.name for alias in node.aliases]
        if isinstance(node, exp.Paren):
            return self.projection(node.this, select, scope)
        if isinstance(node, exp.Dot):
            return [node.name] if isinstance(node.expression, exp.Identifier) else None
        if isinstance(node, _GENERATORS) or (isinstance(node, exp.Anonymous) and node.name.lower() in _GENERATOR_NAMES):
            return None
        return [None]

    def star(self, star: exp.Expr, qualifier: str, select: exp.Select, scope: Mapping[str, Columns]) -> Columns:
        if star.args.get("rename") or star.args.get("replace"):
            return None
        columns = self.one(qualifier, select, scope) if qualifier else self.all(select, scope)
        if columns is None:
            return None
        left_out = {column.name.lower() for column in star.args.get("except_") or ()}
        return [column for column in columns if column is None or column.lower() not in left_out]

    def one(self, qualifier: str, select: exp.Select, scope: Mapping[str, Columns]) -> Columns:
        for relation in relations(select):
            if relation.alias_or_name.lower() == qualifier.lower():
                return self.relation(relation, scope)
        return None

    def all(self, select: exp.Select, scope: Mapping[str, Columns]) -> Columns:
        clause = select.args.get("from_")
        if clause is None:
            return None
        columns = self.relation(clause.this, scope)
        for join in select.args.get("joins") or ():
            if str(join.args.get("kind") or "").upper() in ("SEMI", "ANTI"):
                continue
            columns = _joined(columns, self.relation(join.this, scope), join)
        for lateral in select.args.get("laterals") or ():
            columns = _joined(columns, _lateral(lateral), None)
        return columns

    def relation(self, node: exp.Expr, scope: Mapping[str, Columns]) -> Columns:
        if node.args.get("pivots") or node.args.get("joins"):
            return None
        if isinstance(node, exp.Subquery):
            return self.query(node, scope)
        if isinstance(node, exp.Lateral):
            return _lateral(node)
        if isinstance(node, exp.Values):
            return [column.name for column in _alias_columns(node.args.get("alias"))] or None
        if not isinstance(node, exp.Table) or isinstance(node.this, exp.Func):
            return None
        name = node.name.lower()
        if name in scope:
            return _renamed(scope[name], node.args.get("alias"))
        found = self.lookup(name)
        return None if found is None else _renamed(list(found), node.args.get("alias"))


def relations(select: exp.Select) -> list[exp.Expr]:
    """What a SELECT reads from, in the order of writing."""
    clause = select.args.get("from_")
    joined = [join.this for join in select.args.get("joins") or ()]
    return [*([clause.this] if clause is not None else []), *joined, *(select.args.get("laterals") or ())]


def _alias_columns(alias: exp.Expr | None) -> Iterable[exp.Expr]:
    return (alias.args.get("columns") or ()) if alias is not None else ()


def _renamed(columns: Columns, alias: exp.Expr | None) -> Columns:
    names = [column.name for column in _alias_columns(alias)]
    return list(names) if names else columns


def _lateral(node: exp.Expr) -> Columns:
    names = [column.name for column in _alias_columns(node.args.get("alias"))]
    return list(names) or None


def _joined(left: Columns, right: Columns, join: exp.Expr | None) -> Columns:
    if left is None or right is None:
        return None
    using = [column.name.lower() for column in (join.args.get("using") or ())] if join is not None else []
    if join is not None and str(join.args.get("method") or "").upper() == "NATURAL":
        theirs = {column.lower() for column in right if column is not None}
        using = [column.lower() for column in left if column is not None and column.lower() in theirs]
    if not using:
        return [*left, *right]
    shared = [column for name in using for column in left if column is not None and column.lower() == name]
    rest = [column for side in (left, right) for column in side if column is None or column.lower() not in using]
    return [*shared, *rest]

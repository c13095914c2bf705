"""SQL queries: the lineage of the columns and rows that a SELECT gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from feature_mart.definitions.lineage.model import NOTHING, Lineage, merged, unresolved, used_as
from feature_mart.definitions.lineage.relation import Column, Further, Relation, Scope, table
from feature_mart.definitions.lineage.sql_expression import lineage_of

Lookup = Callable[[str], Sequence[str] | None]

_GENERATORS = (exp.Explode, exp.Posexplode, exp.Inline, exp.Unnest, exp.Stack)
_GENERATOR_NAMES = frozenset(
    ["explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer", "stack", "json_tuple"]
)
_PIVOTED = "PIVOT and UNPIVOT make columns that lineage does not follow"
#: A recursive CTE is read until nothing is added; its columns can refer to each other in a chain this long at most.
_MOST_ROUNDS = 50


def query_lineage(tree: exp.Query, lookup: Lookup) -> Relation:
    """What a query gives; ``lookup`` names the columns of a source or view, or None where they are not known."""
    return _Reader(lookup).whole(tree)


def unknown_columns(tree: exp.Query, lookup: Lookup) -> list[exp.Column]:
    """The names in a query that stand for no column, as far as the columns of its inputs are known; in its order."""
    reader = _Reader(lookup)
    reader.whole(tree)
    return reader.unknown


class _Reader:
    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.unknown: list[exp.Column] = []

    def whole(self, tree: exp.Query) -> Relation:
        return self.query(tree, Scope({}, self.query, unknown=self.unknown))

    def query(self, node: exp.Expr, outer: Scope) -> Relation:
        """A query where it stands within ``outer``, whose CTEs and columns it may use."""
        ctes = self._ctes(node, outer)
        around = outer if ctes is outer.ctes else Scope(ctes, self.query, outer=outer, unknown=self.unknown)
        if isinstance(node, exp.SetOperation):
            given = self._set_operation(node, around)
        elif isinstance(node, exp.Subquery):
            given = self._subquery(node, around)
        elif isinstance(node, exp.Select):
            return self._select(node, around)
        elif isinstance(node, exp.Values):
            given = self._values(node, around)
        else:
            reason = f"{node.sql('spark')[:60]}: no SELECT that lineage follows"
            given = Relation(rows=unresolved(reason), further=lambda _: unresolved(reason))
        return _cut(node, given, around)

    def _ctes(self, node: exp.Expr, outer: Scope) -> Mapping[str, Relation]:
        clause = node.args.get("with_")
        if clause is None:
            return outer.ctes
        scope = Scope(dict(outer.ctes), self.query, outer=outer.outer, unknown=self.unknown)
        found: dict[str, Relation] = dict(outer.ctes)
        scope.ctes = found
        for cte in clause.expressions:
            name, names = cte.alias.lower(), _names(cte.args.get("alias"))
            if clause.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
                found[name] = self._recursive(cte.this, name, names, scope)
            else:
                found[name] = self.query(cte.this, scope).renamed(names)
        return found

    def _recursive(self, node: exp.SetOperation, name: str, names: Sequence[str], scope: Scope) -> Relation:
        known = self.query(node.this, scope).renamed(names)
        for _ in range(_MOST_ROUNDS):
            within = Scope({**scope.ctes, name: known}, self.query, outer=scope.outer, unknown=self.unknown)
            grown = self.query(node, within).renamed(names)
            if (grown.columns, grown.rows) == (known.columns, known.rows):
                break
            known = grown
        return known

    def _subquery(self, node: exp.Subquery, around: Scope) -> Relation:
        if node.args.get("pivots"):
            return _pivoted(self.query(node.this, around))
        if isinstance(node.this, exp.Table):  # joined tables in parentheses
            scope = around.inner()
            rows = self._add(scope, node.this)
            columns, further = scope.star()
            return Relation(tuple(columns), merged([*scope.rows, *rows]), frozenset(scope.inputs), further)
        return self.query(node.this, around)

    def _set_operation(self, node: exp.SetOperation, around: Scope) -> Relation:
        left, right = self.query(node.this, around), self.query(node.args["expression"], around)
        inputs = left.inputs | right.inputs
        everything = [lineage for side in (left, right) for _, lineage in side.columns]
        rows = [left.rows, right.rows]
        if not isinstance(node, exp.Union):
            rows.append(used_as("filter", merged(everything)))
            return Relation(left.columns, merged(rows), inputs, left.further)
        if node.args.get("distinct"):
            rows.append(used_as("group_by", merged(everything)))
        columns = _by_name(left, right) if node.args.get("by_name") else _by_position(left, right)
        further = left.further or right.further
        if further is not None and columns:
            reason = "UNION of columns of which not all are known"
            columns = tuple((name, merged([lineage, unresolved(reason)])) for name, lineage in columns)
        return Relation(columns, merged(rows), inputs, further)

    def _values(self, node: exp.Values, around: Scope) -> Relation:
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        names = _names(node.args.get("alias")) or [f"col{at + 1}" for at in range(len(rows[0]) if rows else 0)]
        cells = [merged(lineage_of(row[at], around) for row in rows if at < len(row)) for at in range(len(names))]
        return Relation(tuple(zip(names, cells, strict=True)))

    def _select(self, node: exp.Select, around: Scope) -> Relation:
        scope = around.inner()
        rows: list[Lineage] = []
        clause = node.args.get("from_")
        if clause is not None:
            rows += self._add(scope, clause.this)
        for join in node.args.get("joins") or ():
            rows += self._join(scope, join)
        for lateral in node.args.get("laterals") or ():
            rows += self._add(scope, lateral)
        where = used_as("filter", _clause(node, "where", scope))
        scope.windows = {window.this.name.lower(): window for window in node.args.get("windows") or ()}
        columns, further, exploded = self._projections(node, scope)
        outputs = merged(lineage for _, lineage in columns)
        rows += [
            where,
            _grouping(node, columns, scope),
            used_as("filter", _clause(node, "having", scope)),
            used_as("filter", _clause(node, "qualify", scope)),
            used_as("explode", exploded),
        ]
        if node.args.get("distinct") is not None:
            rows.append(used_as("group_by", outputs))
        given = Relation(tuple(columns), merged([*scope.rows, *rows]), frozenset(scope.inputs), further)
        return _cut(node, given, scope)

    def _join(self, scope: Scope, join: exp.Expr) -> list[Lineage]:
        side, kind = str(join.args.get("side") or "").lower(), str(join.args.get("kind") or "").upper()
        condition, using = join.args.get("on"), [column.name for column in join.args.get("using") or ()]
        added = scope.beside()
        rows = self._add(added, join.this)
        if str(join.args.get("method") or "").upper() == "NATURAL":
            theirs = {name.lower() for name, _ in added.visible}
            using = [name for name, _ in scope.visible if name.lower() in theirs]
        both = [found for name in using for found in (scope.own(name), added.own(name)) if found is not None]
        if kind in ("SEMI", "ANTI"):  # decide rows and give no column
            on = lineage_of(condition, added) if condition is not None else NOTHING
            scope.inputs |= added.inputs
            return [*rows, *added.rows, used_as("join", merged([on, *both]))]
        scope.join(added, using, side if side in ("right", "full") else "left")
        on = lineage_of(condition, scope) if condition is not None else NOTHING
        return [*rows, used_as("join", merged([on, *both]))]

    def _add(self, scope: Scope, node: exp.Expr) -> list[Lineage]:
        """Add what FROM or a join names; gives what decides its rows besides its own."""
        rows: list[Lineage] = []
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table) and not node.alias:
            rows += self._add(scope, node.this)  # parentheses without an alias hide no name
        else:
            scope.add(node.alias_or_name, self._relation(node, scope))
        for join in node.args.get("joins") or ():
            rows += self._join(scope, join)
        for lateral in node.args.get("laterals") or ():
            rows += self._add(scope, lateral)
        return rows

    def _relation(self, node: exp.Expr, scope: Scope) -> Relation:
        names = _names(node.args.get("alias"))
        if isinstance(node, exp.Lateral):
            return self._lateral(node, scope).renamed(names)
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Func):
            name = node.name.lower()
            known = scope.ctes.get(name)
            found = known if known is not None else table(name, self.lookup(name))
            return (_pivoted(found) if node.args.get("pivots") else found).renamed(names)
        if isinstance(node, exp.Table):
            return _generated(node.this, names, scope)
        # A subquery of FROM sees the CTEs around it, and none of the tables beside it.
        return self.query(node, Scope(scope.ctes, self.query, outer=scope.around(), unknown=self.unknown)).renamed(
            names
        )

    def _lateral(self, node: exp.Lateral, scope: Scope) -> Relation:
        if isinstance(node.this, (exp.Subquery, exp.Query)):
            return self.query(node.this, scope)
        return _generated(node.this, _names(node.args.get("alias")), scope)

    def _projections(self, node: exp.Select, scope: Scope) -> tuple[list[Column], Further | None, Lineage]:
        columns: list[Column] = []
        further: Further | None = None
        exploded: list[Lineage] = []
        for projection in node.expressions:
            generator = _generator_of(projection)
            if generator is not None:
                names = [name.name for name in projection.expressions] if isinstance(projection, exp.Aliases) else []
                made = _generated(generator, names or ([projection.alias] if projection.alias else []), scope)
                columns += made.columns
                further = made.further or further
                exploded.append(made.rows)
                continue
            if isinstance(projection, exp.Star) or (isinstance(projection, exp.Column) and projection.is_star):
                given, more = _expanded(projection, scope)
                columns += given
                further = more or further
                continue
            lineage = lineage_of(projection, scope)
            name = projection.alias_or_name
            columns.append((name, lineage))
            if isinstance(projection, exp.Alias):
                scope.aliases.setdefault(name.lower(), lineage)
        return columns, further, merged(exploded)


def _clause(node: exp.Expr, name: str, scope: Scope) -> Lineage:
    clause = node.args.get(name)
    return NOTHING if clause is None else lineage_of(clause.this, scope)


def _grouping(node: exp.Select, columns: Sequence[Column], scope: Scope) -> Lineage:
    group = node.args.get("group")
    if group is None:
        return NOTHING
    parts = []
    for entry in [
        *group.expressions,
        *(part for key in ("cube", "rollup", "grouping_sets") for part in group.args.get(key) or ()),
    ]:
        if isinstance(entry, exp.Literal) and entry.this.isdigit() and 0 < int(entry.this) <= len(columns):
            parts.append(columns[int(entry.this) - 1][1])
        else:
            parts.append(lineage_of(entry, scope))
    if group.args.get("all"):
        parts += [lineage_of(part, scope) for part in node.expressions if part.find(exp.AggFunc) is None]
    return used_as("group_by", merged(parts))


def _cut(node: exp.Expr, given: Relation, scope: Scope) -> Relation:
    """The order decides rows only where LIMIT cuts them."""
    order = node.args.get("order")
    if order is None or not (node.args.get("limit") or node.args.get("offset")):
        return given
    within = scope.inner()
    within.visible = list(given.columns)
    if given.further is not None:
        within.further = [given.further]
    parts = []
    for entry in order.expressions:
        by = entry.this if isinstance(entry, exp.Ordered) else entry
        if isinstance(by, exp.Literal) and by.this.isdigit() and 0 < int(by.this) <= len(given.columns):
            parts.append(given.columns[int(by.this) - 1][1])
        else:
            parts.append(lineage_of(by, within))
    rows = merged([given.rows, used_as("sort", merged(parts))])
    return Relation(given.columns, rows, given.inputs, given.further)


def _expanded(star: exp.Expr, scope: Scope) -> tuple[list[Column], Further | None]:
    inner = star.this if isinstance(star, exp.Column) else star
    columns, further = scope.star(star.table if isinstance(star, exp.Column) else "")
    left_out = {column.name.lower() for column in inner.args.get("except_") or ()}
    return [column for column in columns if column[0].lower() not in left_out], further


def _generator_of(projection: exp.Expr) -> exp.Expr | None:
    node = projection.this if isinstance(projection, (exp.Alias, exp.Aliases)) else projection
    is_one = isinstance(node, _GENERATORS) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in _GENERATOR_NAMES
    )
    return node if is_one else None


def _generated(generator: exp.Expr, names: Sequence[str], scope: Scope) -> Relation:
    """What EXPLODE and the like give: rows and values that come from their arguments alike."""
    arguments = merged(lineage_of(child, scope) for child in generator.iter_expressions())
    value, rows = used_as("transformation", arguments), used_as("explode", arguments)
    if names:
        return Relation(tuple((name, value) for name in names), rows)
    return Relation((), rows, further=lambda _: value)


def _pivoted(given: Relation) -> Relation:
    return Relation((), merged([given.rows, unresolved(_PIVOTED)]), given.inputs, lambda _: unresolved(_PIVOTED))


def _names(alias: exp.Expr | None) -> list[str]:
    return [column.name for column in (alias.args.get("columns") or ())] if alias is not None else []


def _by_position(left: Relation, right: Relation) -> tuple[Column, ...]:
    theirs = [lineage for _, lineage in right.columns]
    return tuple((name, merged([lineage, *theirs[at : at + 1]])) for at, (name, lineage) in enumerate(left.columns))


def _by_name(left: Relation, right: Relation) -> tuple[Column, ...]:
    mine = tuple((name, merged([lineage, right.get(name) or NOTHING])) for name, lineage in left.columns)
    return (*mine, *((name, lineage) for name, lineage in right.columns if left.get(name) is None))

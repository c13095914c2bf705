"""What a part of a query reads from: relations with the lineage of their columns, and the names that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sqlglot import exp

from feature_mart.definitions.lineage.model import NOTHING, InputColumn, Lineage, direct, merged, unresolved, used_as

Column = tuple[str, Lineage]
Further = Callable[[str], Lineage]


@dataclass(frozen=True)
class Relation:
    """The result of a query, or a table.

    ``columns`` stand in order. ``further`` gives those beyond them where not all names are known. ``rows`` is what
    decides its rows, ``inputs`` names the sources and views that they come from.
    """

    columns: tuple[Column, ...] = ()
    rows: Lineage = NOTHING
    inputs: frozenset[str] = frozenset()
    further: Further | None = None

    def get(self, name: str) -> Lineage | None:
        """The lineage of a column that is known by name."""
        return self._by_name.get(name.lower())

    @cached_property
    def _by_name(self) -> Mapping[str, Lineage]:
        return {name.lower(): lineage for name, lineage in reversed(self.columns)}

    def renamed(self, names: Sequence[str]) -> Relation:
        """The same under the names of an alias, where it gives any."""
        if not names:
            return self
        given = [lineage for _, lineage in self.columns[: len(names)]]
        given += [unresolved(f"{name}: an alias of a column that is not known") for name in names[len(given) :]]
        return Relation(tuple(zip(names, given, strict=True)), self.rows, self.inputs)


def table(name: str, columns: Iterable[str] | None) -> Relation:
    """A source or view; where its columns are not known, any name is one of it."""
    known = tuple((column, direct(InputColumn(name, column))) for column in columns or ())
    further = None if columns is not None else lambda column: direct(InputColumn(name, column))
    return Relation(known, inputs=frozenset([name]), further=further)


@dataclass
class Scope:
    """The names that an expression may use: relations that are joined, and the aliases of their SELECT."""

    ctes: Mapping[str, Relation]
    query: Callable[[exp.Expr, Scope], Relation]
    outer: Scope | None = None
    is_beside: bool = False
    named: dict[str, Relation] = field(default_factory=dict)
    visible: list[Column] = field(default_factory=list)
    further: list[Further] = field(default_factory=list)
    rows: list[Lineage] = field(default_factory=list)
    inputs: set[str] = field(default_factory=set)
    aliases: dict[str, Lineage] = field(default_factory=dict)
    windows: dict[str, exp.Expr] = field(default_factory=dict)
    # Names that no input is known to have: one list for all scopes of a query.
    unknown: list[exp.Column] = field(default_factory=list)

    def inner(self) -> Scope:
        """A scope within this one."""
        return Scope(self.ctes, self.query, outer=self, unknown=self.unknown)

    def beside(self) -> Scope:
        """A scope for what is joined to this one, which LATERAL alone may look into."""
        return Scope(self.ctes, self.query, outer=self, is_beside=True, unknown=self.unknown)

    def around(self) -> Scope | None:
        """What a subquery in FROM may look into: nothing of the query that it is joined in."""
        return self.outer.outer if self.is_beside and self.outer is not None else self.outer

    def add(self, alias: str, relation: Relation) -> None:
        """Take a relation in."""
        self.named.setdefault(alias.lower(), relation)
        self.visible.extend(relation.columns)
        self.rows.append(relation.rows)
        self.inputs |= relation.inputs
        if relation.further is not None:
            self.further.append(relation.further)

    def join(self, other: Scope, using: Sequence[str], kept: str) -> None:
        """Take in what is joined; ``using`` names the columns that become one, ``kept`` whose value that is."""
        one = [self._shared(name, other, kept) for name in using]
        shared = {name.lower() for name in using}
        rest = [column for column in (*self.visible, *other.visible) if column[0].lower() not in shared]
        self.visible = [*one, *rest]
        self.rows += other.rows
        self.inputs |= other.inputs
        self.further += other.further
        for alias, relation in other.named.items():
            self.named.setdefault(alias, relation)

    def own(self, name: str) -> Lineage | None:
        """A column of what is joined here, by its bare name."""
        found = self._of_visible(name)
        return found if found is not None else self._open(name)

    def _shared(self, name: str, other: Scope, kept: str) -> Column:
        mine, theirs = self.own(name), other.own(name)
        if mine is None or theirs is None:
            return name, unresolved(f"{name}: joined by USING, but not known on both sides")
        spelt = next((known for known, _ in self.visible if known.lower() == name.lower()), name)
        if kept == "full":
            return spelt, used_as("transformation", merged([mine, theirs]))
        return spelt, theirs if kept == "right" else mine

    def resolve(self, parts: Sequence[str]) -> Lineage | None:
        """What a name of one or more parts stands for; the parts after the column's name are fields of it."""
        found = self._known(parts)
        if found is None and self.outer is not None:
            found = self.outer.resolve(parts)
        return found if found is not None else self._guessed(parts)

    def _known(self, parts: Sequence[str]) -> Lineage | None:
        if len(parts) > 1 and (relation := self.named.get(parts[0].lower())) is not None:
            found = relation.get(parts[1])
            if found is None and relation.further is not None:
                found = relation.further(parts[1])
            if found is not None:
                return found if len(parts) == 2 else used_as("transformation", found)
        found = self._of_visible(parts[0])
        if found is None:
            found = self.aliases.get(parts[0].lower())
        return found if found is None or len(parts) == 1 else used_as("transformation", found)

    def _guessed(self, parts: Sequence[str]) -> Lineage | None:
        found = self._open(parts[0])
        return found if found is None or len(parts) == 1 else used_as("transformation", found)

    def _of_visible(self, name: str) -> Lineage | None:
        wanted = name.lower()
        return next((lineage for known, lineage in self.visible if known.lower() == wanted), None)

    def _open(self, name: str) -> Lineage | None:
        """A column of the one relation whose columns are not known."""
        if len(self.further) > 1:
            return unresolved(f"{name}: the columns of more than one of its inputs are not known")
        return self.further[0](name) if self.further else None

    def star(self, qualifier: str = "") -> tuple[Sequence[Column], Further | None]:
        """The columns that a star stands for, and what gives those that are not known."""
        if not qualifier:
            if len(self.further) > 1:
                return self.visible, self._several_open
            return self.visible, self.further[0] if self.further else None
        relation = self.named.get(qualifier.lower())
        if relation is not None:
            return relation.columns, relation.further
        reason = f"{qualifier}.*: the fields of a struct are known from the data only"
        whole = self.resolve([qualifier])
        return (), lambda _: merged([used_as("transformation", whole or NOTHING), unresolved(reason)])

    def _several_open(self, name: str) -> Lineage:
        return unresolved(f"{name}: the columns of more than one of its inputs are not known")

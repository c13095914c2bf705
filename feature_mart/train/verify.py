"""A training set made again from its manifest and compared with what is kept: equal to the last bit, or where not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from feature_mart.columns.content import value_words
from feature_mart.columns.values import plain
from feature_mart.definitions.problems import counted
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.tables import Table, Tables
from feature_mart.errors import TableError
from feature_mart.records import iso
from feature_mart.train.digest import content_of, types_of, words_of
from feature_mart.train.join import PinnedView, join_views
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.manifests import SAVED, manifest_of, table_of_set
from feature_mart.train.spine import SPINE_ROW
from feature_mart.train.spine_columns import EVENT_TIMESTAMP
from feature_mart.train.versions import require_whole

_EXAMPLES = 5


def quiet(step: str) -> None:
    """For callers who want to hear of no step."""


@dataclass(frozen=True)
class Verified:
    """What became of a training set that was made again.

    ``is_kept``: the rows that are kept are those that were saved; ``is_equal``: so are the rows that were made again.
    ``differing_columns``: rows by column; ``examples``: rows with their ``keys`` and, of each column that differs, what
    is ``kept`` and what was made ``again``; ``reasons``: why they differ, or could not be made again; ``changes``: what
    today's definitions say otherwise than the manifest, which alone makes no difference.
    """

    name: str
    rows: int
    is_kept: bool
    is_equal: bool
    differing_rows: int = 0
    differing_columns: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Mapping[str, Any], ...] = ()
    reasons: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `mart training-set verify --json` prints it."""
        return {**vars(self), "differing_columns": dict(self.differing_columns)}


@dataclass(frozen=True)
class _Value:
    """A value as people see it, and the word that tells it from others to the last bit."""

    shown: Any
    word: int


def verify(
    name: str,
    tables: Tables,
    spark: SparkSession,
    changes: Sequence[str] = (),
    on_step: Callable[[str], None] = quiet,
) -> Verified:
    """Makes a training set again from its manifest and compares it with what is kept.

    Args:
        changes: what the definitions of today say otherwise than the manifest.
        on_step: is told what was found so far.

    Raises:
        UsageError: there is none of that name.
        TableError: the table that keeps it is damaged.
    """
    manifest = manifest_of(name, tables)
    table = table_of_set(name, tables)
    kept = table.read(table.pinned().version, spark=spark)
    with delta_errors(table.name, table.address.uri):
        reasons = _reasons_in_table(table, kept, manifest)
        is_kept = not reasons
        on_step(f"the rows that are kept are {'' if is_kept else 'not '}those that were saved")
        views, gone = _views_again(manifest["views"], tables)
        if gone or _absent(kept, manifest):
            told = (*reasons, *gone)
            return Verified(name, manifest["rows"], is_kept, False, reasons=told, changes=tuple(changes))
        again = _again(table.read(SAVED, spark=spark), views, manifest)
        if is_kept and _digest(again, manifest) == manifest["digest"]:
            return Verified(name, manifest["rows"], True, True, changes=tuple(changes))
        on_step("made again, and not equal: looking for the rows that differ")
        rows, columns, examples = _differences(kept, again, manifest)
    if is_kept:
        reasons.append("from the versions in its manifest other rows are made now: a view's files or the join changed")
    return Verified(
        name, manifest["rows"], is_kept, False, rows, columns, examples, tuple(reasons), changes=tuple(changes)
    )


def _whole(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    return (SPINE_ROW, *manifest["spine"]["columns"], *manifest["features"])


def _digest(rows: DataFrame, manifest: Mapping[str, Any]) -> str:
    columns = _whole(manifest)
    return content_of(rows, columns).digest(types_of(rows, columns))


def _absent(kept: DataFrame, manifest: Mapping[str, Any]) -> list[str]:
    return [column for column in _whole(manifest) if column not in kept.columns]


def _reasons_in_table(table: Table, kept: DataFrame, manifest: Mapping[str, Any]) -> list[str]:
    """Why the rows that are kept are not those that were saved; nothing where they are."""
    absent = _absent(kept, manifest)
    if not absent and _digest(kept, manifest) == manifest["digest"]:
        return []
    reasons = [f"the rows of {table.name} are not those that were saved"]
    if absent:
        reasons.append(f"{table.name} has no column {', '.join(absent)} any more")
    else:
        found = kept.count()
        if found != manifest["rows"]:
            reasons.append(f"{table.name} has {counted(found, 'row')}; {manifest['rows']} were saved")
    reasons += [
        f"version {commit.version} of {table.name} was committed after it was saved "
        f"({commit.operation}, {iso(commit.committed_at)}); version {SAVED} is what was saved"
        for commit in reversed(table.history())
        if commit.version > SAVED
    ]
    return reasons


def _views_again(entries: Sequence[Mapping[str, Any]], tables: Tables) -> tuple[list[PinnedView], list[str]]:
    """The views at the versions of a manifest, and what of them is not there any more."""
    views: list[PinnedView] = []
    gone: dict[str, None] = {}
    for entry in entries:
        try:
            views.append(_view_again(entry, tables))
        except TableError as error:
            gone[error.message] = None
    return views, list(gone)


def _view_again(entry: Mapping[str, Any], tables: Tables) -> PinnedView:
    how = JoinedView.from_json(entry)
    table, version = tables.table(how.view), entry["version"]
    current = table.current()
    if current is None:
        raise TableError(f"view {how.view}, version {version}: its table is gone.")
    if current.table_id != entry["table_id"]:
        raise TableError(
            f"view {how.view}, version {version}: its table was made anew since, and the one that was read is gone."
        )
    require_whole(how.view, table, version, advice="Put back from a backup what is missing.")
    return PinnedView(how, table, version)


def _again(saved: DataFrame, views: Sequence[PinnedView], manifest: Mapping[str, Any]) -> DataFrame:
    spine = saved.select(*map(_column, (SPINE_ROW, *manifest["spine"]["columns"])))
    return join_views(spine, views, manifest["rows"]).frame.select(*map(_column, _whole(manifest)))


def _differences(
    kept: DataFrame, again: DataFrame, manifest: Mapping[str, Any]
) -> tuple[int, dict[str, int], tuple[Mapping[str, Any], ...]]:
    """How many rows differ, in which columns (of rows that both have), and some of them."""
    columns = _whole(manifest)[1:]
    left, right = (words_of(rows, SPINE_ROW, columns) for rows in (kept, again))
    both = left.alias("kept").join(right.alias("again"), SPINE_ROW, "full").persist()
    unlike = {column: F.col(f"kept.`{column}`") != F.col(f"again.`{column}`") for column in columns}
    is_alone = F.col(f"kept.`{columns[0]}`").isNull() | F.col(f"again.`{columns[0]}`").isNull()
    any_unlike = is_alone | reduce(or_, unlike.values())
    try:
        counts = both.agg(F.count_if(any_unlike), *map(F.count_if, unlike.values())).first()
        first = both.where(any_unlike).select(SPINE_ROW).distinct().orderBy(SPINE_ROW).limit(_EXAMPLES).collect()
    finally:
        both.unpersist()
    assert counts is not None
    numbers = [row[SPINE_ROW] for row in first]
    found = {column: count for column, count in zip(columns, counts[1:], strict=True) if count}
    was, now = (_some_rows(rows, numbers, columns) for rows in (kept, again))
    keys = _keys(manifest)
    examples = tuple(_example(number, was.get(number), now.get(number), keys) for number in numbers)
    return counts[0], found, examples


def _keys(manifest: Mapping[str, Any]) -> list[str]:
    """The spine's columns by which rows are told apart."""
    named = {column for view in manifest["views"] for column in view["join_keys"].values()} | {EVENT_TIMESTAMP}
    return [column for column in manifest["spine"]["columns"] if column in named]


def _some_rows(rows: DataFrame, numbers: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, _Value]]:
    """By the number of a spine row, its values."""
    table = rows.where(F.col(SPINE_ROW).isin(*numbers)).select(*map(_column, (SPINE_ROW, *columns))).toArrow()
    words = {column: value_words(table[column]).tolist() for column in columns}
    return {
        row[SPINE_ROW]: {column: _Value(plain(row[column]), words[column][at]) for column in columns}
        for at, row in enumerate(table.to_pylist())
    }


def _example(
    number: int, was: Mapping[str, _Value] | None, now: Mapping[str, _Value] | None, keys: Sequence[str]
) -> Mapping[str, Any]:
    row = was or now or {}
    return {
        "spine_row": number,
        "keys": {key: row[key].shown for key in keys},
        "found": "in both" if was and now else "only kept" if was else "only made again",
        "columns": {
            column: {"kept": value.shown, "again": now[column].shown}
            for column, value in (was or {}).items()
            if now is not None and value.word != now[column].word
        },
    }


def _column(name: str) -> Column:
    return F.col(f"`{name}`")

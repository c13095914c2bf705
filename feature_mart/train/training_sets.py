"""Training sets that are kept: a Delta table each, and in its commit the manifest by which it can be made again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from feature_mart.columns.content import Content as RowContent
from feature_mart.delta.address import TRAINING_SET_MANIFEST as MANIFEST
from feature_mart.delta.address import TRAINING_SET_PREFIX as PREFIX
from feature_mart.delta.data_files import contents_in
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.file_commits import commit_files
from feature_mart.delta.tables import Table, Tables
from feature_mart.delta.writes import EVERYTHING, Expected, commit, table_properties
from feature_mart.errors import FilesMissing, MartError, TableError, UsageError, VersionNotFound
from feature_mart.records import Provenance, Run, iso
from feature_mart.train.digest import content_of, types_of
from feature_mart.train.join import PinnedView, join_views
from feature_mart.train.joined_view import JoinedView
from feature_mart.train.spine import SPINE_ROW
from feature_mart.write.files import Files, discarded_on, target_for, write_frame

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_EXAMPLES = 5


@dataclass(frozen=True)
class Content:
    """What a training set is made of: its rows, which of their columns are the spine's, and what is joined to it.

    ``asked``: the request as it was written, for people.
    """

    rows: DataFrame
    spine_columns: tuple[str, ...]
    features: tuple[str, ...]
    views: Sequence[PinnedView]
    asked: Mapping[str, Any]


def save(content: Content, name: str, tables: Tables, run: Run) -> dict[str, Any]:
    """Writes a training set with its manifest, which is returned.

    Raises:
        UsageError: the name cannot be one, or there is such a training set.
    """
    table = _new_table(name, tables)
    of_spine = (SPINE_ROW, *content.spine_columns)
    whole = (*of_spine, *content.features)
    with _kept(content.rows, table, (whole, of_spine)) as kept:
        types = types_of(content.rows, whole)
        rows, spine = kept.contents
        manifest = {
            "name": name,
            "created_at": iso(run.started_at),
            "mart": run.mart,
            "git_commit": run.git_commit,
            "git_dirty": run.git_dirty,
            "engine": run.engine,
            **content.asked,
            "spine": {
                "rows": spine.rows,
                "digest": spine.digest({column: types[column] for column in of_spine}),
                "columns": list(content.spine_columns),
            },
            "features": list(content.features),
            "views": [_pinned(view) for view in content.views],
            "rows": rows.rows,
            "digest": rows.digest(types),
            "statistics": rows.statistics({column: types[column] for column in whole if column != SPINE_ROW}),
        }
        _commit(kept, table, manifest, run)
    return manifest


@dataclass(frozen=True)
class _Kept:
    """Rows that were made once, where they are kept, and their content by sets of columns."""

    rows: DataFrame
    files: Files | None
    contents: Sequence[RowContent]


@contextmanager
def _kept(rows: DataFrame, table: Table, sets: tuple[tuple[str, ...], ...]) -> Iterator[_Kept]:
    """In the table's folder, in files that its first commit will name; or by Spark."""
    kinds = dict(rows.dtypes)
    target = target_for(table, kinds, layout=None, statistics_on=[SPINE_ROW], replaces=EVERYTHING, contents_of=sets)
    if target is None:
        kept = rows.persist()
        try:
            with delta_errors(table.name, table.address.uri):
                contents = [content_of(kept, columns) for columns in sets]
            yield _Kept(kept, None, contents)
        finally:
            kept.unpersist()
        return
    with delta_errors(table.name, table.address.uri):
        files = write_frame(rows, target)
    with discarded_on((MartError,), target):
        yield _Kept(rows, files, contents_in(files.files, len(sets)))


def _new_table(name: str, tables: Tables) -> Table:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a training set: write lower-case letters, digits and _, beginning with a letter."
        )
    table = tables.table(PREFIX + name)
    if table.current() is not None:
        raise UsageError(
            f"there is a training set {name} already, which stays as it is: take another name "
            f"(`mart training-set show {name}` tells what it holds)."
        )
    return table


def _pinned(view: PinnedView) -> dict[str, Any]:
    """What the manifest says of a view: how it is joined, its version, and what made that."""
    made = next((entry for entry in view.table.history() if entry.version == view.version), None)
    said = {} if made is None or made.provenance is None else made.provenance
    told = {key: said.get(key) for key in ("definition_hash", "git_commit", "run_id", "horizon")}
    return {**view.how.to_json(), "version": view.version, "table_id": view.table.pinned(view.version).table_id, **told}


def _commit(kept: _Kept, table: Table, manifest: Mapping[str, Any], run: Run) -> None:
    provenance = Provenance(
        run=run,
        pipeline=None,
        feature_view=table.name,
        definition_hash=None,
        intervals=None,
        inputs={view["view"]: {"table_id": view["table_id"], "version": view["version"]} for view in manifest["views"]},
        rows=manifest["rows"],
        checks={"passed": 0, "warned": 0, "failed": 0},
        extra={MANIFEST: dict(manifest)},
    )
    properties = table_properties([SPINE_ROW])
    if kept.files is None:
        commit(
            kept.rows,
            table,
            provenance=provenance,
            expected=Expected(),
            partition_by=(),
            properties=properties,
            replaces=EVERYTHING,
        )
        return
    commit_files(
        kept.files.files,
        table,
        schema=kept.files.schema,
        provenance=provenance,
        expected=Expected(),
        partition_by=(),
        properties=properties,
        replaces=EVERYTHING,
    )


def manifest_of(name: str, tables: Tables) -> dict[str, Any]:
    """The manifest of a training set.

    Raises:
        UsageError: there is none of that name.
    """
    table = tables.table(PREFIX + name)
    for entry in table.history():
        if entry.provenance is not None and MANIFEST in entry.provenance:
            return dict(entry.provenance[MANIFEST])
    raise UsageError(f"there is no training set {name!r}. `mart training-set list` lists them.")


def manifests(tables: Tables) -> list[dict[str, Any]]:
    """The manifests of all training sets, by name."""
    found = [name.removeprefix(PREFIX) for name in tables.names() if name.startswith(PREFIX)]
    return [manifest_of(name, tables) for name in sorted(found)]


def rows_of_set(name: str, tables: Tables) -> DataFrame:
    """The rows of a training set, in the spine's order, without the engine's own columns.

    Raises:
        UsageError: there is none of that name.
    """
    manifest_of(name, tables)
    return tables.table(PREFIX + name).read(0).orderBy(SPINE_ROW).drop(SPINE_ROW)


@dataclass(frozen=True)
class Verified:
    """What became of a training set that was made again. ``reasons``: why it differs, or could not be made."""

    name: str
    is_equal: bool
    rows: int
    differing_rows: int = 0
    differing_columns: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `mart training-set verify --json` prints it."""
        return {**vars(self), "differing_columns": dict(self.differing_columns)}


def verify(name: str, tables: Tables, spark: SparkSession, remarks: Sequence[str] = ()) -> Verified:
    """Makes a training set again from its manifest and compares it with what is kept.

    Args:
        remarks: what the definitions of today say otherwise than the manifest; told where something differs.

    Raises:
        UsageError: there is none of that name.
    """
    manifest = manifest_of(name, tables)
    table = tables.table(PREFIX + name)
    columns = manifest["spine"]["columns"]
    kept = table.read(0, spark=spark)
    try:
        views = [_again(entry, tables) for entry in manifest["views"]]
    except (VersionNotFound, FilesMissing, TableError) as error:
        return Verified(name, False, manifest["rows"], reasons=(str(error),))
    whole = (SPINE_ROW, *columns, *manifest["features"])
    made = join_views(kept.select(SPINE_ROW, *map(_column, columns)), views, manifest["rows"])
    again = made.select(*map(_column, whole))
    with delta_errors(table.name, table.address.uri):
        digests = [content_of(rows, whole).digest(types_of(rows, whole)) for rows in (kept, again)]
        if digests == [manifest["digest"]] * 2:
            return Verified(name, True, manifest["rows"])
        reasons = list(remarks)
        if digests[0] != manifest["digest"]:
            reasons.insert(0, f"the rows of {table.name} are not those that were saved")
        return _differences(name, kept, again, manifest["features"], reasons)


def _again(entry: Mapping[str, Any], tables: Tables) -> PinnedView:
    how = JoinedView.from_json(entry)
    table = tables.table(how.view)
    current = table.current()
    if current is not None and current.table_id != entry["table_id"]:
        raise TableError(
            f"table {how.view} was made anew since: it is another table of that name, and version {entry['version']} "
            "of the one that was read is gone."
        )
    table.pinned(entry["version"])
    table.data_files(entry["version"], None)
    return PinnedView(how, table, entry["version"])


def _differences(
    name: str, kept: DataFrame, again: DataFrame, features: Sequence[str], reasons: Sequence[str]
) -> Verified:
    """Which rows and columns differ."""
    both = kept.alias("kept").join(again.alias("again"), SPINE_ROW, "full")
    unlike = {
        feature: ~F.col(f"kept.`{feature}`").eqNullSafe(F.col(f"again.`{feature}`"))
        for feature in features
        if not isinstance(kept.schema[feature].dataType, MapType)
    }
    any_unlike = reduce(or_, unlike.values(), F.lit(False))
    counts = both.agg(
        F.count_if(any_unlike).alias("_rows"), *(F.count_if(differs).alias(f) for f, differs in unlike.items())
    ).first()
    assert counts is not None
    shown = both.where(any_unlike).orderBy(SPINE_ROW).limit(_EXAMPLES).collect()
    texts = [f"spine row {row[SPINE_ROW]}" for row in shown]
    columns = {feature: counts[feature] for feature in unlike if counts[feature]}
    return Verified(name, False, kept.count(), counts["_rows"], columns, tuple(texts), tuple(reasons))


def _column(name: str) -> Column:
    return F.col(f"`{name}`")

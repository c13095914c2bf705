"""Training sets that are kept: a Delta table each, and in its commit the manifest by which it can be made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from feature_mart.columns.content import Content as RowContent
from feature_mart.delta.address import TRAINING_SET_MANIFEST
from feature_mart.delta.data_files import Target, contents_in
from feature_mart.delta.file_commits import commit_files
from feature_mart.delta.tables import Table, Tables
from feature_mart.delta.writes import EVERYTHING, Expected, commit, table_properties
from feature_mart.errors import UsageError
from feature_mart.records import Provenance, Run, iso
from feature_mart.train.digest import content_of, types_of
from feature_mart.train.join import Joined, PinnedView
from feature_mart.train.join_errors import join_errors
from feature_mart.train.manifests import new_table_of_set
from feature_mart.train.spine import SPINE_ROW
from feature_mart.write.files import NOT_COMMITTED, Files, discarded_on, target_for, write_frame

_NOT_IN_NAMES = frozenset(" ,;{}()\n\t=.`")


@dataclass(frozen=True)
class Content:
    """What a training set is made of: its rows, which of their columns are the spine's, and what is joined to it.

    ``asked``: the request as it was written, for people.
    """

    rows: Joined
    spine_columns: tuple[str, ...]
    features: tuple[str, ...]
    views: Sequence[PinnedView]
    asked: Mapping[str, Any]


def save(content: Content, name: str, tables: Tables, run: Run) -> dict[str, Any]:
    """Writes a training set with its manifest, which is returned.

    Raises:
        UsageError: the name cannot be one, there is such a training set, or a column's name cannot be kept.
    """
    table = new_table_of_set(name, tables)
    _refuse_names(content.spine_columns)
    of_spine = (SPINE_ROW, *content.spine_columns)
    whole = (*of_spine, *content.features)
    with _kept(content, table, (whole, of_spine)) as kept:
        types = types_of(content.rows.frame, whole)
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


def _refuse_names(columns: Sequence[str]) -> None:
    for name in columns:
        found = sorted(_NOT_IN_NAMES.intersection(name))
        if found:
            raise UsageError(
                f"the spine's column {name!r} cannot be kept in a training set: a name there has no {found[0]!r}. "
                "Rename the column; to_df, to_arrow and to_spark_df take it as it is."
            )


@dataclass(frozen=True)
class _Kept:
    """Rows that were made once, where they are kept, and their content by sets of columns."""

    rows: DataFrame
    files: Files | None
    contents: Sequence[RowContent]


@contextmanager
def _kept(content: Content, table: Table, sets: tuple[tuple[str, ...], ...]) -> Iterator[_Kept]:
    """In the table's folder, in files that its first commit will name; or by Spark."""
    rows = content.rows.frame
    kinds = dict(rows.dtypes)
    target = target_for(table, kinds, layout=None, statistics_on=[SPINE_ROW], replaces=EVERYTHING, contents_of=sets)
    if target is None:
        kept = rows.persist()
        try:
            with join_errors(content.views, table):
                contents = [content_of(kept, columns) for columns in sets]
            yield _Kept(kept, None, contents)
        finally:
            kept.unpersist()
        return
    with join_errors(content.views, table):
        files = _written(content.rows, target)
    with discarded_on(NOT_COMMITTED, target):
        yield _Kept(rows, files, contents_in(files.files, len(sets)))


def _written(rows: Joined, target: Target) -> Files:
    """By the tasks that join, where they have the last word: the rows then never pass through Spark."""
    if rows.in_tasks is None:
        return write_frame(rows.frame, target)
    with discarded_on((BaseException,), target):
        return Files(rows.in_tasks.write(target), rows.in_tasks.schema.json(), target)


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
        extra={TRAINING_SET_MANIFEST: dict(manifest)},
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

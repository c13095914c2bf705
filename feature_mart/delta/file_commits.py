"""Commits that name files which tasks have written, compare-and-swap like all others, by delta-rs.

Only of tables on a local disk: there a commit's file comes into being only where none of its number is, whoever writes.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from feature_mart.delta.compaction import LaidFile, paths_in
from feature_mart.delta.damage import damaged_log
from feature_mart.delta.data_files import WrittenFile
from feature_mart.delta.foreign import foreign_change
from feature_mart.delta.layout import BUCKET, PARTITIONS, PERIOD
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import (
    EVERYTHING,
    NOTHING,
    Expected,
    Replaces,
    require_state,
    upkeep_metadata,
    user_metadata,
)
from feature_mart.errors import ConcurrentBuild
from feature_mart.records import Provenance, Run, TableVersion, WriteResult

# Maintenance may commit in between; whoever changes rows is told apart by `require_state`.
_ATTEMPTS = 20


def commit_files(
    files: Sequence[WrittenFile],
    table: Table,
    *,
    schema: str | pa.Schema,
    provenance: Provenance,
    expected: Expected,
    partition_by: Sequence[str],
    properties: Mapping[str, str],
    replaces: Replaces,
) -> WriteResult:
    """Commits files that lie in the table's folder, in one atomic step, and returns the version that it made.

    Args:
        schema: the columns of the files without the partition columns, as Delta's JSON or as Arrow has them.
        replaces: all rows, or none.

    Raises:
        ConcurrentBuild: another writer committed since ``expected`` was read. Nothing was written.
        TableError: the log cannot be read or written.
    """
    assert replaces in (EVERYTHING, NOTHING) and table.address.log_uri is not None
    actions = [_add_action(file) for file in files]
    columns = _with_partitions(schema, partition_by)
    for _ in range(_ATTEMPTS):
        opened = _open(table)
        # Read after the table was opened: the commit below is refused if anybody commits after that moment.
        require_state(table, expected)
        known = _properties(table, provenance, expected, files)
        try:
            if opened is None:
                create_table_with_add_actions(
                    table.address.log_uri,
                    columns,
                    actions,
                    "error",
                    list(partition_by),
                    configuration=dict(properties),
                    commit_properties=known,
                )
                return WriteResult(table.name, 0, provenance.rows)
            mode = "overwrite" if replaces == EVERYTHING else "append"
            opened.create_write_transaction([*actions], mode, columns, list(partition_by), commit_properties=known)
        except CommitFailedError:
            continue
        except DeltaError as error:
            raise damaged_log(table.name, table.address.uri, str(error).splitlines()[0][:200]) from error
        return WriteResult(table.name, opened.version() + 1, provenance.rows)
    raise ConcurrentBuild(f"table {table.name}: other writers committed {_ATTEMPTS} times while this one tried to.")


def commit_rewritten(files: Sequence[WrittenFile], replaced: Sequence[LaidFile], table: Table, run: Run) -> WriteResult:
    """Commits files that hold the rows of others, which go: no row changes, and the state stays the last build's.

    A build that commits meanwhile does no harm as long as all of ``replaced`` are still in the table after it.

    Raises:
        ConcurrentBuild: a build took some of the files away, or another program changed rows. Nothing was written.
        TableError: the log cannot be read or written.
    """
    gone = {file.path for file in replaced}
    for _ in range(_ATTEMPTS):
        opened = _open(table)
        # Read after the table was opened, as above.
        recent = table.recent()
        if opened is None or recent is None or recent.own is None or foreign_change(table.log, recent) is not None:
            raise ConcurrentBuild(f"table {table.name}: another program changed it meanwhile; it is left as it is now.")
        if not gone <= paths_in(opened):
            raise ConcurrentBuild(
                f"table {table.name}: a build replaced rows while their files were laid out anew. The build goes first "
                "and lost nothing; the table is as it left it. Run the same command again when no build runs."
            )
        known = CommitProperties(
            custom_metadata={
                "userMetadata": upkeep_metadata(
                    recent.own.provenance or {}, TableVersion(str(opened.metadata().id), opened.version()), run
                ),
                "operationMetrics": _metrics(files) | {"numRemovedFiles": str(len(replaced))},
            },
            max_commit_retries=0,
        )
        actions: list[AddAction | RemoveAction] = [*map(_remove_action, replaced)]
        actions += [_add_action(file, data_change=False) for file in files]
        try:
            opened.create_write_transaction(
                actions, "append", opened.schema(), opened.metadata().partition_columns, commit_properties=known
            )
        except CommitFailedError:
            continue
        except DeltaError as error:
            raise damaged_log(table.name, table.address.uri, str(error).splitlines()[0][:200]) from error
        return WriteResult(table.name, opened.version() + 1, 0)
    raise ConcurrentBuild(f"table {table.name}: other writers committed {_ATTEMPTS} times while this one tried to.")


def _open(table: Table) -> DeltaTable | None:
    assert table.address.log_uri is not None
    try:
        return DeltaTable(table.address.log_uri)
    except TableNotFoundError:
        return None


def _add_action(file: WrittenFile, *, data_change: bool = True) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values=_partition_values(file.period, file.bucket),
        modification_time=int(time.time() * 1000),
        data_change=data_change,
        stats=file.statistics,
    )


def _remove_action(file: LaidFile) -> RemoveAction:
    values = _partition_values(file.period, file.bucket)
    return RemoveAction(file.path, False, int(time.time() * 1000), file.size, values)


def _partition_values(period: str | None, bucket: int | None) -> dict[str, str | None]:
    values = zip(PARTITIONS, (period, bucket), strict=True)
    return {name: str(value) for name, value in values if value is not None}


def _with_partitions(schema: str | pa.Schema, partition_by: Sequence[str]) -> Schema:
    """The table's columns: those of the files and the two that say what lies in them; none refuses nulls."""
    text = schema if isinstance(schema, str) else Schema.from_arrow(schema).to_json()
    known: dict[str, Any] = json.loads(text)
    fields = [{**field, "nullable": True} for field in known["fields"]]
    kinds = {PERIOD: "string", BUCKET: "integer"}
    fields += [{"name": name, "type": kinds[name], "nullable": True, "metadata": {}} for name in partition_by]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def _properties(
    table: Table, provenance: Provenance, expected: Expected, files: Sequence[WrittenFile]
) -> CommitProperties:
    said = user_metadata(provenance, table.current(), expected, uuid.uuid4().hex)
    return CommitProperties(
        custom_metadata={"userMetadata": said, "operationMetrics": _metrics(files)},
        max_commit_retries=0,
        app_transactions=[Transaction(f"feature_mart:{table.name}", expected.sequence + 1)],
    )


def _metrics(files: Sequence[WrittenFile]) -> dict[str, str]:
    return {
        "numFiles": str(len(files)),
        "numOutputRows": str(sum(file.rows for file in files)),
        "numOutputBytes": str(sum(file.size for file in files)),
    }

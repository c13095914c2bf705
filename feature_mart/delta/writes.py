"""The only code that commits rows to Delta tables, with `file_commits`.

Every commit is compare-and-swap: it carries the table's next sequence number as a Delta transaction identifier, read
when the build was planned. Of two writers that planned on the same state one commits; Delta refuses or skips the other,
which is noticed here and raised as `ConcurrentBuild`. A retried write with the same number commits nothing twice.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyspark.sql import DataFrame

from feature_mart.delta.commit_files import TABLE_ID
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.foreign import OPTIMIZED, PLANNED_ON
from feature_mart.delta.tables import Table
from feature_mart.errors import ConcurrentBuild
from feature_mart.records import Provenance, Run, TableVersion, WriteResult

SEQUENCE = "sequence"
COMMIT_ID = "commit_id"

# The log holds what made each version: it is kept for longer than anybody asks. Files of old versions are kept for as
# long as a view's retention says; this default holds off somebody else's plain VACUUM.
LOG_RETENTION = "interval 36500 days"
FILE_RETENTION_DAYS = 400


@dataclass(frozen=True)
class Replaces:
    """Which rows of the table a commit takes away: all, none, or those that a SQL condition names."""

    rows: Literal["all", "none", "where"]
    condition: str | None = None

    @classmethod
    def where(cls, condition: str) -> Replaces:
        """The rows that match a SQL condition."""
        return cls("where", condition)


EVERYTHING = Replaces("all")
# Cheaper than a condition that matches nothing, for which Delta would look.
NOTHING = Replaces("none")


@dataclass(frozen=True)
class Expected:
    """The state of a table that a build planned on: its last sequence number (0 before its first commit).

    ``version`` is the table's, whoever made it; other programs' commits do not make it another state, as most of them
    change no rows.
    """

    sequence: int = 0
    version: int = field(default=-1, compare=False)


def expected_state(table: Table) -> Expected:
    """The state to plan on. Read it before the inputs' versions, so that a later commit of another is noticed."""
    recent = table.recent()
    if recent is None:
        return Expected()
    said = {} if recent.own is None else recent.own.provenance or {}
    return Expected(int(said.get(SEQUENCE, 0)), recent.newest)


def require_state(table: Table, expected: Expected) -> None:
    """Refuses to go on where another build has committed since ``expected`` was read: its result is the newer one.

    Raises:
        ConcurrentBuild: another writer committed.
    """
    if expected_state(table) != expected:
        raise ConcurrentBuild(
            f"table {table.name}: another build committed while this one ran; this one's rows were not written, and "
            "nothing is lost. Run the same command again: it plans on what the other build left."
        )


def table_properties(statistics_on: Sequence[str], retention_days: int = FILE_RETENTION_DAYS) -> dict[str, str]:
    """The Delta properties of a new table; see docs/adr/0001-table-contract.md for why each is set."""
    return {
        "delta.enableChangeDataFeed": "true",
        "delta.enableDeletionVectors": "false",
        "delta.logRetentionDuration": LOG_RETENTION,
        "delta.deletedFileRetentionDuration": f"interval {retention_days} days",
        "delta.dataSkippingStatsColumns": ",".join(f"`{name}`" for name in statistics_on),
    }


def commit(
    frame: DataFrame,
    table: Table,
    *,
    provenance: Provenance,
    expected: Expected,
    partition_by: Sequence[str],
    properties: Mapping[str, str],
    replaces: Replaces,
    replace_schema: bool = False,
) -> WriteResult:
    """Commits ``frame`` in one atomic step and returns the version that it made.

    Args:
        replaces: which of the rows that are there make room.
        replace_schema: where all rows are replaced, the table takes the frame's schema, whatever it had before;
            otherwise new columns are added and any other difference is refused by Delta.

    Raises:
        ConcurrentBuild: another writer committed since ``expected`` was read. Nothing was written.
        TableError: Delta refused the write, or the storage failed. Nothing was written.
    """
    commit_id = uuid.uuid4().hex
    sequence = expected.sequence + 1
    current = table.current()
    is_new = expected.sequence == 0 and current is None
    # A table that a catalog creates for an append loses what the commit says of itself; for an overwrite it is kept.
    is_named_anew = is_new and table.address.identifier is not None
    writer = (
        frame.write.format("delta")
        .mode("append" if replaces == NOTHING and not is_named_anew else "overwrite")
        .option("userMetadata", user_metadata(provenance, current, expected, commit_id))
        .option("txnAppId", f"feature_mart:{table.name}")
        .option("txnVersion", sequence)
        .partitionBy(*partition_by)
    )
    if replaces.condition is not None:
        writer = writer.option("replaceWhere", replaces.condition)
    whole_schema = replace_schema and replaces == EVERYTHING
    writer = writer.option("overwriteSchema" if whole_schema else "mergeSchema", "true")
    if is_new:
        writer = writer.options(**dict(properties))
    with delta_errors(table.name, table.address.uri):
        if table.address.identifier is not None:
            writer.saveAsTable(table.address.identifier)
        else:
            writer.save(table.address.uri)
    return WriteResult(table.name, _version_of(table, commit_id), provenance.rows)


def user_metadata(provenance: Provenance, current: TableVersion | None, expected: Expected, commit_id: str) -> str:
    """What the commit says of itself, as JSON."""
    own = {SEQUENCE: expected.sequence + 1, PLANNED_ON: expected.version, COMMIT_ID: commit_id}
    metadata = {**provenance.to_json(), **own}
    if current is not None:
        # Whoever replaces the table meanwhile changes its metadata, and Delta then refuses this commit.
        metadata[TABLE_ID] = current.table_id
    return json.dumps(metadata, separators=(",", ":"))


def upkeep_metadata(last: Mapping[str, Any], current: TableVersion, run: Run) -> str:
    """What a commit says that lays the same rows out anew, as JSON: all that the last build said, as its state stays.

    The sequence number is that build's too, so a build that runs meanwhile has not been overtaken.

    Args:
        last: the provenance of the engine's newest commit; no other program has changed rows since.
        current: the version that the commit follows.
    """
    said = {
        **last,
        "run_id": run.run_id,
        "git_commit": run.git_commit,
        "git_dirty": run.git_dirty,
        "engine": run.engine,
        "rows": 0,
        "intervals": None if last.get("intervals") is None else [],
        "reason": "optimized",
        OPTIMIZED: True,
        PLANNED_ON: current.version,
        COMMIT_ID: uuid.uuid4().hex,
        TABLE_ID: current.table_id,
    }
    return json.dumps(said, separators=(",", ":"))


def _version_of(table: Table, commit_id: str) -> int:
    """The version that our commit made; Delta skips a write with a used sequence number without a word."""
    for limit in (5, 50, None):
        commits = table.history(limit)
        for entry in commits:
            if entry.provenance is not None and entry.provenance.get(COMMIT_ID) == commit_id:
                return entry.version
    newest = next((entry for entry in commits if entry.provenance is not None), None)
    other = "" if newest is None or newest.provenance is None else f" (run {newest.provenance['run_id']})"
    raise ConcurrentBuild(
        f"table {table.name}: another build{other} committed while this one ran; this one's rows were not written, "
        "and nothing is lost. Run the same command again: it plans on what the other build left."
    )

"""Publishes a view's rows: one atomic commit per build, and only with a report in which no check failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_mart.definitions import FeatureService, FeatureView
from feature_mart.definitions.widening import is_widening
from feature_mart.delta.canonical import instant
from feature_mart.delta.errors import delta_errors
from feature_mart.delta.file_commits import commit_files
from feature_mart.delta.layout import PARTITIONS, Layout, choose_layout
from feature_mart.delta.placement import lay_out
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import (
    EVERYTHING,
    FILE_RETENTION_DAYS,
    Expected,
    Replaces,
    commit,
    require_state,
    table_properties,
)
from feature_mart.errors import CheckFailed, SchemaChangeRefused
from feature_mart.plan.schema_change import refusal, schema_change
from feature_mart.records import CheckReport, Interval, Provenance, WriteResult
from feature_mart.write.files import NOT_COMMITTED, Files, discarded_on, target_for, write_frame


@dataclass(frozen=True)
class Extent:
    """About how large a table will be after a commit, and the event timestamps between which it lies."""

    rows: int
    earliest: datetime | None = None
    latest: datetime | None = None


@dataclass(frozen=True)
class Intent:
    """What a commit is to do: what it says of itself, the state it was planned on, the rows that make room for it.

    ``replaces_schema``: removing, renaming or retyping what is published is on purpose; else ``services`` are told of
    where they would break.
    """

    provenance: Provenance
    expected: Expected
    replaces: Replaces
    replaces_schema: bool = False
    services: tuple[FeatureService, ...] = ()


def publish(
    view: FeatureView,
    frame: DataFrame,
    table: Table,
    *,
    report: CheckReport,
    intent: Intent,
    extent: Extent,
    files: Files | None = None,
) -> WriteResult:
    """Commits the rows of one build of ``view``.

    Args:
        files: the same rows, where tasks wrote them in the table's folder already.

    Raises:
        CheckFailed: the report holds a failed check. Nothing was written.
        SchemaChangeRefused: a published feature would go or change its type. Nothing was written.
        ConcurrentBuild: another build committed since this one was planned. Nothing was written.
    """
    if not report.is_publishable:
        raise CheckFailed(failure_text(view, report), report)
    if not intent.replaces_schema:
        refuse_schema_change(view, table.columns(), dict(frame.dtypes), intent.services)
    if files is not None:
        return _commit_files(view, files, table, intent)
    layout = _layout(intent, extent, report.rows)
    laid_out = lay_out(frame, keys=view.keys, time_columns=_times(view), layout=layout)
    files = _written_by_tasks(view, laid_out.drop(*PARTITIONS), layout, table, intent)
    if files is not None:
        return _commit_files(view, files, table, intent)
    return commit(
        laid_out,
        table,
        provenance=intent.provenance,
        expected=intent.expected,
        partition_by=PARTITIONS,
        properties=_properties(view),
        replaces=intent.replaces,
        replace_schema=intent.replaces_schema,
    )


def _layout(intent: Intent, extent: Extent, rows: int) -> Layout:
    added = None if intent.replaces == EVERYTHING else rows
    return choose_layout(extent.rows, extent.earliest, extent.latest, added=added)


def _written_by_tasks(
    view: FeatureView, laid_out: DataFrame, layout: Layout, table: Table, intent: Intent
) -> Files | None:
    """The rows in files that a commit can name; None where Spark has to write them."""
    target = target_for(
        table,
        dict(laid_out.dtypes),
        keys=tuple(view.keys),
        time=view.event_timestamp,
        layout=layout,
        statistics_on=statistics_columns(view),
        replaces=intent.replaces,
    )
    if target is None:
        return None
    # Whoever overtook this build did so before anything is written, as a rule.
    require_state(table, intent.expected)
    with delta_errors(table.name, table.address.uri):
        return write_frame(laid_out, target)


def _commit_files(view: FeatureView, files: Files, table: Table, intent: Intent) -> WriteResult:
    with discarded_on(NOT_COMMITTED, files.target):
        return commit_files(
            files.files,
            table,
            schema=files.schema,
            provenance=intent.provenance,
            expected=intent.expected,
            partition_by=PARTITIONS,
            properties=_properties(view),
            replaces=intent.replaces,
        )


def _properties(view: FeatureView) -> dict[str, str]:
    retention = FILE_RETENTION_DAYS if view.retention is None else view.retention.days
    return table_properties(statistics_columns(view), retention)


def _times(view: FeatureView) -> list[str]:
    return [name for name in (view.event_timestamp, view.created_timestamp) if name is not None]


def statistics_columns(view: FeatureView) -> list[str]:
    """The columns of which the log tells minima and maxima: times, and keys that Delta can keep them of."""
    return [*(name for name, kind in view.keys.items() if kind not in ("boolean", "binary")), *_times(view)]


def rows_in(view: FeatureView, intervals: tuple[Interval, ...]) -> Replaces:
    """The published rows of some intervals, by their event timestamp.

    A row of a windowed view stands at the end of its slice.
    """
    after, before = (">=", "<") if view.windows is None else (">", "<=")
    parts = [
        f"(`{view.event_timestamp}` {after} {instant(interval.start)} AND "
        f"`{view.event_timestamp}` {before} {instant(interval.end)})"
        for interval in intervals
    ]
    return Replaces.where(" OR ".join(parts))


def failure_text(view: FeatureView, report: CheckReport) -> str:
    """What failed, with a few rows, and that nothing was published."""
    failed = [result for result in report.results if not result.passed and result.severity == "error"]
    lines = [f"view {view.name}: {len(failed)} of {len(report.results)} checks failed; nothing was published."]
    for result in failed[:10]:
        lines.append(f"  {result.name}: {result.message}")
        lines.extend(f"    {example}" for example in result.examples)
    if len(failed) > 10:
        lines.append(f"  and {len(failed) - 10} more")
    lines.append(
        f"The version before stays as it is. Mend the data or {view.definition.path or 'the input'}, or the rule "
        f"(pipelines/{view.pipeline}.yml, metadata/feature_views/{view.name}.yml), and run the build again."
    )
    return "\n".join(lines)


def refuse_schema_change(
    view: FeatureView, before: Mapping[str, str], after: Mapping[str, str], services: Iterable[FeatureService]
) -> None:
    """Refuses a build that would take a published feature away or change its type.

    Raises:
        SchemaChangeRefused: what would be lost, for which of ``services``, and the command that does it all the same.
    """
    # Tiles are the engine's own: a partial aggregate that no window needs any more is missed by nobody.
    change = None if view.tiles_of is not None else schema_change(before, after, after)
    if change is not None:
        raise SchemaChangeRefused(refusal(view, change, services))


def in_published_types(frame: DataFrame, published: Mapping[str, str]) -> DataFrame:
    """``frame`` with its columns in the types that the table has, where they are wider."""
    kinds = dict(frame.dtypes)
    return frame.select(
        *[
            F.col(f"`{name}`").cast(published[name]).alias(name)
            if name in published and published[name] != kind and is_widening(kind, published[name])
            else F.col(f"`{name}`")
            for name, kind in kinds.items()
        ]
    )

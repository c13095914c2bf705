"""Large results of windows go to files at once: tasks make rows and write them, checks read them, a commit names them.

Other rows are kept by Spark until they are checked, and written then: a definition's rows may come in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from feature_mart.build.task_rows import TaskRows
from feature_mart.definitions import FeatureView
from feature_mart.delta.data_files import Target
from feature_mart.delta.errors import SPARK_ERRORS, failed_on_data
from feature_mart.delta.layout import ROWS_PER_FILE, Layout, choose_layout
from feature_mart.delta.tables import Table
from feature_mart.delta.writes import EVERYTHING, Replaces
from feature_mart.plan.steps import Step, ViewState
from feature_mart.write.files import Files, discarded_on, target_for
from feature_mart.write.view import statistics_columns


@dataclass(frozen=True)
class Written:
    """The rows of a build in files, and as a frame that reads them."""

    files: Files
    frame: DataFrame


def target_of(
    view: FeatureView, table: Table, rows: TaskRows, step: Step, state: ViewState | None, replaces: Replaces
) -> Target | None:
    """Where the tasks that make rows write them; None where that cannot be, or where files would become too small."""
    if rows.expected is None or rows.tasks is None:
        return None
    layout = _layout(rows.expected, step, state, replaces)
    if rows.expected < ROWS_PER_FILE * max(rows.tasks, 1 << layout.depth):
        return None
    return target_for(
        table,
        {field.name: field.dataType.simpleString() for field in rows.schema.fields},
        keys=tuple(view.keys),
        time=view.event_timestamp,
        layout=layout,
        statistics_on=statistics_columns(view),
        replaces=replaces,
    )


def write(rows: TaskRows, target: Target, view: FeatureView) -> Written:
    """Makes the rows and writes them.

    Raises:
        BuildError, TableError: a task failed; nothing is left of what others wrote.
    """
    try:
        with discarded_on((BaseException,), target):
            files = Files(rows.write(target), rows.schema.json(), target)
    except SPARK_ERRORS as error:
        raise failed_on_data(view.name, view.definition.where, error) from error
    return Written(files, files.frame(rows.gathered.sparkSession))


def _layout(expected: int, step: Step, state: ViewState | None, replaces: Replaces) -> Layout:
    spans = step.intervals or ()
    earliest, latest = (spans[0].start, spans[-1].end) if spans else (None, None)
    if replaces == EVERYTHING or state is None:
        return choose_layout(expected, earliest, latest)
    begins = [moment for moment in (earliest, state.earliest) if moment is not None]
    ends = [moment for moment in (latest, state.latest) if moment is not None]
    return choose_layout(
        expected + state.table_rows, min(begins, default=None), max(ends, default=None), added=expected
    )

"""What is said when a join fails while it runs: which view's files it was reading, or what Spark says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from feature_mart.definitions.problems import listed
from feature_mart.delta.errors import SPARK_ERRORS, mapped
from feature_mart.delta.tables import Table
from feature_mart.train.join import PinnedView


@contextmanager
def join_errors(views: Sequence[PinnedView], kept_in: Table | None = None) -> Iterator[None]:
    """Raises our errors in place of Spark's while views are joined, and the rows are kept in a table perhaps.

    Raises:
        FilesMissing: files of a version went after the request had been made.
        TableError: any other failure, told of the table where it can be known.
    """
    try:
        yield
    except SPARK_ERRORS as error:
        text = str(error)
        reading = [view.table for view in views if view.table.folder and f"{view.table.folder}/" in text]
        table = next(iter(reading), kept_in)
        if table is None:
            raise mapped(error, listed(sorted({view.how.view for view in views}))) from error
        raise mapped(error, table.name, table.address.uri) from error

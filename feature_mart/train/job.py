"""A request for historical features, and the forms in which its result is had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from feature_mart.columns.frames import to_pandas
from feature_mart.delta.tables import Tables
from feature_mart.records import Run
from feature_mart.train.describe import describe
from feature_mart.train.join import Joined, PinnedView, join_views
from feature_mart.train.join_errors import join_errors
from feature_mart.train.spine import SPINE_ROW, Spine
from feature_mart.train.training_sets import Content, save

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class RetrievalJob:
    """The spine's rows, all of them, once each and in its order, with the features as they were at their times.

    Nothing is computed before one of the results is asked for. ``features``: the output columns in the order asked;
    ``views``: what is joined, each view at the version that was pinned when the request was made; ``asked``: the
    request as it was written.
    """

    spine: Spine
    views: Sequence[PinnedView]
    features: tuple[str, ...]
    asked: Mapping[str, Any]
    tables: Tables
    run: Run

    @property
    def versions(self) -> dict[str, int]:
        """The version of each view that is read."""
        return {view.how.view: view.version for view in self.views}

    @property
    def arms(self) -> dict[str, list[str]]:
        """The columns of each arm, where the request had arms."""
        return {arm: said["columns"] for arm, said in self.asked["arms"].items()}

    @cached_property
    def rows(self) -> Joined:
        """The joined rows: `SPINE_ROW`, the spine's columns, the features as asked."""
        joined = join_views(self.spine.frame, self.views, self.spine.rows)
        return joined.select([SPINE_ROW, *self.spine.columns, *self.features])

    def to_spark_df(self) -> DataFrame:
        """A Spark frame in the spine's order. What fails while it runs comes as Spark's error."""
        with join_errors(self.views):
            return self.rows.frame.orderBy(SPINE_ROW).drop(SPINE_ROW)

    def to_arrow(self) -> pa.Table:
        """An Arrow table: types as they are stored, times in UTC at microseconds.

        Raises:
            FilesMissing: files of a version went after the request had been made.
            TableError: the join failed.
        """
        with join_errors(self.views):
            return self.rows.frame.toArrow().sort_by(SPINE_ROW).drop_columns([SPINE_ROW])

    def to_df(self) -> pd.DataFrame:
        """A pandas frame: integers and booleans with nulls in pandas' nullable types, times in UTC.

        Raises:
            FilesMissing: files of a version went after the request had been made.
            TableError: the join failed.
        """
        return to_pandas(self.to_arrow())

    def describe(self) -> pd.DataFrame:
        """What is missing, how old values are at their rows, and how far each view reaches; a row for each feature.

        Returns:
            columns ``view``, ``missing`` and ``coverage`` (shares of the spine's rows), ``age_min``, ``age_mean`` and
            ``age_max`` (of the rows that were found), by feature.
        """
        return describe(self.spine, self.views)

    def save(self, name: str) -> dict[str, Any]:
        """Keeps the result as a training set, which can be proven the same later; gives its manifest.

        Raises:
            UsageError: the name cannot be one, there is such a training set, or a column's name cannot be kept.
            FilesMissing: files of a version went after the request had been made.
            TableError: the join failed, or the rows could not be written.
        """
        with join_errors(self.views):
            rows = self.rows
        content = Content(rows, self.spine.columns, self.features, self.views, self.asked)
        return save(content, name, self.tables, self.run)

"""A training set that was saved: its manifest at once, its rows when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feature_mart.delta.tables import Tables
from feature_mart.errors import UsageError
from feature_mart.train.manifests import SAVED, drop, table_of_set

# What reads rows is imported when rows are read: `mart training-set show` needs none.
if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from mlflow.entities import Run
    from pyspark.sql import DataFrame

    from feature_mart.train.verify import Verified


@dataclass(frozen=True)
class TrainingSet:
    """Rows that were saved, as they were saved.

    ``manifest``: how they were made, as plain data; ``changes``: what today's definitions say otherwise than it.
    """

    manifest: Mapping[str, Any]
    changes: tuple[str, ...]
    tables: Tables

    @property
    def name(self) -> str:
        """What it was saved as."""
        name: str = self.manifest["name"]
        return name

    def to_spark_df(self) -> DataFrame:
        """A Spark frame in the spine's order."""
        from feature_mart.train.spine import SPINE_ROW

        return self._rows().orderBy(SPINE_ROW).drop(SPINE_ROW)

    def to_arrow(self) -> pa.Table:
        """An Arrow table: types as they are stored, times in UTC at microseconds."""
        from feature_mart.train.spine import SPINE_ROW

        return self._rows().toArrow().sort_by(SPINE_ROW).drop_columns([SPINE_ROW])

    def to_df(self) -> pd.DataFrame:
        """A pandas frame: integers and booleans with nulls in pandas' nullable types, times in UTC."""
        from feature_mart.columns.frames import to_pandas

        return to_pandas(self.to_arrow())

    def verify(self, on_step: Callable[[str], None] | None = None) -> Verified:
        """Makes it again from the versions in its manifest, and compares the two to the last bit.

        Args:
            on_step: is told what was found so far.

        Raises:
            TableError: the table that keeps it is damaged.
        """
        from feature_mart.train.verify import quiet, verify

        return verify(self.name, self.tables, self.tables.session(), self.changes, on_step or quiet)

    def drop(self) -> list[tuple[str, int]]:
        """Removes it for good: the versions that it needed may be vacuumed, and its name can be used again.

        Returns:
            The versions, each with its view, that no training set needs any more.

        Raises:
            UsageError: it is gone already, or the tables are not on a local disk.
            TableError: files cannot be removed.
        """
        return drop(self.name, self.tables)

    def log_to_mlflow(self, run: Run | str) -> None:
        """Attaches the manifest to a run, at the tracking server that MLflow is set to (extra ``mlflow``).

        The run gets the artifact ``training_sets/<name>.json``, and tags with the set's name and its digest.

        Args:
            run: an MLflow run, as of `mlflow.start_run`, or its id.

        Raises:
            UsageError: MLflow is not installed.
        """
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise UsageError("MLflow is not installed: pip install 'feature-mart[mlflow]'.") from error
        client, run_id = MlflowClient(), run if isinstance(run, str) else run.info.run_id
        client.log_dict(run_id, dict(self.manifest), f"training_sets/{self.name}.json")
        client.set_tag(run_id, "feature_mart.training_set", self.name)
        client.set_tag(run_id, "feature_mart.training_set_digest", self.manifest["digest"])

    def _rows(self) -> DataFrame:
        return table_of_set(self.name, self.tables).read(SAVED)

"""A spine from wherever it comes: the same rows, in their order, with their types."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_mart import UsageError
from feature_mart.definitions import load_project
from feature_mart.delta.address import Location
from feature_mart.delta.tables import Tables
from feature_mart.testing import write_files, write_tiny_mart
from feature_mart.train.request import ViewRequest, resolve
from feature_mart.train.spine import SPINE_ROW, Spine, read_spine

FIRST = datetime(2011, 1, 1, tzinfo=timezone.utc)
ROWS = 500


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> tuple[ViewRequest, ...]:
    project = load_project(write_tiny_mart(tmp_path_factory.mktemp("mart")), None, {})
    return resolve(project, "customer_orders:amount", columns_of=lambda view: ["amount"])


@pytest.fixture
def spine(spark: SparkSession, requests: tuple[ViewRequest, ...], tmp_path: Path) -> Callable[[object], Spine]:
    tables = Tables(Location(warehouse=str(tmp_path / "warehouse")), lambda: spark)

    def read(entity_df: object) -> Spine:
        def table_of(name: str) -> object:
            return tables.table(name) if name == "labels" else None

        return read_spine(spark, entity_df, requests, root=tmp_path, table_of=table_of)  # type: ignore[arg-type]

    return read


def rows() -> pa.Table:
    """Numbers that say their place, keys with nulls, and a null time; not in the order of any column but ``label``."""
    keys = [None if at % 7 == 0 else (at * 37) % 11 for at in range(ROWS)]
    times = [None if at == 3 else FIRST + timedelta(hours=(at * 13) % 100, microseconds=at) for at in range(ROWS)]
    return pa.table(
        {
            "customer_id": pa.array(keys, pa.int32()),
            "event_timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
            "label": pa.array(range(ROWS), pa.int64()),
        }
    )


def in_order(spine: Spine) -> pa.Table:
    found = spine.frame.toArrow().sort_by(SPINE_ROW)
    assert found[SPINE_ROW].to_pylist() == list(range(spine.rows))
    assert tuple(found.column_names) == (*spine.columns, SPINE_ROW)
    return found.drop_columns([SPINE_ROW])


def expected() -> pa.Table:
    given = rows()
    return given.set_column(0, "customer_id", given["customer_id"].cast(pa.int64()))


def test_rows_in_memory(spine: Callable[[object], Spine]) -> None:
    assert in_order(spine(rows())) == expected()
    frame = rows().to_pandas().astype({"customer_id": "Int32"}).set_index(np.zeros(ROWS))
    assert in_order(spine(frame)) == expected()
    assert spine(rows().slice(0, 0)).rows == 0
    nested = pa.struct([("tags", pa.list_(pa.string())), ("counts", pa.map_(pa.string(), pa.int64()))])
    more = {
        "money": pa.array([Decimal("0.000000000000000001"), None], pa.decimal128(38, 18)),
        "nested": pa.array([{"tags": ["a", None], "counts": [("x", None)]}, None], nested),
        "nan": pa.array([float("nan"), None], pa.float64()),
        "whole": pa.array([2**53 + 1, None], pa.int64()),
    }
    given = rows().slice(0, 2)
    for name, values in more.items():
        given = given.append_column(name, values)
    found = in_order(spine(given)).select(list(more))
    assert found.schema.types == [array.type for array in more.values()]
    assert str(found.to_pylist()) == str(given.select(list(more)).to_pylist())  # as texts: no NaN equals another


def test_a_spark_frame_of_another_session(
    spine: Callable[[object], Spine], started_spark: SparkSession, spark: SparkSession
) -> None:
    other = started_spark.newSession()
    other.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    frame = other.createDataFrame(rows()).repartition(5).orderBy("label")
    # What its session makes of a text is in the frame; the engine's session, which would say UTC, comes later.
    frame = frame.withColumn("noon", F.to_timestamp(F.lit("2011-01-01 12:00:00")))
    found = spine(frame)
    assert found.frame.sparkSession is spark
    table = in_order(found)
    assert set(table["noon"].to_pylist()) == {datetime(2011, 1, 1, 6, 30, tzinfo=timezone.utc)}
    assert table.drop_columns(["noon"]) == expected()
    assert in_order(spine(frame.where("label < 0"))).num_rows == 0


def test_files_in_the_order_of_their_paths(
    spine: Callable[[object], Spine], spark: SparkSession, tmp_path: Path
) -> None:
    given = rows()
    folder = tmp_path / "labels [1].parquet"
    folder.mkdir()
    # The last file is the largest, which Spark would read first; and it is read in several blocks.
    spark.conf.set("spark.sql.files.maxPartitionBytes", "2000")
    for name, start, stop in (("a", 0, 10), ("b", 10, 30), ("c", 30, ROWS)):
        pq.write_table(given.slice(start, stop - start), folder / f"{name}.parquet", row_group_size=50)
    assert in_order(spine(folder.name)) == expected()
    assert in_order(spine(folder / "b.parquet")) == expected().slice(10, 20)
    table = str(tmp_path / "warehouse" / "labels")
    spark.createDataFrame(given).repartitionByRange(3, "label").sortWithinPartitions("label").write.format(
        "delta"
    ).save(table)
    assert in_order(spine("labels")) == in_order(spine(table)) == expected()


def test_csv(spine: Callable[[object], Spine], tmp_path: Path) -> None:
    lines = (
        "customer_id,event_timestamp,label,note",
        '17,2011-01-02,0.5,"a',
        'b"',
        ",2011-01-01T10:00:00.000001+05:30,1,",
        '9007199254740993,2011-01-01 10:00:00.123456Z,,"say ""hi"""',
    )
    text = "\n".join(lines) + "\n"
    write_files(tmp_path, {"labels.csv": text, "folder/x.csv": text})
    found = spine("labels.csv")
    assert dict(found.frame.dtypes) == {
        "customer_id": "bigint",
        "event_timestamp": "timestamp",
        "label": "double",
        "note": "string",
        SPINE_ROW: "bigint",
    }
    assert [tuple(row.values()) for row in in_order(found).to_pylist()] == [
        (17, datetime(2011, 1, 2, tzinfo=timezone.utc), 0.5, "a\nb"),
        (None, datetime(2011, 1, 1, 4, 30, microsecond=1, tzinfo=timezone.utc), 1.0, None),
        (9007199254740993, datetime(2011, 1, 1, 10, microsecond=123456, tzinfo=timezone.utc), None, 'say "hi"'),
    ]
    assert spine("folder").rows == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("17.5,2011-01-02,1", "customer_id: '17.5' is no bigint. The row: '17.5,2011-01-02,1'"),
        ("17,02/01/2011,1", "event_timestamp: '02/01/2011' is no timestamp. The row: '17,02/01/2011,1'"),
        ("17,10:00,1", "event_timestamp: '10:00' is no timestamp. The row: '17,10:00,1'"),
        (
            "17,2011-01-02 10:00:00.0000001,1",
            "event_timestamp: finer than a microsecond. The row: '17,2011-01-02 10:00:00.0000001,1'",
        ),
        ("17,2011-01-02", "not 3 fields, as the header has. The row: '17,2011-01-02'"),
    ],
)
def test_csv_rows_that_are_none(spine: Callable[[object], Spine], tmp_path: Path, line: str, said: str) -> None:
    write_files(tmp_path, {"labels.csv": f"customer_id,event_timestamp,label\n1,2011-01-01,1\n{line}\n"})
    with pytest.raises(UsageError) as told:
        spine("labels.csv")
    assert told.value.message == (
        f"the spine labels.csv has a row that cannot be read: {said}. Mend it: keys are written as the mart's types, "
        "times in ISO 8601, as in 2011-12-01T06:00:00Z."
    )


def test_what_is_no_spine_is_named(spine: Callable[[object], Spine], spark: SparkSession, tmp_path: Path) -> None:
    write_files(tmp_path, {"labels.txt": "x\n", "labels.parquet": "x\n", "empty/x.txt": ""})
    kinds = "Allowed: .csv (and .csv.gz), .parquet, a folder of these, or a Delta table's folder."
    for given, said in (
        (
            "lables",
            f"there is no spine lables: neither a table of the mart is called so, nor is there a file or folder "
            f"{tmp_path}/lables.",
        ),
        ("labels.txt", f"the spine {tmp_path}/labels.txt is no file that can be read. {kinds}"),
        ("empty", f"the spine {tmp_path}/empty is no file that can be read. {kinds}"),
        ([1], "a spine cannot be a list. Give a pandas, Arrow or Spark frame, a path, or the name of a table."),
        (
            spark.range(1),
            "the spine has no column customer_id, the key of customer_orders. It has: id. Rename the column that holds "
            "it, or name it in join_keys={'customer_orders': {'customer_id': …}}.",
        ),
    ):
        with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
            spine(given)
    with pytest.raises(UsageError, match=r"^the spine labels\.parquet cannot be read: "):
        spine("labels.parquet")
    with pytest.raises(
        UsageError,
        match=r"^the spine has a column of a type that Spark does not have: precision should be between 1 and 38",
    ):
        spine(rows().slice(0, 1).append_column("big", pa.array([Decimal(1)], pa.decimal256(50, 0))))
    failing = spark.createDataFrame(rows()).withColumn("label", F.expr("1 div (label - 1)"))
    with pytest.raises(UsageError, match=r"^the spine frame cannot be read: .*Division by zero"):
        spine(failing)

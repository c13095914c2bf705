"""Sources of every format: what is read, what is set aside, and what is refused, by the name of its file."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, SourceError
from feature_mart.definitions import Source, load_project
from feature_mart.delta.address import TableAddress
from feature_mart.delta.tables import Table
from feature_mart.read.ingest import plan_ingest, read_files
from feature_mart.runner.workspace import Event
from feature_mart.testing import FixedClock, write_tiny_mart

NOW = datetime(2011, 1, 3, 12, tzinfo=timezone.utc)
SCHEMA = {"id": "bigint", "name": "string"}


@dataclass(frozen=True)
class Read:
    """What one ingest read, as plain values."""

    rows: list[tuple[Any, ...]]
    aside: list[tuple[str, str, str]]
    counts: dict[str, tuple[int, int]]
    remarks: tuple[str, ...]


READ = Callable[..., Read]


def _by_first(row: tuple[Any, ...]) -> Any:
    return -1 if row[0] is None else row[0]


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return load_project(write_tiny_mart(tmp_path_factory.mktemp("mart"))).sources["orders"]


@pytest.fixture
def read(spark: SparkSession, tmp_path: Path, declared: Source) -> READ:
    """Writes files into a folder and reads that folder as one source, every file new."""

    def read_all(
        files: Mapping[str, bytes | str] | None = None,
        *,
        schema: Mapping[str, str] = SCHEMA,
        kind: Literal["csv", "json", "parquet"] = "csv",
        options: Mapping[str, str] | None = None,
    ) -> Read:
        folder = tmp_path / "in"
        for name, content in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        source = replace(
            declared, format=kind, path="in/*", options=dict(options or {}), schema=dict(schema), event_timestamp=None
        )
        table = Table(TableAddress("orders", uri=str(tmp_path / "none")), lambda: spark)
        found = read_files(spark, plan_ingest(source, tmp_path, table, None, now=NOW, anew=False), None)
        try:
            rows = sorted((tuple(row) for row in found.rows.select(*schema).collect()), key=_by_first)
            aside = sorted(tuple(row) for row in found.quarantined.collect())
            counts = {
                row["_file"]: (row["_file_rows"], row["_file_quarantined"]) for row in found.markers.toLocalIterator()
            }
            return Read(rows, aside, counts, found.remarks)
        finally:
            found.release()

    return read_all


# csv


def test_csv_in_all_the_ways_that_programs_write_it(read: READ) -> None:
    found = read(
        {
            "bom.csv": b"\xef\xbb\xbfid,name\n1,bom\n",
            "crlf.csv": b"id,name\r\n2,crlf\r\n3,again\r\n",
            "lines.csv": 'id,name\n4,"two\nlines"\n5,"a ""quoted"" word"\n6,"a, comma"\n',
            "no-end.csv": "id,name\n7,last",
            "order.csv": "name,id\nturned,8\n",
            "header.csv": "id,name\n",
            "empty.csv": "",
            "extra.csv": "id,other,name,other\n9,x,extra,y\n",
            "packed.csv.gz": gzip.compress(b"id,name\n10,gz\n", mtime=0),
            "packed.csv.bz2": bz2.compress(b"id,name\n11,bz2\n"),
            "quoted-header.csv": '"id","name"\n12,quoted header\n',
            "spaces.csv": "id , name\n13,padded header\n",
        }
    )
    assert found.rows == [
        (1, "bom"),
        (2, "crlf"),
        (3, "again"),
        (4, "two\nlines"),
        (5, 'a "quoted" word'),
        (6, "a, comma"),
        (7, "last"),
        (8, "turned"),
        (9, "extra"),
        (10, "gz"),
        (11, "bz2"),
        (12, "quoted header"),
        (13, "padded header"),
    ]
    assert found.aside == []
    assert found.counts["header.csv"] == found.counts["empty.csv"] == (0, 0)
    assert found.counts["lines.csv"] == (3, 0)
    assert found.remarks == (
        "source orders: empty.csv is empty",
        "source orders: extra.csv has columns that are not declared and not read: other, other",
    )


def test_file_names_are_kept_as_they_are(read: READ) -> None:
    names = ["a b.csv", "a+b.csv", "100%.csv", "a%20b.csv", "größe.csv", "a[1].csv", "a{b}.csv", "a,b.csv", "a'b.csv"]
    found = read({name: f"id,name\n{number},x\n" for number, name in enumerate(names)})
    assert found.counts == dict.fromkeys(names, (1, 0))
    assert found.rows == [(number, "x") for number in range(len(names))]


def test_other_separators_and_no_header(read: READ) -> None:
    assert read({"a.csv": 'id;name\n1;"a;b"\n'}, options={"sep": ";"}).rows == [(1, "a;b")]
    assert read({"a.csv": "id\tname\n1\ta\n"}, options={"delimiter": "\t"}).rows == [(1, "a")]
    assert read({"a.csv": "id\tname\n1\ta\n"}, options={"sep": "\\t"}).rows == [(1, "a")]
    assert read({"a.csv": "id||name\n1||a\n"}, options={"sep": "||"}).rows == [(1, "a")]
    assert read({"a.csv": 'id,name\n1,a"b\n'}, options={"quote": ""}).rows == [(1, 'a"b')]
    assert read({"a.csv": "'id','name'\n1,'a,b'\n"}, options={"quote": "'", "escape": "'"}).rows == [(1, "a,b")]
    headless = read({"a.csv": b"\xef\xbb\xbf1,first\n2,second\n3\n"}, options={"header": "false"})
    assert headless.rows == [(1, "first"), (2, "second")]
    assert [(file, reason) for file, reason, _ in headless.aside] == [("a.csv", "not 2 fields, as the header has")]


def test_rows_that_do_not_fit_are_set_aside_by_file(read: READ) -> None:
    found = read({"a.csv": "id,name\n1,a\nx,b\n2\n3,c,d\n,e\n", "b.csv": b"id,name\n4,caf\xe9\n"})
    assert found.rows == [(None, "e"), (1, "a")]
    assert found.counts == {"a.csv": (2, 3), "b.csv": (0, 1)}
    assert sorted(reason for _, reason, _ in found.aside) == [
        "id: 'x' is no bigint",
        "name: bytes that are not UTF-8",
        "not 2 fields, as the header has",
        "not 2 fields, as the header has",
    ]
    assert [raw for _, reason, raw in found.aside if reason.startswith("id")] == ["x,b"]


def test_a_declared_encoding_is_used(read: READ) -> None:
    assert read({"a.csv": "id,name\n1,größe\n".encode("latin-1")}, options={"encoding": "ISO-8859-1"}).rows == [
        (1, "größe")
    ]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("a.csv", b"id,label\n1,a\n", r"a\.csv has no column name\. Its header has: id, label\."),
        ("a.csv", b"id;name\n1;a\n", r"a\.csv has no column id, name.*divided by ';': declare `options: \{sep: ';'\}`"),
        ("a.csv", b"id,id,name\n1,2,a\n", r"the header of a\.csv has id more than once"),
        ("a.csv.gz", gzip.compress(b"id,name\n1,a\n" * 100, mtime=0)[:-12], r"a\.csv\.gz cannot be read"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xffnot deflate at all", r"a\.csv\.gz cannot be read"),
        ("a.csv.gz", b"id,name\n1,a\n", r"a\.csv\.gz cannot be read"),
        ("a.csv.bz2", b"BZh9 no", r"a\.csv\.bz2 cannot be read"),
        ("a.csv", b'"' + b"x" * 200_000 + b'"\n', r"a\.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(read: READ, file: str, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=rf"^source orders: .*{said}"):
        read({"good.csv": "id,name\n1,a\n", file: content})


def test_a_file_that_breaks_off_behind_its_header_is_named(read: READ) -> None:
    # Random names, so that the packed file is long and its first megabyte reads well.
    lines = "".join(f"{number},{hash((number, 'x'))}{number * 7919 % 100_003}\n" for number in range(100_000))
    packed = gzip.compress(b"id,name\n" + lines.encode(), compresslevel=1, mtime=0)
    with pytest.raises(SourceError, match=r"source orders: .*broken\.csv\.gz"):
        read({"broken.csv.gz": packed[: len(packed) * 3 // 4]})


# json


def test_json_fields_get_their_types(read: READ) -> None:
    schema = {"id": "bigint", "ok": "boolean", "share": "double", "tags": "array<string>", "at": "struct<x:int>"}
    lines = [
        {"id": 1, "ok": True, "share": 0.5, "tags": ["a", "b"], "at": {"x": 1}, "other": "not read"},
        {"id": "2", "ok": "false", "share": "1e3"},
        {},
    ]
    found = read(
        {
            "a.json": "".join(json.dumps(line) + "\n" for line in lines),
            "b.json.gz": gzip.compress(b'{"id": 3}\n\n{"id": 4}', mtime=0),
            "empty.json": "",
        },
        kind="json",
        schema=schema,
    )
    assert found.rows == [
        (None, None, None, None, None),
        (1, True, 0.5, ["a", "b"], (1,)),
        (2, False, 1000.0, None, None),
        (3, None, None, None, None),
        (4, None, None, None, None),
    ]
    assert found.counts == {"a.json": (3, 0), "b.json.gz": (2, 0), "empty.json": (0, 0)}
    assert found.remarks == ("source orders: empty.json is empty",)


def test_json_that_does_not_fit_is_set_aside_with_its_field(read: READ) -> None:
    lines = ['{"id": 1, "tags": ["a"]}', '{"id": 1.5}', '{"id": "x"}', '{"id": 2', "5", '{"id": 3, "tags": "no list"}']
    found = read({"a.json": "\n".join(lines)}, kind="json", schema={"id": "bigint", "tags": "array<string>"})
    assert found.rows == [(1, ["a"])]
    assert [(reason, raw) for _, reason, raw in found.aside] == [
        ("id: '1.5' is no bigint", '{"id":"1.5"}'),
        ("id: 'x' is no bigint", '{"id":"x"}'),
        ("no JSON object, or a nested field of another type", "5"),
        ("no JSON object, or a nested field of another type", '{"id": 2'),
        ("no JSON object, or a nested field of another type", '{"id": 3, "tags": "no list"}'),
    ]


def test_a_json_field_that_no_object_has_is_reported(read: READ) -> None:
    lines = '{"id": 1}\n{"id": 2, "nmae": "x", "tags": null}\n'
    found = read({"a.json": lines}, kind="json", schema={"id": "bigint", "name": "string", "tags": "array<string>"})
    assert found.rows == [(1, None, None), (2, None, None)]
    assert found.remarks == (
        "source orders: no object that was read has a value in name",
        "source orders: no object that was read has a value in tags",
    )


def test_a_json_document_may_span_lines(read: READ) -> None:
    text = json.dumps([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], indent=2)
    assert read({"a.json": text}, kind="json", options={"multiLine": "true"}).rows == [(1, "a"), (2, "b")]


def test_a_damaged_json_file_is_named(read: READ) -> None:
    packed = gzip.compress("".join(f'{{"id": {n * 7919}}}\n' for n in range(1000)).encode(), mtime=0)
    with pytest.raises(SourceError, match=r"source orders: .*a\.json\.gz"):
        read({"a.json.gz": packed[:-100]}, kind="json")


# parquet


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def test_parquet_types_may_be_narrower_and_differ_between_files(read: READ) -> None:
    noon = datetime(2011, 1, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
    found = read(
        {
            "a.parquet": parquet(id=pa.array([1], pa.int32()), at=pa.array([noon], pa.timestamp("us")), more=[0]),
            "b.parquet": parquet(at=pa.array([noon], pa.timestamp("ms", tz="UTC"), safe=False), id=[2]),
            "c.parquet": parquet(id=pa.array([], pa.int64()), at=pa.array([], pa.timestamp("us", tz="UTC"))),
        },
        kind="parquet",
        schema={"id": "bigint", "at": "timestamp"},
    )
    # Python shows an instant in the machine's zone; both were noon UTC.
    assert [(row[0], round(row[1].timestamp() * 1e6) % 86_400_000_000) for row in found.rows] == [
        (1, 43_200_123_456),
        (2, 43_200_123_000),
    ]
    assert found.counts == {"a.parquet": (1, 0), "b.parquet": (1, 0), "c.parquet": (0, 0)}
    assert found.remarks == ("source orders: a.parquet has columns that are not declared and not read: more",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (parquet(id=[1]), r"a\.parquet has no column name\. It has: id\."),
        (parquet(id=[1.5], name=["a"]), r"a\.parquet has id as double, which does not fit bigint without loss"),
        (parquet(id=[1], name=[7]), r"a\.parquet has name as bigint, which does not fit string"),
        (b"", r"a\.parquet is no readable Parquet file"),
        (b"PAR1 nothing PAR1", r"a\.parquet is no readable Parquet file"),
    ],
)
def test_parquet_that_does_not_fit_is_refused(read: READ, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=rf"^source orders: {said}"):
        read({"a.parquet": content}, kind="parquet")


# jdbc, against Apache Derby, which comes with Spark


@pytest.fixture
def derby(spark: SparkSession, tmp_path: Path) -> Callable[..., str]:
    """Runs statements in a database of the test's own and gives its URL."""
    jvm: Any = spark._jvm
    jvm.System.setProperty("derby.stream.error.file", str(tmp_path / "derby.log"))
    url = f"jdbc:derby:{tmp_path / 'db'};create=true;user=reader;password=sesame-42"

    def run(*statements: str) -> str:
        connection = jvm.java.sql.DriverManager.getConnection(url)
        try:
            for statement in statements:
                connection.createStatement().execute(statement)
        finally:
            connection.close()
        return url

    return run


JDBC_SOURCE = """
    sources:
      orders:
        description: One order.
        owner: sales@example.com
        format: jdbc
        options:
          url: ${DATABASE_URL}
          dbtable: ORDERS
          driver: org.apache.derby.iapi.jdbc.AutoloadedDriver
        schema: {customer_id: bigint, order_no: string, ordered_at: timestamp, amount: double}
        event_timestamp: ordered_at
    """


def test_a_database_table_is_copied_and_versioned(
    spark: SparkSession, tmp_path: Path, derby: Callable[..., str]
) -> None:
    url = derby(
        "create table orders (customer_id int, order_no varchar(9), ordered_at timestamp, amount double, extra int)",
        "insert into orders values (1, 'a', '2011-01-01 10:00:00.123456', 5.0, 0)",
        "insert into orders values (2, 'b', '2011-01-02 09:00:00', null, 0)",
    )
    root = write_tiny_mart(tmp_path / "mart", {"metadata/sources.yml": JDBC_SOURCE})

    def build() -> tuple[FeatureStore, bool]:
        store = FeatureStore(root, spark=spark, now=FixedClock("2011-01-03T12:00:00Z"), variables={"DATABASE_URL": url})
        return store, store.build().committed

    store, committed = build()
    assert committed
    text = "select customer_id, order_no, unix_micros(ordered_at) % 1000000 as us, amount from customer_orders"
    assert sorted(tuple(row) for row in store.query(text).collect()) == [(1, "a", 123456, 5.0), (2, "b", 0, None)]
    assert build()[1] is False
    derby("update orders set amount = 7.0 where customer_id = 2")
    store, committed = build()
    assert committed
    assert [entry["version"] for entry in store.history("orders")] == [1, 0]
    assert store.history("customer_orders")[0]["intervals"] == [["2011-01-02T00:00:00Z", "2011-01-03T00:00:00Z"]]
    assert sorted(row["amount"] for row in store.table("customer_orders").collect()) == [5.0, 7.0]
    assert "sesame" not in json.dumps([store.history("orders"), store.show("orders")], default=str)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dbtable": "NO_SUCH"}, "source orders: the database cannot be read: "),
        (
            {"url": "jdbc:derby:/nowhere/db;user=reader;password=sesame-42"},
            "source orders: the database cannot be read",
        ),
        ({"url": "jdbc:nosuch:db?password=sesame-42"}, "source orders: the database cannot be read"),
        ({"driver": "com.example.NoDriver"}, "source orders: the database cannot be read"),
        ({"dbtable": "OTHER"}, "source orders: the table has no column ordered_at. It has: CUSTOMER_ID, ORDER_NO."),
        ({"dbtable": "WIDE"}, "source orders: column order_no is int, which does not fit string without loss."),
    ],
)
def test_errors_of_a_database_never_show_the_password(
    spark: SparkSession, derby: Callable[..., str], declared: Source, change: dict[str, str], said: str
) -> None:
    from feature_mart.read.jdbc import read_jdbc

    url = derby(
        "create table other (customer_id int, order_no varchar(9))", "create table wide (customer_id int, order_no int)"
    )
    options = {"url": url, "dbtable": "OTHER", "driver": "org.apache.derby.iapi.jdbc.AutoloadedDriver"}
    source = replace(declared, format="jdbc", path=None, options={**options, "password": "pw7", **change})
    with pytest.raises(SourceError) as caught:
        read_jdbc(spark, source)
    assert str(caught.value).startswith(said)
    shown = f"{caught.value} {caught.value!r} {caught.value.facts} {caught.value.__cause__}"
    assert "sesame" not in shown
    assert "pw7" not in shown
    assert all(name in shown for name in ("NO_SUCH", "NoDriver") if name in "".join(change.values()))


# tables that are read in place


@pytest.mark.parametrize("kind", ["delta", "table"])
def test_delta_and_catalog_tables_are_read_in_place_at_the_pinned_version(
    spark: SparkSession, tmp_path: Path, kind: str
) -> None:
    told: list[Event] = []

    def add(customer: int, day: int | None) -> None:
        moment = "cast(null as timestamp)" if day is None else f"timestamp'2011-01-0{day}T10:00:00Z'"
        frame = spark.sql(
            f"select {customer}L as customer_id, 'n{customer}' as order_no, "
            f"{moment} as ordered_at, 1.0D as amount, 'not declared' as more"
        )
        frame.write.format("delta").mode("append").option("delta.enableChangeDataFeed", "true").save(f"{tmp_path}/lake")

    add(1, 1)
    if kind == "table":
        spark.sql(f"create table lake_orders using delta location '{tmp_path}/lake'")
    place = f"path: {tmp_path}/lake" if kind == "delta" else "table: spark_catalog.default.lake_orders"
    declaration = f"""
        sources:
          orders:
            description: One order.
            owner: sales@example.com
            format: {kind}
            {place}
            event_timestamp: ordered_at
            clock_skew: 22h
        """
    root = write_tiny_mart(tmp_path / "mart", {"metadata/sources.yml": declaration})
    store = FeatureStore(root, spark=spark, now=FixedClock("2011-01-04T12:00:00Z"), on_event=told.append)
    try:
        assert store.build().committed
        assert store.history("customer_orders")[0]["inputs"]["orders"]["version"] == 0
        assert not (root / "warehouse/orders").exists()
        assert not store.build().committed
        add(2, 3)
        store.build()
        (last, _) = store.history("customer_orders")
        assert last["inputs"]["orders"]["version"] == 1
        assert last["intervals"] == [["2011-01-03T00:00:00Z", "2011-01-04T00:00:00Z"]]
        assert [event for event in told if event.kind == "remark"] == []
        add(3, None)
        add(4, 3)
        add(5, 5)
        add(6, 6)
        store.build()
        assert [event.text for event in told if event.kind == "remark"] == [
            "rows of orders without ordered_at, which are in no interval: 1",
            "rows of orders with ordered_at more than the clock_skew of 22h after now, which are not built yet: 1",
        ]
        assert sorted(row["customer_id"] for row in store.table("customer_orders").collect()) == [1, 2, 4]
        assert [
            row["n"] for row in store.query("select count(*) as n from orders", versions={"orders": 0}).collect()
        ] == [1]
    finally:
        if kind == "table":
            spark.sql("drop table lake_orders")


def test_a_source_that_is_no_delta_table_is_named(spark: SparkSession, tmp_path: Path) -> None:
    declaration = """
        sources:
          orders:
            description: One order.
            owner: sales@example.com
            format: delta
            path: nowhere
            event_timestamp: ordered_at
        """
    root = write_tiny_mart(tmp_path, {"metadata/sources.yml": declaration})
    with pytest.raises(SourceError, match="source orders: there is no Delta table at nowhere"):
        FeatureStore(root, spark=spark).build()

"""Bad files of a source: every line is a row or is set aside with its reason, or the build ends with a clear error.

What a single reader makes of a file is tested in test_formats.py; here is the whole of `mart build`, over a mart that
has been published before.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, SourceError, TransientError
from feature_mart.cli.main import main
from feature_mart.delta.session import engine_session
from feature_mart.runner.workspace import Event, ignore
from feature_mart.testing import FixedClock, write_files, write_tiny_mart

HEADER = "customer_id,order_no,ordered_at,amount\n"
DAY = "2011-01-01 12:00:00"
NOW = "2011-01-03T12:00:00Z"
FIRST = [(1, "a", 5.0), (1, "c", 2.5), (2, "b", 7.5)]


@pytest.fixture(scope="module")
def root(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mart that was built once."""
    root = write_tiny_mart(tmp_path_factory.mktemp("mart"))
    store_of(started_spark, root).build()
    return root


def store_of(spark: SparkSession, root: Path, told: Callable[[Event], None] = ignore) -> FeatureStore:
    return FeatureStore(root, spark=engine_session(spark), now=FixedClock(NOW), on_event=told)


def mart(root: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["--mart", str(root), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def published(spark: SparkSession, root: Path) -> list[tuple[object, ...]]:
    sql = "select customer_id, order_no, amount from customer_orders order by all"
    return [tuple(row) for row in store_of(spark, root).query(sql).collect()]


def refused(spark: SparkSession, root: Path, *said: str) -> None:
    """`mart build` ends with exit code 1 and these texts, without a trace, and what was published stays."""
    result = mart(root, "build")
    assert result.exit_code == 1, result.output
    for text in said:
        assert text in result.stderr
    assert "Nothing was published by this run." in result.stderr
    assert "\tat " not in result.stderr
    assert "Traceback" not in result.stderr
    assert published(spark, root) == FIRST
    assert [entry["version"] for entry in store_of(spark, root).history("orders")] == [0]


NEW_FILES: dict[str, str | bytes] = {
    "empty.csv": b"",
    "header.csv": HEADER.encode(),
    "bom.csv": b"\xef\xbb\xbf" + f"{HEADER}10,bom,{DAY},1\n".encode(),
    "crlf.csv": f"{HEADER}11,crlf,{DAY},1\n12,crlf,{DAY},2\n".replace("\n", "\r\n").encode(),
    "lines.csv": f'{HEADER}13,"two\nlines",{DAY},1\n'.encode(),
    "latin.csv": f"{HEADER}14,größe,{DAY},1\n15,fine,{DAY},1\n".encode("latin-1"),
    "number.csv": f'{HEADER}16,a,{DAY},"1,200.50"\n17,b,{DAY},"1.200,50"\n18,c,{DAY},1200.50\n'.encode(),
    "time.csv": f"{HEADER}19,a,1/12/2011 8:26,1\n20,b,20110101,1\n21,c,2011-02-30 00:00:00,1\n22,d,,1\n".encode(),
    "years.csv": (
        f"{HEADER}23,first,0001-01-01 00:00:00,1\n24,last,9999-12-31 23:59:59.999999,1\n"
        "25,after,10000-01-01 00:00:00,1\n26,before,0000-01-01 00:00:00,1\n"
    ).encode(),
    "overflow.csv": (
        f"{HEADER}9223372036854775807,most,{DAY},1\n9223372036854775808,more,{DAY},1\n1e3,real,{DAY},1\n"
    ).encode(),
    "numbers.csv": (
        f"{HEADER}27,nan,{DAY},NaN\n28,inf,{DAY},Infinity\n29,minus,{DAY},-Infinity\n30,huge,{DAY},1e999\n"
        f"NaN,key,{DAY},1\n"
    ).encode(),
    "cases.csv": f"customer_id,Order_No,order_no,ordered_at,amount\n31,no,yes,{DAY},1\n".encode(),
}
FOUND = {
    "empty.csv": (0, 0),
    "header.csv": (0, 0),
    "bom.csv": (1, 0),
    "crlf.csv": (2, 0),
    "lines.csv": (1, 0),
    "latin.csv": (1, 1),
    "number.csv": (1, 2),
    "time.csv": (0, 4),
    "years.csv": (2, 2),
    "overflow.csv": (1, 2),
    "numbers.csv": (4, 1),
    "cases.csv": (1, 0),
}
REASONS = [
    ("latin.csv", "order_no: bytes that are not UTF-8"),
    ("number.csv", "amount: '1,200.50' is no double"),
    ("number.csv", "amount: '1.200,50' is no double"),
    ("numbers.csv", "customer_id: 'NaN' is no bigint"),
    ("overflow.csv", "customer_id: '1e3' is no bigint"),
    ("overflow.csv", "customer_id: '9223372036854775808' is no bigint"),
    ("time.csv", "ordered_at: '1/12/2011 8:26' is no timestamp"),
    ("time.csv", "ordered_at: '2011-02-30 00:00:00' is no timestamp"),
    ("time.csv", "ordered_at: '20110101' is no timestamp"),
    ("time.csv", "ordered_at: empty, and it is the event timestamp"),
    ("years.csv", "ordered_at: '0000-01-01 00:00:00' is no timestamp"),
    ("years.csv", "ordered_at: '10000-01-01 00:00:00' is no timestamp"),
]


@pytest.fixture(scope="module")
def taken(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, list[str]]:
    """A published mart after one more build with all of the new files, and the remarks of that build."""
    root = write_tiny_mart(tmp_path_factory.mktemp("mart"))
    store_of(started_spark, root).build()
    sources = (root / "metadata/sources.yml").read_text()
    write_files(root, {"metadata/sources.yml": sources + "    quarantine: {maximum_share: 0.5}\n"})
    write_files(root, {f"data/orders/{name}": content for name, content in NEW_FILES.items()})
    told: list[Event] = []
    assert store_of(started_spark, root, told.append).build().committed
    return store_of(started_spark, root), [event.text for event in told if event.kind == "remark"]


def test_every_line_is_a_row_or_is_set_aside(taken: tuple[FeatureStore, list[str]]) -> None:
    from feature_mart.read.ingest import known_files

    store, remarks = taken
    table = store._workspace.tables.table("orders")
    current = table.current()
    assert current is not None
    known = known_files(table, current.version)
    assert {name: (known[name].rows, known[name].quarantined) for name in NEW_FILES} == FOUND
    aside = store.query("select file, reason from orders__quarantine order by all").collect()
    assert [(row[0], row[1]) for row in aside] == REASONS
    assert "source orders: empty.csv is empty" in remarks
    assert "source orders: cases.csv has columns that are not declared and not read: Order_No" in remarks


def test_what_fits_is_what_stood_in_the_files(taken: tuple[FeatureStore, list[str]]) -> None:
    store, _ = taken
    nothing = "customer_id is null or order_no is null or ordered_at is null or amount is null"
    assert store.query(f"select count(*) as n from orders where {nothing}").first() == (0,)
    sql = "select customer_id, order_no, unix_micros(ordered_at) as at, amount from orders where customer_id > 2"
    rows = {row[0]: tuple(row)[1:] for row in store.query(sql).collect()}
    assert {key: rows[key][0] for key in (10, 12, 13, 31, 2**63 - 1)} == {
        10: "bom",
        12: "crlf",
        13: "two\nlines",
        31: "yes",
        2**63 - 1: "most",
    }
    assert rows[23][1] == -62_135_596_800_000_000
    assert rows[24][1] == 253_402_300_799_999_999
    assert rows[18][2] == 1200.5
    assert math.isnan(rows[27][2])
    assert [rows[28][2], rows[29][2], rows[30][2]] == [math.inf, -math.inf, math.inf]


def test_the_view_has_every_row_up_to_its_horizon(taken: tuple[FeatureStore, list[str]]) -> None:
    store, _ = taken
    missing = "select order_no from orders except select order_no from customer_orders"
    assert [row[0] for row in store.query(missing).collect()] == ["last"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "cut.csv.gz",
            gzip.compress(f"{HEADER}9,x,{DAY},1\n".encode() * 50, mtime=0)[:-12],
            "cut.csv.gz cannot be read",
        ),
        ("semicolon.csv", HEADER.replace(",", ";") + f"9;x;{DAY};1\n", "declare `options: {sep: ';'}`"),
        ("twice.csv", HEADER.replace("order_no", "amount"), "the header of twice.csv has amount more than once"),
        ("case.csv", HEADER.replace("amount", "Amount"), "case.csv has no column amount. Its header has: customer_id"),
    ],
)
def test_a_file_that_is_refused_leaves_all_as_it_was(
    started_spark: SparkSession, root: Path, name: str, content: str | bytes, said: str
) -> None:
    write_files(root, {f"data/orders/{name}": content, "data/orders/good.csv": f"{HEADER}9,good,{DAY},1\n"})
    declared = (root / "metadata/sources.yml").read_text()
    pattern = "data/orders/*.csv*"
    write_files(root, {"metadata/sources.yml": declared.replace("data/orders/*.csv\n", f"{pattern}\n")})
    try:
        refused(started_spark, root, "Error: source orders: ", said, "othing of this run was ingested")
    finally:
        write_files(root, {f"data/orders/{name}": None, "data/orders/good.csv": None, "metadata/sources.yml": declared})


def test_a_source_without_files_is_named_with_its_path(started_spark: SparkSession, root: Path) -> None:
    declared = (root / "metadata/sources.yml").read_text()
    write_files(root, {"metadata/sources.yml": declared.replace("data/orders", "data/ordres")})
    try:
        refused(
            started_spark,
            root,
            "Error: source orders: no file matches data/ordres/*.csv. Put the files there, or mend `path` in "
            "metadata/sources.yml.",
        )
    finally:
        write_files(root, {"metadata/sources.yml": declared})


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_file_that_vanishes_while_it_is_read(started_spark: SparkSession, tmp_path: Path, kind: str) -> None:
    row = {"customer_id": 9, "order_no": "x", "ordered_at": "2011-01-01T12:00:00Z", "amount": 1.0}
    root = write_tiny_mart(tmp_path, {"data/orders/2011-01-01.csv": None, "data/orders/2011-01-02.csv": None})
    declared = (root / "metadata/sources.yml").read_text().replace("csv", kind).replace("header: true", "")
    file = root / f"data/orders/a.{kind}"
    write_files(root, {"metadata/sources.yml": declared, f"data/orders/a.{kind}": json.dumps(row)})

    def vanish(event: Event) -> None:
        if (event.kind, event.subject) == ("started", "orders"):
            file.unlink()

    with pytest.raises(TransientError, match=rf"^source orders: a\.{kind} was there when the files were listed and"):
        store_of(started_spark, root, vanish).build()
    assert not (root / "warehouse/orders").exists()


@pytest.mark.parametrize("features", [3, pytest.param(2000, marks=pytest.mark.long)])
def test_two_thousand_columns(started_spark: SparkSession, tmp_path: Path, features: int) -> None:
    names = [f"c{number:04d}" for number in range(2000)]
    declared = ", ".join(["customer_id: bigint", "ordered_at: timestamp", *(f"{name}: string" for name in names)])
    kept = [names[0], names[999], names[1999]] if features == 3 else names
    described = "\n".join(f"  {name}: {{description: Column {name}.}}" for name in kept)
    root = write_tiny_mart(tmp_path)
    sources = (root / "metadata/sources.yml").read_text()
    old = "{customer_id: bigint, order_no: string, ordered_at: timestamp, amount: double}"
    view = (root / "metadata/feature_views/customer_orders.yml").read_text().split("features:")[0]
    row = ",".join(["5", "2011-01-01 10:00:00", *(f"v{number}" for number in range(2000))])
    write_files(
        root,
        {
            "metadata/sources.yml": sources.replace(old, "{" + declared + "}"),
            "metadata/feature_views/customer_orders.yml": f"{view}features:\n{described}\n",
            "features/orders.sql": f"select customer_id, ordered_at, {', '.join(kept)} from orders\n",
            "data/orders/2011-01-01.csv": f"customer_id,ordered_at,{','.join(names)}\n{row}\n5,2011-01-01 11:00:00\n",
            "data/orders/2011-01-02.csv": None,
        },
    )
    write_files(
        root,
        {"metadata/sources.yml": (root / "metadata/sources.yml").read_text() + "    quarantine: {maximum_share: 1}\n"},
    )
    store_of(started_spark, root).build()
    store = store_of(started_spark, root)
    found = store.query("select c0000, c0999, c1999 from customer_orders").collect()
    assert [tuple(entry) for entry in found] == [("v0", "v999", "v1999")]
    aside = store.query("select reason from orders__quarantine").collect()
    assert [entry[0] for entry in aside] == ["not 2002 fields, as the header has"]


def test_rows_ahead_of_the_clock_wait_in_the_quarantine_until_their_time(
    started_spark: SparkSession, tmp_path: Path
) -> None:
    root = write_tiny_mart(tmp_path)
    sources = (root / "metadata/sources.yml").read_text().rstrip()
    ahead = f"{HEADER}3,on,2011-01-03 12:10:00,1.0\n3,off,2011-01-03 12:10:00.000001,2.0\n3,far,2011-02-01,3.0\n"
    write_files(root, {"metadata/sources.yml": f"{sources}\n    clock_skew: 10m\n", "data/orders/ahead.csv": ahead})

    def build(now: str) -> tuple[list[str], list[str], list[str]]:
        told: list[Event] = []
        store = FeatureStore(root, spark=engine_session(started_spark), now=FixedClock(now), on_event=told.append)
        store.build()
        read = store.query("select order_no from orders where customer_id = 3 order by all").collect()
        aside = store.query("select reason || ' | ' || raw from orders__quarantine order by all").collect()
        return (
            [row[0] for row in read],
            [row[0] for row in aside],
            [event.text for event in told if event.subject == "orders" and event.kind in ("done", "skipped")],
        )

    reason = "ordered_at: more than the clock_skew of 10m after the run, 2011-01-03T12:00:00Z"
    far = '{"customer_id":3,"order_no":"far","ordered_at":"2011-02-01T00:00:00.000000Z","amount":3.0}'
    off = '{"customer_id":3,"order_no":"off","ordered_at":"2011-01-03T12:10:00.000001Z","amount":2.0}'
    first = (["on"], [f"{reason} | {far}", f"{reason} | {off}"], ["3 files, 4 rows, 2 set aside"])
    assert build(NOW) == first
    assert build(NOW) == (*first[:2], ["3 files, none new"])

    read, aside, said = build("2011-01-03T12:00:00.000001Z")
    assert (read, said) == (["off", "on"], ["1 file, 2 rows, 1 set aside"])
    assert aside == [f"{reason.removesuffix('Z')}.000001Z | {far}"]
    read, aside, said = build("2011-03-01T00:00:00Z")
    assert (read, aside, said) == (["far", "off", "on"], [], ["1 file, 3 rows"])

    limited = f"{sources}\n    clock_skew: 10m\n    quarantine: {{maximum_share: 0.1}}\n"
    write_files(root, {"metadata/sources.yml": limited, "data/orders/ahead.csv": f"{HEADER}3,far,2012-02-01,3.0\n"})
    with pytest.raises(SourceError) as caught:
        store_of(started_spark, root).build()
    assert "1 of 1 new rows (100.00%) do not fit" in str(caught.value)
    assert "ordered_at: more than the clock_skew of 10m after the run" in str(caught.value)

"""Historical features from a spine to a result, against brute force over the rows that the mart was made from."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_mart import FeatureStore, FilesMissing, UsageError
from feature_mart.delta.session import engine_session
from feature_mart.testing import FixedClock
from feature_mart.train import join
from tests.large_tables import large_tables
from tests.spark.historical_mart import (
    ANCHORS,
    CROWDED,
    CUSTOMERS,
    EPOCH,
    HOUR,
    INSTANT,
    KINDS,
    NUMBERS,
    PRICES,
    SHOPS,
    STEPS,
    TTL,
    WALK_AFTER,
    WALK_TTL,
    WIDE,
    Made,
    micros,
    table_of,
    views,
    write_mart,
)
from tests.spark.historical_versions import HOURS, KEYS, START, grow_mart

NOW = "9999-12-31T23:00:00Z"
# A spine row stands at a bound of some row, or just beside it.
SHIFTS = [shift + by for shift in (0, TTL, 3 * HOUR) for by in (-1, 0, 1)]
JOIN_KEYS = {
    "sender": {"customer_id": "sender_id"},
    "pairs": {"buyer": "customer_id", "seller": "customer_id"},
}
EXTRA: dict[str, pa.DataType] = {
    "label": pa.int64(),
    "note": pa.string(),
    "a.b `c`": pa.decimal128(38, 18),
    "sender_id": pa.int64(),
}
SPINE: dict[str, pa.DataType] = {"note": pa.string(), **KINDS, "event_timestamp": INSTANT, **EXTRA}
Row = dict[str, Any]


@dataclass(frozen=True)
class Mart:
    """The mart in its folder, and the rows of its views."""

    root: Path
    made: Mapping[str, Made]

    def store(self, spark: SparkSession) -> FeatureStore:
        return FeatureStore(self.root, spark=spark, now=FixedClock(NOW))

    def expected(self, spine: Sequence[Row], view: str, join_keys: Mapping[str, str] | None = None) -> list[list[Any]]:
        return [self.made[view].found(row, join_keys) for row in spine]


@pytest.fixture(scope="module")
def mart(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Mart:
    """Its rows lie in several buckets, and in several files of each."""
    made = views()
    found = Mart(write_mart(tmp_path_factory.mktemp("mart"), made), made)
    with large_tables():
        found.store(engine_session(started_spark)).build()
    return found


@contextmanager
def treated(way: str) -> Iterator[None]:
    """As few rows are, as many are, or as rows whose files tasks cannot open."""
    with ExitStack() as stack:
        if way != "few":
            stack.enter_context(large_tables())
        if way == "by Spark":
            stack.enter_context(patch.object(join, "fits_at", lambda files, depth: False))
        yield


def spine_rows(count: int = 150, seed: int = 1) -> list[Row]:
    """Rows of which most have the same customer, some have no key or time, and some come twice."""
    draw = random.Random(seed)
    times = [anchor + step + shift for anchor in ANCHORS for step in STEPS for shift in SHIFTS]
    times = [time for time in times if ANCHORS[0] <= time < micros(datetime.max.replace(tzinfo=EPOCH.tzinfo))]
    rows: list[Row] = []
    for number in range(count):
        shop, code = draw.choice(SHOPS)
        price, day = draw.choice(PRICES)
        row = {
            "customer_id": CROWDED if draw.random() < 0.7 else draw.choice([*CUSTOMERS, 5]),
            "sender_id": draw.choice([*CUSTOMERS, None]),
            "shop": shop,
            "code": code,
            "price": price,
            "quoted_on": day,
            "number": draw.choice([*NUMBERS, -math.nan]),
            "event_timestamp": draw.choice(times),
        }
        row |= {name: None for name in row if draw.random() < 0.04}
        row |= {"label": draw.choice([None, 2**53 + 1, number]), "note": draw.choice([None, "", "é"]), "a.b `c`": price}
        rows.append(row)
    return rows + draw.sample(rows, count // 10)


def texts(column: Any) -> list[str]:
    return [str(value) for value in column.to_pylist()]


def assert_same(
    found: pa.Table, prefix: str, features: Mapping[str, pa.DataType], expected: Sequence[Sequence[Any]]
) -> None:
    """Columns have these types and hold these values, to the sign of a zero."""
    for at, (feature, kind) in enumerate(features.items()):
        got = found[f"{prefix}__{feature}"]
        wanted = pa.array([row[at] for row in expected], kind)
        assert got.type == kind
        # As texts: NaN equals NaN there, and 0.0 is not -0.0.
        assert texts(got) == texts(wanted), f"{prefix}:{feature}"


def assert_spine(found: pa.Table, spine: pa.Table) -> None:
    """The spine's columns come first, with its rows in its order."""
    assert found.column_names[: spine.num_columns] == spine.column_names
    assert str(found.select(spine.column_names).to_pylist()) == str(spine.to_pylist())


@pytest.fixture(scope="module")
def spine() -> list[Row]:
    return spine_rows()


@pytest.mark.parametrize("way", ["few", "many", "by Spark"])
def test_every_view_at_once(mart: Mart, spark: SparkSession, spine: list[Row], way: str) -> None:
    given = table_of(spine, SPINE)
    names = [name for name in mart.made if name not in ("wide", "walk")]
    with treated(way):
        job = mart.store(spark).get_historical_features(
            given, [*names, "recent@sender"], full_feature_names=True, join_keys=JOIN_KEYS
        )
        found = job.to_arrow()
    assert_spine(found, given)
    asked = [*((name, name) for name in names), ("sender", "recent")]
    outputs = [f"{prefix}__{feature}" for prefix, view in asked for feature in mart.made[view].features]
    assert found.column_names == [*SPINE, *outputs]
    hits = {}
    for prefix, view in asked:
        features = mart.made[view].features
        expected = mart.expected(spine, view, JOIN_KEYS.get(prefix))
        hits[prefix] = sum(row != expected[0] for row in expected)
        assert_same(found, prefix, features, expected)
    assert {prefix for prefix, count in hits.items() if count < 5} == {"nothing"}


def test_order_partitions_and_sessions_make_no_difference(
    mart: Mart, started_spark: SparkSession, spine: list[Row]
) -> None:
    """A spine that lies otherwise, from a session with other settings, handed in by a user who goes on with his own."""
    names = ["learned", "shops", "numbers", "country"]
    given = table_of(spine, {name: kind for name, kind in SPINE.items() if name != "label"})
    given = given.append_column("label", pa.array(range(len(spine)), pa.int64()))
    user = started_spark.newSession()
    user.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    user.conf.set("spark.sql.execution.arrow.useLargeVarTypes", "true")
    draw = random.Random(2)
    moved = given.take(draw.sample(range(len(spine)), len(spine)))
    with large_tables():
        frame = user.createDataFrame(moved).repartition(7)
        job = mart.store(user).get_historical_features(frame, names, full_feature_names=True)
        found = job.to_arrow().sort_by("label")
        # In a query of the user's, whose session then runs all of it.
        labels = user.createDataFrame([(number,) for number in range(len(spine))], "n bigint")
        joined = labels.join(job.to_spark_df(), F.col("n") == F.col("label"))
        instants = joined.select("n", F.unix_micros("learned__moment"), "shops__text").orderBy("n").collect()
    assert_spine(found, given)
    for view in names:
        assert_same(found, view, mart.made[view].features, mart.expected(spine, view))
    moments = [None if moment is None else micros(moment) for moment in found["learned__moment"].to_pylist()]
    assert [tuple(row) for row in instants] == list(
        zip(range(len(spine)), moments, found["shops__text"].to_pylist(), strict=True)
    )


def test_columns_are_called_as_asked_and_survive_in_pandas(mart: Mart, spark: SparkSession, spine: list[Row]) -> None:
    given = table_of(spine, SPINE)
    asked = ["service", "recent:exact", "late:whole", "late:flag", "corrected:moment", "recent:tags"]
    found = mart.store(spark).get_historical_features(given, asked).to_df()
    columns = [("country", "country"), ("late", "whole"), ("late", "flag"), ("shops", "text")]
    columns += [("recent", "exact"), ("recent", "tags"), ("corrected", "moment")]
    assert list(found.columns) == [*SPINE, *(feature for _, feature in columns)]
    for view, feature in columns:
        at = list(mart.made[view].features).index(feature)
        wanted = [row[at] for row in mart.expected(spine, view)]
        if feature == "moment":
            wanted = [None if value is None else pd.Timestamp(value) for value in wanted]
        got = [
            value if is_there else None for value, is_there in zip(found[feature], found[feature].notna(), strict=True)
        ]
        assert [list(value) if feature == "tags" and value is not None else value for value in got] == wanted
    assert {name: str(kind) for name, kind in found.dtypes.items() if name in ("whole", "flag", "label")} == {
        "whole": "Int64",
        "flag": "boolean",
        "label": "Int64",
    }
    assert str(found["moment"].dtype) == str(found["event_timestamp"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("way", ["few", "many", "by Spark"])
def test_no_rows_at_all(mart: Mart, spark: SparkSession, way: str) -> None:
    given = table_of([], SPINE)
    with treated(way):
        found = mart.store(spark).get_historical_features(given, ["recent", "country"]).to_arrow()
    assert found.num_rows == 0
    assert found.schema.field("exact").type == pa.decimal128(38, 18)
    assert found.column_names == [*SPINE, *mart.made["recent"].features, "country"]


def test_a_thousand_features(mart: Mart, spark: SparkSession) -> None:
    rows = [{"customer_id": key, "event_timestamp": ANCHORS[2] + step} for key in (1, 5, 11) for step in (-1, *STEPS)]
    given = table_of(rows, {"customer_id": pa.int64(), "event_timestamp": INSTANT})
    found = mart.store(spark).get_historical_features(given, "wide").to_arrow()
    assert found.column_names[2:] == list(mart.made["wide"].features)
    assert found.num_columns == 2 + WIDE
    assert [list(row.values())[2:] for row in found.to_pylist()] == mart.expected(rows, "wide")


def test_local_times_where_clocks_go_back_and_forward(mart: Mart, started_spark: SparkSession) -> None:
    """What a session's texts mean is that session's; what is joined are the instants."""
    for zone in ("America/New_York", "Asia/Kolkata"):
        user = started_spark.newSession()
        user.conf.set("spark.sql.session.timeZone", zone)
        local = ["2011-03-13 01:59:59.999999", "2011-03-13 02:00:00", "2011-03-13 02:30:00", "2011-03-13 12:30:01"]
        local += ["2011-03-13 03:00:00", "2011-11-06 01:30:00", "2011-11-06 11:00:00", "2011-11-06 02:30:00"]
        keys = [(key, text) for key in (1, CROWDED) for text in local]
        frame = user.createDataFrame(keys, "customer_id bigint, text string")
        frame = frame.select("customer_id", F.to_timestamp("text").alias("event_timestamp"), F.lit(1).alias("one"))
        instants = [row[0] for row in frame.select(F.unix_micros("event_timestamp")).collect()]
        rows = [{"customer_id": key, "event_timestamp": time} for (key, _), time in zip(keys, instants, strict=True)]
        job = mart.store(user).get_historical_features(frame, ["corrected", "wide:w001"], full_feature_names=True)
        found = job.to_arrow()
        times = found["event_timestamp"]
        assert times.type == INSTANT
        assert times.cast(pa.int64()).to_pylist() == instants
        assert_same(found, "corrected", mart.made["corrected"].features, mart.expected(rows, "corrected"))
        assert found["wide__w001"].to_pylist() == [row[1] for row in mart.expected(rows, "wide")]
        assert found["wide__w001"].null_count < len(rows)


@pytest.mark.parametrize(("seed", "way"), [(1, "few"), (2, "few"), (3, "by Spark")])
def test_thousands_of_rows_agree_with_duckdb(mart: Mart, spark: SparkSession, seed: int, way: str) -> None:
    draw = np.random.default_rng(seed)
    walk = mart.made["walk"]
    rows = table_of(walk.rows, {"customer_id": pa.int64(), "at": pa.int64(), "step": pa.int64()})
    times = draw.integers(ANCHORS[5] - HOUR, ANCHORS[5] + 9 * HOUR, 5_000)
    # Half of the rows stand at a bound of some row to the microsecond, or just beside it.
    bounds = draw.choice(rows["at"].to_numpy(), 2_500) + draw.choice([WALK_AFTER, WALK_TTL], 2_500)
    times[:2_500] = bounds + draw.integers(-1, 2, 2_500)
    columns = {"customer_id": draw.integers(-1, 101, 5_000), "time": times, "label": np.arange(5_000)}
    spine = pa.table({name: pa.array(values) for name, values in columns.items()})
    with duckdb.connect() as duck:
        duck.register("spine", spine).register("walk", rows)
        expected = duck.execute(
            """
            select case when walk.at >= spine.time - $ttl then step end from spine asof left join walk
            on spine.customer_id = walk.customer_id and spine.time - $after >= walk.at order by label
            """,
            {"ttl": WALK_TTL, "after": WALK_AFTER},
        ).fetchall()
    given = spine.set_column(1, "event_timestamp", spine["time"].combine_chunks().view(INSTANT))
    with treated(way):
        found = mart.store(spark).get_historical_features(given, "walk").to_arrow()
    assert found.drop_columns(["step"]) == given
    assert found["step"].to_pylist() == [step for (step,) in expected]
    assert 500 < found["step"].null_count < 4_500


def test_versions_and_moments_give_what_was_known_then(
    started_spark: SparkSession, spark: SparkSession, tmp_path: Path
) -> None:
    """Of the rows themselves, and of windows over them, which later builds corrected."""
    grown = grow_mart(tmp_path, engine_session(started_spark))
    store, draw = grown.store(spark), random.Random(3)
    times = [START + hour * HOUR + by for hour in range(HOURS + 3) for by in (-1, 0, 1, HOUR // 2)]
    rows = [{"customer_id": draw.choice([*KEYS, 5]), "event_timestamp": draw.choice(times)} for _ in range(200)]
    given = table_of(rows, {"customer_id": pa.int64(), "event_timestamp": INSTANT})
    later = [*grown.runs[1:], grown.runs[-1] + timedelta(days=1)]
    asked: list[tuple[dict[str, int], dict[str, Any]]] = []
    for version, (run, following) in enumerate(zip(grown.runs, later, strict=True)):
        moment = draw.choice([run, run + (following - run) / 2, following - timedelta(milliseconds=1)])
        asked.append((dict.fromkeys(("facts", "spend"), version), {"as_of": moment}))
    for facts, spend in draw.sample([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)], 3):
        # A view that is not named is at the version of the last run.
        named = {"facts": facts, "spend": spend} if draw.random() < 0.7 else {"spend": spend}
        asked.append(({"facts": 2, **named}, {"versions": named}))
    seen = set()
    for versions, how in asked:
        job = store.get_historical_features(given, ["facts", "spend"], full_feature_names=True, **how)
        assert job.versions == versions
        found = job.to_arrow()
        for view, version in versions.items():
            made = grown.made[version][view]
            assert_same(found, view, made.features, [made.found(row) for row in rows])
        seen.add(str(found.to_pylist()))
    assert len(seen) == len({str(versions) for versions, _ in asked})


def test_static_views_do_not_look_at_the_time(mart: Mart, spark: SparkSession) -> None:
    given = pa.table({"customer_id": [1, None, 7], "event_timestamp": ["whenever", None, ""]})
    found = mart.store(spark).get_historical_features(given, "country").to_arrow()
    assert found == given.append_column("country", pa.array(["land of 1", None, None]))


def test_a_key_that_was_widened_since(mart: Mart, spark: SparkSession, tmp_path: Path, spine: list[Row]) -> None:
    """A decimal is in another bucket than the integer that the version has, and equal to it."""
    root = Path(shutil.copytree(mart.root, tmp_path / "copy"))
    for name in ("metadata/entities.yml", "metadata/sources.yml"):
        text = (root / name).read_text()
        assert "shop: int\n" in text
        (root / name).write_text(text.replace("shop: int\n", "shop: decimal(12,0)\n"))
    store = FeatureStore(root, spark=spark, now=FixedClock(NOW))
    given = table_of(spine, SPINE)
    with large_tables():
        found = store.get_historical_features(given, "shops", full_feature_names=True).to_arrow()
    assert_same(found, "shops", mart.made["shops"].features, mart.expected(spine, "shops"))
    for name in ("metadata/entities.yml", "metadata/sources.yml"):
        text = (root / name).read_text()
        (root / name).write_text(text.replace("shop: decimal(12,0)\n", "shop: date\n"))
    with pytest.raises(UsageError, match="the key shop of view shops is int at version 0 and date today, and not all"):
        FeatureStore(root, spark=spark, now=FixedClock(NOW)).get_historical_features(given, "shops")


def test_a_default_that_the_table_cannot_hold_is_named_before_the_spine_is_read(
    mart: Mart, spark: SparkSession, tmp_path: Path
) -> None:
    """No file tells the type of ``part + 1``."""
    root = Path(shutil.copytree(mart.root, tmp_path / "copy"))
    path = root / "metadata/feature_views/wide.yml"
    path.write_text(path.read_text().replace("description: A value.", "description: A value.\n    default: x"))
    with pytest.raises(UsageError) as told:
        FeatureStore(root, spark=spark, now=FixedClock(NOW)).get_historical_features("nowhere.csv", "wide:w001")
    assert told.value.message == (
        "the default of wide:w001 is 'x' (metadata/feature_views/wide.yml:4), but the feature is bigint at version 0, "
        "in which that is no value. Allowed: whole numbers from -9223372036854775808 to 9223372036854775807. Correct "
        "the default, or remove it."
    )


@pytest.mark.parametrize("way", ["few", "by Spark"])
def test_files_that_go_between_request_and_join_are_named(
    mart: Mart, spark: SparkSession, tmp_path: Path, way: str
) -> None:
    root = Path(shutil.copytree(mart.root, tmp_path / "copy"))
    store = FeatureStore(root, spark=spark, now=FixedClock(NOW))
    given = pa.table({"customer_id": [1], "event_timestamp": pa.array([0], INSTANT)})
    with treated(way):
        job = store.get_historical_features(given, ["country", "corrected:whole"])
        assert job.rows.frame.columns[1:] == ["customer_id", "event_timestamp", "country", "whole"]
        for file in (root / "warehouse" / "country").rglob("*.parquet"):
            file.unlink()
        for get in (job.to_df, job.to_arrow, lambda: job.save("kept")):
            with pytest.raises(FilesMissing, match="table country: a file that its log names is missing: "):
                get()
        # A job that has planned nothing yet notices before Spark does.
        with pytest.raises(FilesMissing, match="country"):
            store.get_historical_features(given, "country").to_arrow()
    assert not list((root / "warehouse").glob("training_set__kept/*.parquet"))


def test_a_column_whose_name_cannot_be_kept_is_not_saved(mart: Mart, spark: SparkSession) -> None:
    given = pa.table({"customer_id": [1], "a.b": [1]})
    job = mart.store(spark).get_historical_features(given, "country")
    with pytest.raises(UsageError, match=r"column 'a\.b' cannot be kept in a training set: a name there has no '\.'\."):
        job.save("dotted")

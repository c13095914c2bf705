"""Windowed aggregations beside hand-written SQL: in Spark, and in DuckDB, on the same events in one run.

    python -m benchmarks.windows --events 10000000 --users 100000 --days 90

Windows of 1, 7, 30 and 90 days x count, sum, mean, max of an amount and count_distinct of a category, at each midnight.
The hand-written way is the best that we know: events are aggregated by day once, windows are frames over a dense grid
of users and days, and a distinct value counts from its day until its next one or until it has left the window. It gives
a row for each user and day; ours only those at which a value changes. So that both can be compared, the dense rows are
thinned out in the same way by DuckDB and compared with ours, row by row. Amounts are multiples of a quarter: their sums
are exact in any order.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import DataFrame, SparkSession

from benchmarks.retail_pipeline import timed
from feature_mart import FeatureStore
from feature_mart.delta.session import start_session
from feature_mart.testing import FixedClock, write_files

FIRST = datetime(2024, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)
MICROS = "86400000000L"  # of a day
WINDOWS = (1, 7, 30, 90)
FILES = {
    "conf/base.yml": "mart: windows\nwarehouse: warehouse\n",
    "metadata/entities.yml": "entities:\n  user: {description: Somebody., keys: {user_id: bigint}}\n",
    "metadata/sources.yml": (
        "sources:\n  events:\n    description: What users did.\n    owner: a@example.com\n    format: delta\n"
        "    path: events\n    event_timestamp: at\n"
    ),
    "metadata/feature_views/activity.yml": (
        "feature_view: activity\ndescription: What users did lately.\nowner: a@example.com\nfeatures:\n"
        '  "*": {description: Of the window.}\n'
    ),
}
PIPELINE = """\
pipeline: daily
description: Every day.
owner: a@example.com
feature_views:
  - name: activity
    input: events
    entities: [user]
    event_timestamp: at
    windows:
      every: 1d
      aggregations:
"""


def activity(columns: int = 1) -> str:
    """The pipeline; with more ``columns``, each has its aggregates: 12 more a column beside the first one's 20."""
    lines = [
        f"        - {{input: amount, functions: [count, sum, mean, max], over: {_over()}}}",
        f"        - {{input: category, functions: [count_distinct], over: {_over()}}}",
    ]
    lines += [
        f"        - {{input: amount_{number}, functions: [sum, mean, max], over: {_over()}}}"
        for number in range(1, columns)
    ]
    return PIPELINE + "\n".join(lines) + "\n"


def _over() -> str:
    return "[" + ", ".join(f"{days}d" for days in WINDOWS) + "]"


def events(
    spark: SparkSession, count: int, users: int, days: tuple[int, int], *, skewed: bool, columns: int
) -> DataFrame:
    """Events of the days from one to before another; ``skewed``: a fifth of them are one user's."""
    spread = "pmod(xxhash64(id, 1), {n})"
    user = spread.format(n=users)
    amount = "pmod(xxhash64(id, 4), 4000) / 4D"
    more = [f"pmod(xxhash64(id, {number + 10}), 4000) / 4D as amount_{number}" for number in range(1, columns)]
    first, last = days
    since = f"{int(FIRST.timestamp()) * 1_000_000}L + {first} * {MICROS}"
    at = f"timestamp_micros({since} + pmod(xxhash64(id, 2), {last - first} * {MICROS}))"
    return spark.range(first * 1_000_000_000, first * 1_000_000_000 + count, numPartitions=8).selectExpr(
        f"case when pmod(id, 5) = 0 then 0L else {user} end as user_id" if skewed else f"{user} as user_id",
        f"{at} as at",
        f"{amount} as amount",
        "cast(pmod(xxhash64(id, 3), 50) as int) as category",
        *more,
    )


def dense_sql(events: str, days: int) -> str:
    """A row for each user and boundary 1 to ``days``, in the SQL that Spark and DuckDB share."""
    frames = ",\n".join(
        f"""sum(n) over ({_frame(w)}) as amount_count_{w}d,
            sum(s) over ({_frame(w)}) as amount_sum_{w}d,
            max(m) over ({_frame(w)}) as amount_max_{w}d,
            sum(c{w}) over (partition by user_id order by d rows unbounded preceding) as category_count_distinct_{w}d"""
        for w in WINDOWS
    )
    leaves = "\nunion all\n".join(
        f"select user_id, least(d + {w}, nxt) as d, {', '.join(f'{-int(v == w)} as c{v}' for v in WINDOWS)} from seen"
        for w in WINDOWS
    )
    enters = ", ".join(f"1 as c{w}" for w in WINDOWS)
    sums = ", ".join(f"sum(c{w}) as c{w}" for w in WINDOWS)
    outputs = ", ".join(
        f"coalesce(amount_count_{w}d, 0) as amount_count_{w}d, amount_sum_{w}d, "
        f"amount_sum_{w}d / amount_count_{w}d as amount_mean_{w}d, amount_max_{w}d, category_count_distinct_{w}d"
        for w in WINDOWS
    )
    return f"""
    with e as (
        select user_id, cast(floor((epoch_us - {int(FIRST.timestamp()) * 1_000_000}) / 86400000000) as int) as d,
               amount, category
        from {events}
    ),
    daily as (
        select user_id, d, count(amount) as n, sum(amount) as s, max(amount) as m from e group by user_id, d
    ),
    seen as (
        select user_id, category, d,
               coalesce(lead(d) over (partition by user_id, category order by d), 1000000) as nxt
        from (select distinct user_id, category, d from e) as occurrences
    ),
    turns as (
        select user_id, d, {sums} from (
            select user_id, d, {enters} from seen
            union all
            {leaves}
        ) as each_turn where d < {days} group by user_id, d
    ),
    grid as (
        select user_id, d from (select distinct user_id from e) as users
        cross join (select distinct d from e) as all_days
    ),
    joined as (
        select grid.user_id, grid.d, n, s, m, {", ".join(f"coalesce(c{w}, 0) as c{w}" for w in WINDOWS)}
        from grid left join daily on grid.user_id = daily.user_id and grid.d = daily.d
        left join turns on grid.user_id = turns.user_id and grid.d = turns.d
    ),
    framed as (select user_id, d, {frames} from joined)
    select user_id, d + 1 as boundary, {outputs} from framed
    where {" or ".join(f"amount_count_{w}d > 0" for w in WINDOWS)}
    """


def _frame(days: int) -> str:
    return f"partition by user_id order by d rows between {days - 1} preceding and current row"


def measure(
    spark: SparkSession,
    count: int,
    users: int,
    days: int,
    *,
    skewed: bool = False,
    columns: int = 1,
    peers: bool = True,
) -> dict[str, Any]:
    """Seconds of a full build, of a new day, and of the peers; ratios of ours to theirs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root, {**FILES, "pipelines/daily.yml": activity(columns)})
        table = str(root / "events")
        events(spark, count, users, (0, days), skewed=skewed, columns=columns).write.format("delta").option(
            "delta.enableChangeDataFeed", "true"
        ).save(table)
        found: dict[str, Any] = {}
        store = FeatureStore(root, spark=spark, now=FixedClock(FIRST + DAY * days))
        found["full build"] = timed(store.build)
        if peers:
            found |= _peers(spark, store, root, table, days, found["full build"])
        new = events(spark, count // days, users, (days, days + 1), skewed=skewed, columns=columns)
        new.write.format("delta").mode("append").save(table)
        later = FeatureStore(root, spark=spark, now=FixedClock(FIRST + DAY * (days + 1)))
        found["new day"] = timed(later.build)
        found["new day / full build"] = found["new day"] / found["full build"]
        return found


def _peers(spark: SparkSession, store: FeatureStore, root: Path, table: str, days: int, ours: float) -> dict[str, Any]:
    by_hand = str(root / "by_hand")

    def hand_written() -> None:
        spark.read.format("delta").load(table).selectExpr("*", "unix_micros(at) as epoch_us").createOrReplaceTempView(
            "ev"
        )
        spark.sql(dense_sql("ev", days)).write.format("delta").mode("overwrite").save(by_hand)

    found: dict[str, Any] = {"Spark by hand": timed(hand_written)}
    database = duckdb.connect()
    database.execute("set threads to 2")
    database.execute("set TimeZone = 'UTC'")
    kept = root / "duckdb.parquet"
    files = f"read_parquet('{table}/*.parquet')"
    source = f'(select *, epoch_us("at") as epoch_us from {files})'
    found["DuckDB"] = timed(lambda: database.execute(f"copy ({dense_sql(source, days)}) to '{kept}' (format parquet)"))
    found["ours / Spark by hand"] = ours / found["Spark by hand"]
    found["ours / DuckDB"] = ours / found["DuckDB"]
    _compare(spark, store, database, kept, root)
    return found


def _compare(
    spark: SparkSession, store: FeatureStore, database: duckdb.DuckDBPyConnection, dense: Path, root: Path
) -> None:
    """Fails where our rows are not the dense ones at which a value differs from the day before."""
    ours = root / "ours.parquet"
    store.table("activity").write.mode("overwrite").parquet(str(ours))
    names = [
        f"{what}_{w}d"
        for w in WINDOWS
        for what in ("amount_count", "amount_sum", "amount_mean", "amount_max", "category_count_distinct")
    ]
    same = " and ".join(f"a.{name} is not distinct from b.{name}" for name in names)
    moved = " or ".join(f"{name} is distinct from lag({name}) over w" for name in names)
    database.execute(
        f"create view thin as select * from (select *, coalesce({moved}, true) or row_number() over w = 1 as is_new "
        f"from '{dense}' window w as (partition by user_id order by boundary)) where is_new"
    )
    database.execute(
        f'create view ours as select *, cast((epoch_us("at") - {int(FIRST.timestamp()) * 1_000_000}) / 86400000000 '
        f"as int) as boundary from read_parquet('{ours}/*.parquet')"
    )
    emptied = " and ".join(f"amount_count_{w}d = 0" for w in WINDOWS)
    missing = database.execute(
        f"select (select count(*) from thin b where not exists (select 1 from ours a where a.user_id = b.user_id "
        f"and a.boundary = b.boundary and {same})), (select count(*) from ours a where not ({emptied}) and not exists "
        f"(select 1 from thin b where a.user_id = b.user_id and a.boundary = b.boundary and {same}))"
    ).fetchone()
    if missing != (0, 0):
        raise SystemExit(f"the contents differ: {missing} rows are missing in ours and in theirs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--columns", type=int, default=1, help="Columns of amounts; 25 make 308 aggregates.")
    parser.add_argument("--skewed", action="store_true", help="One user has a fifth of all events.")
    parser.add_argument("--no-peers", action="store_true", help="Ours alone.")
    arguments = parser.parse_args()
    spark = start_session({}, "local[*]")
    measure(spark, 100_000, 1_000, 10, peers=False)  # warms the session up
    found = measure(
        spark,
        arguments.events,
        arguments.users,
        arguments.days,
        skewed=arguments.skewed,
        columns=arguments.columns,
        peers=not arguments.no_peers,
    )
    from benchmarks.__main__ import show

    show(f"windows: {arguments.events:,} events, {arguments.users:,} users, {arguments.days} days, seconds", found)


if __name__ == "__main__":
    main()

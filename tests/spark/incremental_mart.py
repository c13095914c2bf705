"""A mart whose views reach over days in every way, and the same definitions once more in plain Python.

The Python side shares no code with the engine: it knows rows, days and bounds, and nothing of tables or versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

Row = tuple[Any, ...]
Rows = Sequence[Row]

BASE = datetime(2011, 1, 3, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NONE = timedelta(0)

# What `recent_spend` multiplies by: another factor is another definition of the same columns.
FACTORS = (1, 10)

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "orders": ("customer_id", "order_no", "ordered_at", "amount"),
    "refunds": ("customer_id", "refunded_at", "value"),
    "customers": ("customer_id", "country"),
    "recent_spend": ("customer_id", "ordered_at", "order_no", "spent"),
    "order_refunds": ("customer_id", "ordered_at", "order_no", "refunds", "refunded"),
    "country_days": ("customer_id", "day", "country", "spent", "orders"),
    "customer_totals": ("customer_id", "orders", "spent"),
}
TIMES: Mapping[str, str | None] = {
    "orders": "ordered_at",
    "refunds": "refunded_at",
    "customers": None,
    "recent_spend": "ordered_at",
    "order_refunds": "ordered_at",
    "country_days": "day",
    "customer_totals": None,
}
SOURCES = ("customers", "orders", "refunds")
DROPS_DELETED = ("customers", "orders")


def event_time(name: str, row: Row) -> datetime:
    """The event timestamp of a row of a table that has one."""
    moment: datetime = row[COLUMNS[name].index(TIMES[name] or "")]
    return moment


def _recent_spend(rows: Mapping[str, Rows], factor: int) -> list[Row]:
    orders = rows["orders"]
    return [
        (c, at, number, factor * sum(paid for d, _, t, paid in orders if d == c and at - 36 * HOUR <= t <= at))
        for c, number, at, _ in orders
    ]


def _order_refunds(rows: Mapping[str, Rows], factor: int) -> list[Row]:
    result = []
    for customer, number, at, _ in rows["orders"]:
        back = [value for c, t, value in rows["refunds"] if c == customer and at <= t <= at + 18 * HOUR]
        result.append((customer, at, number, len(back), sum(back)))
    return result


def _country_days(rows: Mapping[str, Rows], factor: int) -> list[Row]:
    days = sorted({(customer, _day(at)) for customer, at, _, _ in rows["recent_spend"]})
    result = []
    for customer, day in days:
        spent = [value for c, at, _, value in rows["recent_spend"] if (c, _day(at)) == (customer, day)]
        countries = [country for c, country in rows["customers"] if c == customer]
        times = max(1, len(countries))
        result.append((customer, day, min(countries, default=None), sum(spent) * times, len(spent) * times))
    return result


def _customer_totals(rows: Mapping[str, Rows], factor: int) -> list[Row]:
    ordered = [customer for customer, *_ in rows["orders"]]
    spent = [(customer, value) for customer, _, _, value, _ in rows["country_days"]]
    return [
        (customer, ordered.count(customer), sum(value for c, value in spent if c == customer))
        for customer in sorted({*ordered, *(c for c, _ in spent)})
    ]


def _day(moment: datetime) -> datetime:
    return floor(moment, DAY)


def floor(moment: datetime, every: timedelta) -> datetime:
    """The last boundary that is not after ``moment``; all lengths here divide a day."""
    return moment - (moment - BASE) % every


@dataclass(frozen=True)
class View:
    """What a view is for the oracle. ``every`` is None where it is built whole."""

    name: str
    inputs: tuple[str, ...]
    rows_from: Callable[[Mapping[str, Rows], int], list[Row]]
    every: timedelta | None = DAY
    lookback: timedelta = NONE
    lookahead: timedelta = NONE

    def rows(self, inputs: Mapping[str, Rows], factor: int, horizon: datetime) -> list[Row]:
        """What one full build up to ``horizon`` gives of these inputs."""
        if self.every is not None:
            end = floor(horizon, self.every)
            return [row for row in self.rows_from(inputs, factor) if event_time(self.name, row) < end]
        seen = {
            name: [row for row in rows if TIMES[name] is None or event_time(name, row) < horizon]
            for name, rows in inputs.items()
        }
        return self.rows_from(seen, factor)

    def rebuilt(
        self, before: Rows, inputs: Mapping[str, Rows], factor: int, start: datetime | None, end: datetime
    ) -> Rows:
        """What is there after a build from ``start`` to ``end``: what lies outside the range stays as it was."""
        rows = self.rows(inputs, factor, end)
        if start is None or self.every is None:
            return rows
        first, last = floor(start, self.every), floor(end, self.every)
        kept = [row for row in before if not first <= event_time(self.name, row) < last]
        return kept + [row for row in rows if first <= event_time(self.name, row)]

    def reached_from(self, moment: datetime) -> set[datetime]:
        """The starts of the intervals that an input row at ``moment`` can have a part in."""
        assert self.every is not None
        first, last = floor(moment - self.lookahead, self.every), floor(moment + self.lookback, self.every)
        return {first + self.every * number for number in range((last - first) // self.every + 1)}


# Each after those that it reads.
VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        View("recent_spend", ("orders",), _recent_spend, lookback=36 * HOUR),
        View("order_refunds", ("orders", "refunds"), _order_refunds, every=12 * HOUR, lookahead=18 * HOUR),
        View("country_days", ("customers", "recent_spend"), _country_days),
        View("customer_totals", ("country_days", "orders"), _customer_totals, every=None),
    )
}


def full_build(sources: Mapping[str, Rows], factor: int, horizon: datetime) -> dict[str, Rows]:
    """All views, built once in full."""
    tables: dict[str, Rows] = dict(sources)
    for view in VIEWS.values():
        tables[view.name] = view.rows({name: tables[name] for name in view.inputs}, factor, horizon)
    return {name: tables[name] for name in VIEWS}


def csv(source: str, rows: Iterable[Row]) -> bytes:
    """A file of ``source`` as it lies in its folder."""
    lines = [",".join(COLUMNS[source])]
    for row in rows:
        lines.append(",".join(f"{v:%Y-%m-%d %H:%M:%S.%f}" if isinstance(v, datetime) else str(v) for v in row))
    return ("\n".join(lines) + "\n").encode()


def definition_of_recent_spend(factor: int) -> str:
    """The text of features/recent_spend.sql."""
    return f"""
        select customer_id, ordered_at, order_no,
            {factor} * sum(amount) over (
                partition by customer_id order by unix_micros(ordered_at)
                range between {36 * HOUR // timedelta(microseconds=1)} preceding and current row) as spent
        from orders
        """


def _view(name: str) -> str:
    """The metadata of a view: a description of each feature."""
    described = [column for column in COLUMNS[name] if column not in ("customer_id", TIMES[name])]
    features = ", ".join(f"{column}: {{description: A number or a name.}}" for column in described)
    return f"""
        feature_view: {name}
        description: One of the views.
        owner: growth@example.com
        features: {{{features}}}
        """


FILES: Mapping[str, str] = {
    "conf/base.yml": """
        mart: sequences
        warehouse: warehouse
        online_store: embedded
        """,
    "metadata/entities.yml": """
        entities:
          customer: {description: A shopper., keys: {customer_id: bigint}}
        """,
    "metadata/sources.yml": """
        sources:
          orders:
            description: One order.
            owner: sales@example.com
            format: csv
            path: data/orders/*.csv
            options: {header: true}
            schema: {customer_id: bigint, order_no: string, ordered_at: timestamp, amount: bigint}
            event_timestamp: ordered_at
            deleted_files: drop
          refunds:
            description: One refund.
            owner: sales@example.com
            format: csv
            path: data/refunds/*.csv
            options: {header: true}
            schema: {customer_id: bigint, refunded_at: timestamp, value: bigint}
            event_timestamp: refunded_at
            deleted_files: keep
          customers:
            description: Where shoppers live.
            owner: sales@example.com
            format: csv
            path: data/customers/*.csv
            options: {header: true}
            schema: {customer_id: bigint, country: string}
            event_timestamp: null
            deleted_files: drop
        """,
    "features/recent_spend.sql": definition_of_recent_spend(FACTORS[0]),
    "features/order_refunds.sql": """
        select o.customer_id, o.ordered_at, o.order_no,
            count(r.value) as refunds, coalesce(sum(r.value), 0) as refunded
        from orders o
        left join refunds r
            on r.customer_id = o.customer_id
            and r.refunded_at between o.ordered_at and o.ordered_at + interval 18 hours
        group by o.customer_id, o.ordered_at, o.order_no
        """,
    "features/country_days.sql": """
        select s.customer_id, date_trunc('DAY', s.ordered_at) as day, min(c.country) as country,
            sum(s.spent) as spent, count(*) as orders
        from recent_spend s
        left join customers c on c.customer_id = s.customer_id
        group by s.customer_id, date_trunc('DAY', s.ordered_at)
        """,
    "features/customer_totals.sql": """
        select customer_id, sum(orders) as orders, sum(spent) as spent
        from (
            select customer_id, 1L as orders, 0L as spent from orders
            union all
            select customer_id, 0L as orders, spent from country_days)
        group by customer_id
        """,
    "pipelines/daily.yml": """
        pipeline: daily
        description: Orders by customer.
        owner: growth@example.com
        schedule: "0 3 * * *"
        feature_views:
          - name: recent_spend
            definition: features/recent_spend.sql
            entities: [customer]
            event_timestamp: ordered_at
            materialize: {mode: interval, every: 1d, lookback: 36h}
          - name: order_refunds
            definition: features/order_refunds.sql
            entities: [customer]
            event_timestamp: ordered_at
            materialize: {mode: interval, every: 12h, lookahead: 18h}
          - name: country_days
            definition: features/country_days.sql
            entities: [customer]
            event_timestamp: day
            materialize: {mode: interval, every: 1d}
          - name: customer_totals
            definition: features/customer_totals.sql
            entities: [customer]
            static: true
            materialize: {mode: full}
        """,
    **{f"metadata/feature_views/{name}.yml": _view(name) for name in VIEWS},
}

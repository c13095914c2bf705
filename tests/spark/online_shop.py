"""A small mart whose one view goes online, and a plain model of what must be found there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import SparkSession

from feature_mart import FeatureStore
from feature_mart.testing import FixedClock, write_files, write_tiny_mart
from feature_mart.testing.marts import TINY

NOW = datetime(2011, 1, 10, tzinfo=timezone.utc)
START = datetime(2011, 1, 1, tzinfo=timezone.utc)
CUSTOMERS = range(1, 9)
VIEW = "customer_orders"
SOURCE = f"{TINY['metadata/sources.yml'].rstrip()}\n            deleted_files: drop\n"

# Customer, hours after START, number of the order, amount.
Order = tuple[int, float, str, float]


@dataclass
class Shop:
    """The mart, its clock, and the files that it reads.

    ``live``: the model: what each customer's latest order is online, as (order number, amount, time).
    """

    root: Path
    spark: SparkSession
    ttl: timedelta | None = None
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    files: dict[str, Sequence[Order]] = field(default_factory=dict)

    def define(self, **rules: object) -> None:
        """Writes the definitions anew, with other rules of the view."""
        if "ttl" in rules:
            text = rules["ttl"]
            self.ttl = None if text is None else timedelta(days=int(str(text).removesuffix("d")))
        dropped = {"data/orders/2011-01-01.csv": None, "data/orders/2011-01-02.csv": None}
        write_tiny_mart(self.root, {"metadata/sources.yml": SOURCE, **dropped}, **{"online": True, **rules})

    def document(self, features: Mapping[str, Mapping[str, object]]) -> None:
        """Writes the view's metadata anew."""
        said = {
            "feature_view": VIEW,
            "description": "What a customer ordered.",
            "owner": "growth@example.com",
            "features": {name: {"description": "A feature.", **entry} for name, entry in features.items()},
        }
        write_files(self.root, {f"metadata/feature_views/{VIEW}.yml": yaml.safe_dump(said)})

    def write(self, name: str, orders: Sequence[Order]) -> None:
        """A file of orders."""
        self.files[name] = orders
        lines = [
            f"{customer},{number},{time_of(hours):%Y-%m-%d %H:%M:%S},{amount}"
            for customer, hours, number, amount in orders
        ]
        write_files(
            self.root, {f"data/orders/{name}.csv": "\n".join(["customer_id,order_no,ordered_at,amount", *lines, ""])}
        )

    def remove(self, name: str) -> None:
        """The file is gone, and with it its orders."""
        del self.files[name]
        (self.root / f"data/orders/{name}.csv").unlink()

    @property
    def store(self) -> FeatureStore:
        """The mart, opened anew as a command does."""
        return FeatureStore(self.root, spark=self.spark, now=self.clock)

    def build(self) -> None:
        """Builds the mart up to now."""
        self.store.build()

    def sync(self, *views: str, full: bool = False) -> dict[str, Any]:
        """Syncs, and gives the result for the view."""
        store = self.store
        try:
            return next(iter(store.sync(*views, full=full)), {})
        finally:
            store.stop()

    def expected(self) -> dict[int, tuple[str, float] | None]:
        """What a snapshot of now holds of each customer."""
        found: dict[int, tuple[str, float] | None] = {}
        for customer in CUSTOMERS:
            known = [
                (time_of(hours), number, amount)
                for orders in self.files.values()
                for who, hours, number, amount in orders
                if who == customer and time_of(hours) <= self.clock.moment
            ]
            latest = max(known, default=None)
            is_fresh = latest is not None and (self.ttl is None or latest[0] >= self.clock.moment - self.ttl)
            found[customer] = (latest[1], latest[2]) if latest is not None and is_fresh else None
        return found

    def found(self) -> dict[int, tuple[str, float] | None]:
        """What a lookup gives of each customer."""
        store = self.store
        try:
            rows = [{"customer_id": customer} for customer in CUSTOMERS]
            values = store.get_online_features([f"{VIEW}:order_no", f"{VIEW}:amount"], rows).to_dict()
        finally:
            store.stop()
        pairs = zip(values["order_no"], values["amount"], strict=True)
        return {
            customer: None if number is None else (number, amount)
            for customer, (number, amount) in zip(CUSTOMERS, pairs, strict=True)
        }


def time_of(hours: float) -> datetime:
    """The moment so many hours after `START`."""
    return START + timedelta(hours=hours)


@contextmanager
def opened_shop(root: Path, spark: SparkSession, **rules: object) -> Iterator[Shop]:
    """A shop whose embedded online store ends with it."""
    shop = Shop(root, spark)
    shop.define(**rules)
    try:
        yield shop
    finally:
        shop.store.stop_online()

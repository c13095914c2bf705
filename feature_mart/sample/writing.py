"""`write_sample`: the whole sample, one day at a time, so that its size is bounded by the disk and not by memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from feature_mart.errors import UsageError
from feature_mart.sample.cards import Wallet, make_wallet, merchant_rows
from feature_mart.sample.catalogue import Catalogue, country_rows, make_catalogue, product_rows
from feature_mart.sample.files import SampleFolder
from feature_mart.sample.invoices import HEADER, RETURN_WITHIN_DAYS, Till, quoted
from feature_mart.sample.payments import Processor
from feature_mart.sample.shoppers import make_shoppers, trade_on

# Fixed, as the sample must not depend on the day that it is made; the default length ends in the Christmas trade.
START = date(2025, 8, 25)
PRODUCTS, COUNTRIES, MERCHANTS = "products/products.csv", "countries/countries.csv", "merchants/merchants.json"


@dataclass(frozen=True)
class SampleSummary:
    """What was written. ``invoice_lines`` and ``transactions`` count all lines, the ``malformed`` ones included."""

    directory: Path
    first_day: date
    last_day: date
    files: int
    customers: int
    products: int
    countries: int
    merchants: int
    cards: int
    invoices: int
    invoice_lines: int
    cancelled_lines: int
    transactions: int
    frauds: int
    malformed: int

    def __str__(self) -> str:
        return (
            f"{self.directory}: {self.files} files, {self.first_day} to {self.last_day}\n"
            f"  {self.invoice_lines:,} invoice lines of {self.invoices:,} invoices "
            f"({self.cancelled_lines:,} cancelled lines)\n"
            f"  {self.transactions:,} card transactions ({self.frauds:,} reported as fraud)\n"
            f"  {self.customers:,} customers, {self.cards:,} cards, {self.merchants:,} merchants, "
            f"{self.products:,} products, {self.countries:,} countries\n"
            f"  {self.malformed:,} malformed rows, for the quarantine to show"
        )


def write_sample(
    directory: Path,
    *,
    customers: int = 300,
    days: int = 120,
    seed: int = 7,
    start: date = START,
    progress: Callable[[int, int], None] | None = None,
) -> SampleSummary:
    """Write the sample data of the reference mart. The same arguments give the same rows, everywhere and always.

    A longer sample begins with the same days as a shorter one (except that more of the last weeks' fraud is known), so
    ``days=121`` after ``days=120`` is what a mart sees on the next morning.

    Args:
        directory: where to; files that are there already stay, unless they are of an earlier sample.
        progress: called after each day with the number of days done and of all days.

    Raises:
        UsageError: a size is not positive, or files of somebody else are in the way. Nothing was written then.
    """
    last = _last_day(customers, days, seed, start)
    dates = [start + timedelta(days=number) for number in range(days)]
    folder = SampleFolder(Path(directory), _planned(dates))

    catalogue = make_catalogue(seed)
    shoppers = make_shoppers(seed, customers)
    wallet = make_wallet(seed, shoppers, start)
    _write_reference_files(folder, catalogue, wallet)
    till = Till(seed, catalogue, shoppers, start)
    export_end = datetime(last.year, last.month, last.day, tzinfo=timezone.utc) + timedelta(days=1)
    processor = Processor(seed, wallet, export_end)
    invoice_lines = transactions = 0
    for done, day in enumerate(dates, start=1):
        lines, uses = _write_day(folder, day, till, processor)
        invoice_lines += lines
        transactions += uses
        if progress is not None:
            progress(done, days)
    folder.finish()
    return SampleSummary(
        directory=folder.directory,
        first_day=start,
        last_day=last,
        files=len(folder.written),
        customers=customers,
        products=len(catalogue.products),
        countries=sum(1 for _ in country_rows()),
        merchants=len(wallet.merchants),
        cards=len(wallet.cards),
        invoices=till.invoices,
        invoice_lines=invoice_lines,
        cancelled_lines=till.cancelled,
        transactions=transactions,
        frauds=processor.frauds,
        malformed=till.malformed + processor.malformed,
    )


def _last_day(customers: int, days: int, seed: int, start: date) -> date:
    """The last day of the sample, once the sizes are known to make sense."""
    for name, value, least in (("customers", customers, 1), ("days", days, 1), ("seed", seed, 0)):
        if value < least:
            raise UsageError(f"--{name} is {value}; it must be {least} or more. No sample was written.")
    if days > (date.max - start).days - RETURN_WITHIN_DAYS * 2:
        raise UsageError(f"--days is {days}: counted from {start}, that is past the year 9999. No sample was written.")
    return start + timedelta(days=days - 1)


def _planned(dates: Sequence[date]) -> list[str]:
    """All files that a sample may have, so that those of an earlier one can be told from somebody else's."""
    transactions = [_transactions_file(day) for day in dates]
    invoices = [_invoices_file(day) for day in dates if trade_on(day) > 0.0]
    return [*transactions, *invoices, PRODUCTS, COUNTRIES, MERCHANTS]


def _invoices_file(day: date) -> str:
    return f"invoice_lines/{day}.csv.gz"


def _transactions_file(day: date) -> str:
    return f"card_transactions/{day}.json.gz"


def _write_day(folder: SampleFolder, day: date, till: Till, processor: Processor) -> tuple[int, int]:
    """The day's files, a day without trade having none; gives how many invoice lines and transactions there were."""
    lines = till.day(day)
    if lines:
        folder.write(_invoices_file(day), [HEADER, *lines])
    uses = processor.day(day)
    if uses:
        folder.write(_transactions_file(day), uses)
    return len(lines), len(uses)


def _write_reference_files(folder: SampleFolder, catalogue: Catalogue, wallet: Wallet) -> None:
    header = ("stock_code", "description", "category", "list_price", "is_seasonal")
    folder.write(PRODUCTS, (",".join(map(quoted, row)) for row in [header, *product_rows(catalogue)]))
    header = ("country", "iso_code", "region", "currency", "is_home_market")
    folder.write(COUNTRIES, (",".join(map(quoted, row)) for row in [header, *country_rows()]))
    folder.write(MERCHANTS, (json.dumps(row, separators=(",", ":")) for row in merchant_rows(wallet)))

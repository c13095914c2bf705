import csv
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_mart.errors import UsageError
from feature_mart.sample import SampleSummary, write_sample

# Of the content, not of the compressed bytes, which depend on the zlib. It changes only where the sample is changed on
# purpose; any other change means that two machines would not get the same sample.
DIGEST = "8f0f4920721f5ed887ca0a1d30c767eaf317a31ccf6bfa8221b2a6d732eee90e"


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*.*")) if path.is_file()
    }


def content(directory: Path) -> bytes:
    return b"".join(
        gzip.decompress(data) if name.endswith(".gz") else data for name, data in sorted(files_of(directory).items())
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return write_sample(tmp_path_factory.mktemp("sample") / "data", customers=120, days=60)


@pytest.fixture(scope="module")
def lines(sample: SampleSummary) -> list[dict[str, str]]:
    def rows() -> Iterator[dict[str, str]]:
        for path in sorted((sample.directory / "invoice_lines").iterdir()):
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                yield from csv.DictReader(file)

    return [row for row in rows() if is_well_formed(row)]


@pytest.fixture(scope="module")
def transactions(sample: SampleSummary) -> list[dict[str, Any]]:
    texts = [
        text
        for path in sorted((sample.directory / "card_transactions").iterdir())
        for text in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    found = []
    for text in texts:
        try:
            row = json.loads(text)
        except ValueError:
            continue
        if row["transaction_id"] != "TEST":
            found.append(row)
    return found


def is_well_formed(row: dict[str, str]) -> bool:
    try:
        int(row["Quantity"]), float(row["UnitPrice"]), datetime.fromisoformat(row["InvoiceDate"])
        float(row["CustomerID"] or 0)
    except (TypeError, ValueError):
        return False
    return True


def test_the_same_seed_and_sizes_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "somewhere" / "else"

    write_sample(first, customers=10, days=20)
    write_sample(second, customers=10, days=20)

    assert files_of(first) == files_of(second)


def test_the_content_is_the_same_on_every_platform_and_python(tmp_path: Path) -> None:
    write_sample(tmp_path, customers=25, days=40)

    assert hashlib.sha256(content(tmp_path)).hexdigest() == DIGEST


def test_another_seed_gives_another_sample(tmp_path: Path) -> None:
    write_sample(tmp_path / "a", customers=10, days=10, seed=1)
    write_sample(tmp_path / "b", customers=10, days=10, seed=2)

    assert content(tmp_path / "a") != content(tmp_path / "b")


def test_gzip_headers_hold_neither_time_nor_name(sample: SampleSummary) -> None:
    header = next((sample.directory / "invoice_lines").iterdir()).read_bytes()[:10]

    assert header[3] == 0, "flags: no name"
    assert header[4:8] == b"\0\0\0\0", "no time"


def test_one_more_day_leaves_the_invoices_of_the_days_before_as_they_were(tmp_path: Path) -> None:
    write_sample(tmp_path, customers=30, days=20, start=date(2025, 9, 1))
    before = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "invoice_lines").iterdir()
    }

    write_sample(tmp_path, customers=30, days=22, start=date(2025, 9, 1))

    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "invoice_lines").iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"2025-09-21.csv.gz", "2025-09-22.csv.gz"}


def test_a_smaller_sample_removes_what_a_larger_one_left_and_nothing_else(tmp_path: Path) -> None:
    write_sample(tmp_path, customers=10, days=30)
    own = tmp_path / "invoice_lines" / "mine.csv.gz"
    own.write_bytes(b"mine")

    summary = write_sample(tmp_path, customers=10, days=15)

    names = {path.name for path in (tmp_path / "card_transactions").iterdir()}
    assert max(names) == f"{summary.last_day}.json.gz"
    assert own.read_bytes() == b"mine"


def test_files_of_somebody_else_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    theirs = tmp_path / "products" / "products.csv"
    theirs.parent.mkdir()
    theirs.write_text("stock_code\n1\n")

    with pytest.raises(UsageError) as caught:
        write_sample(tmp_path, customers=5, days=5)

    assert str(caught.value) == (
        f"{theirs} exists and was not written by 'mart sample-data'. It is left alone, and no sample was written. "
        "Choose another folder, or move that file away."
    )
    assert files_of(tmp_path) == {"products/products.csv": b"stock_code\n1\n"}


def test_an_edited_list_of_files_removes_nothing_outside_the_sample(tmp_path: Path) -> None:
    keep = tmp_path / "keep.txt"
    keep.write_text("x")
    folder = tmp_path / "data"
    write_sample(folder, customers=5, days=5)
    listed = json.loads((folder / "sample.json").read_text())
    listed["files"] += ["../keep.txt", "products/../../keep.txt", "/etc/hostname"]
    (folder / "sample.json").write_text(json.dumps(listed))

    write_sample(folder, customers=5, days=5)

    assert keep.read_text() == "x"


def test_a_damaged_list_of_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_text("[1")

    with pytest.raises(UsageError, match=r"sample\.json should list the sample's own files and cannot be read"):
        write_sample(tmp_path, customers=5, days=5)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"customers": 0}, "--customers is 0; it must be 1 or more. No sample was written."),
        ({"days": -1}, "--days is -1; it must be 1 or more. No sample was written."),
        ({"seed": -7}, "--seed is -7; it must be 0 or more. No sample was written."),
        (
            {"days": 3_650_000},
            "--days is 3650000: counted from 2025-08-25, that is past the year 9999. No sample was written.",
        ),
    ],
)
def test_sizes_without_sense_are_refused(tmp_path: Path, sizes: dict[str, int], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        write_sample(tmp_path / "data", **sizes)  # type: ignore[arg-type]

    assert str(caught.value) == text
    assert not (tmp_path / "data").exists()


def test_the_smallest_sample_is_whole(tmp_path: Path) -> None:
    summary = write_sample(tmp_path, customers=1, days=1)

    assert (summary.customers, summary.first_day, summary.last_day) == (1, summary.last_day, summary.first_day)
    assert {path.name for path in tmp_path.iterdir()} >= {"products", "countries", "merchants", "sample.json"}


def test_progress_is_told_after_each_day(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    write_sample(tmp_path, customers=5, days=3, progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_summary_reads_well(sample: SampleSummary) -> None:
    assert "60 days" not in str(sample)
    assert f"{sample.invoice_lines:,} invoice lines of {sample.invoices:,} invoices" in str(sample)


def test_lines_have_the_columns_and_the_dirt_of_the_original(
    sample: SampleSummary, lines: list[dict[str, str]]
) -> None:
    assert list(lines[0]) == [
        "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
    ]  # fmt: skip
    share = {
        "without customer": sum(not line["CustomerID"] for line in lines) / len(lines),
        "cancelled": sum(line["InvoiceNo"].startswith("C") for line in lines) / len(lines),
        "without price": sum(float(line["UnitPrice"]) == 0 for line in lines) / len(lines),
        "copies": 1 - len({tuple(line.values()) for line in lines}) / len(lines),
    }
    assert 0.2 < share["without customer"] < 0.3
    assert 0.003 < share["cancelled"] < 0.03
    assert 0.001 < share["without price"] < 0.01
    assert 0.005 < share["copies"] < 0.02
    assert all(line["CustomerID"].endswith(".0") for line in lines if line["CustomerID"])
    assert any('"' in line["Description"] for line in lines)
    assert any("," in line["Description"] for line in lines)
    assert any(line["StockCode"] != line["StockCode"].upper() for line in lines)


def test_cancellations_are_negative_and_mostly_refer_to_an_earlier_purchase(lines: list[dict[str, str]]) -> None:
    bought: dict[tuple[str, str], str] = {}
    for line in lines:
        if not line["InvoiceNo"].startswith("C"):
            bought.setdefault((line["CustomerID"], line["StockCode"].upper()), line["InvoiceDate"])
    cancelled = [line for line in lines if line["InvoiceNo"].startswith("C")]

    assert all(int(line["Quantity"]) < 0 for line in cancelled)
    known = [
        line
        for line in cancelled
        if bought.get((line["CustomerID"], line["StockCode"].upper()), "9") < line["InvoiceDate"]
    ]
    assert len(known) / len(cancelled) > 0.8


def test_there_is_no_trade_on_saturdays_and_at_christmas(tmp_path: Path) -> None:
    write_sample(tmp_path, customers=20, days=14, start=date(2025, 12, 20))

    days = {date.fromisoformat(path.name[:10]) for path in (tmp_path / "invoice_lines").iterdir()}

    assert {day.weekday() for day in days}.isdisjoint({5})
    assert days.isdisjoint({date(2025, 12, 25), date(2025, 12, 26), date(2026, 1, 1)})
    assert date(2025, 12, 22) in days


def test_an_invoice_belongs_to_one_customer_and_numbers_follow_time(lines: list[dict[str, str]]) -> None:
    customers: dict[str, set[str]] = {}
    for line in lines:
        customers.setdefault(line["InvoiceNo"], set()).add(line["CustomerID"])
    assert all(len(found) == 1 for found in customers.values())

    numbers = [int(line["InvoiceNo"].lstrip("C")) for line in lines]
    assert numbers == sorted(numbers)


def test_malformed_rows_are_few(sample: SampleSummary) -> None:
    assert 1 <= sample.malformed < 0.001 * (sample.invoice_lines + sample.transactions)


def test_transactions_are_unique_but_for_messages_delivered_twice(transactions: list[dict[str, Any]]) -> None:
    texts = Counter(json.dumps(row) for row in transactions)

    assert len({row["transaction_id"] for row in transactions}) == len(texts)
    assert set(texts.values()) == {1, 2}
    assert all(len(row["transaction_timestamp"]) == len("2025-08-25T00:00:00.000000Z") for row in transactions)


def test_fraud_is_reported_later_and_never_after_the_export(
    sample: SampleSummary, transactions: list[dict[str, Any]]
) -> None:
    frauds = [row for row in transactions if row["is_fraud"]]
    export_end = str(sample.last_day + timedelta(days=1))

    assert 0.003 < len(frauds) / len(transactions) < 0.04
    assert all(row["transaction_timestamp"] < row["reported_at"] < export_end for row in frauds)
    assert all(row["reported_at"] is None for row in transactions if not row["is_fraud"])


def test_fraud_can_be_learned(transactions: list[dict[str, Any]]) -> None:
    def night_share(is_fraud: bool) -> float:
        hours = [int(row["transaction_timestamp"][11:13]) for row in transactions if row["is_fraud"] is is_fraud]
        return sum(hour < 6 for hour in hours) / len(hours)

    assert night_share(True) > 4 * night_share(False)


def test_transactions_refer_to_merchants_and_customers_that_exist(
    sample: SampleSummary, transactions: list[dict[str, Any]], lines: list[dict[str, str]]
) -> None:
    text = (sample.directory / "merchants" / "merchants.json").read_text()
    merchants = {json.loads(row)["merchant_id"] for row in text.splitlines()}
    shoppers = {int(float(line["CustomerID"])) for line in lines if line["CustomerID"]}
    holders = {row["customer_id"] for row in transactions}

    assert {row["merchant_id"] for row in transactions} <= merchants
    assert None in holders, "prepaid cards"
    assert shoppers <= holders
    with (sample.directory / "countries" / "countries.csv").open(newline="") as file:
        countries = {row["country"] for row in csv.DictReader(file)}
    assert {line["Country"] for line in lines} <= countries

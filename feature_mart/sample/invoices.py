"""What the till exports each day: invoice lines with the columns, and the dirt, of the Online Retail set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from feature_mart.sample.catalogue import Catalogue, Product, countries
from feature_mart.sample.draws import Draws, Weighted
from feature_mart.sample.shoppers import OFFICE_HOURS, Shopper, is_christmas_season, trade_on

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
FIRST_INVOICE = 536_365
HOME = "United Kingdom"
RETAIL_QUANTITIES = (1, 1, 1, 1, 2, 2, 3, 4, 6)
WHOLESALE_QUANTITIES = (6, 6, 12, 12, 24, 24, 36, 48, 72, 96)
POSTAGE = Product("POST", "POSTAGE", "", 1800)
MANUAL = Product("M", "Manual", "", 1250)
DISCOUNT = Product("D", "Discount", "", 2750)
RETURN_WITHIN_DAYS = 45
MALFORMED_EVERY_DAYS = 20
MALFORMED_FROM_LINES = 200


@dataclass(frozen=True)
class Line:
    """One line of an invoice; ``price`` is in pence, ``quantity`` is negative on cancellations."""

    product: Product
    quantity: int
    price: int


@dataclass(frozen=True)
class Invoice:
    """One invoice before it has a number: numbers follow the time of day."""

    minute: int
    customer_id: int | None
    country: str
    lines: tuple[Line, ...]
    is_cancellation: bool = False
    spans_two_minutes: bool = False


@dataclass
class Till:
    """The shop's memory from day to day: the next invoice number, and the goods that will come back."""

    seed: int
    catalogue: Catalogue
    shoppers: list[Shopper]
    start: date
    next_invoice: int = FIRST_INVOICE
    malformed: int = 0
    cancelled: int = 0
    days_of_trade: int = 0
    returns: dict[date, list[tuple[Shopper, tuple[Line, ...]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draws = Draws(self.seed, "invoices")
        self.guests = Draws(self.seed, "guests")
        self.dirt = Draws(self.seed, "dirt")
        self.hours = Weighted(OFFICE_HOURS)
        self.guest_countries = countries()
        self.guest_lines_owed = 0.0

    @property
    def invoices(self) -> int:
        """How many invoices were written so far, cancellations included."""
        return self.next_invoice - FIRST_INVOICE

    def day(self, day: date) -> list[str]:
        """The lines of the day's file, without the header; empty on a day without trade."""
        trade = trade_on(day)
        if trade == 0.0:
            return []
        self.days_of_trade += 1
        orders = list(self._orders(day, trade))
        cancellations = list(self._cancellations(day))
        account_lines = sum(len(invoice.lines) for invoice in orders)
        guests = list(self._guest_orders(day, account_lines))
        invoices = orders + cancellations + guests + list(self._stock_corrections())
        # Sorting is stable, so invoices of one minute stay in a fixed order.
        invoices.sort(key=lambda invoice: invoice.minute)
        rows = [row for invoice in invoices for row in self._rows(day, invoice)]
        return self._with_malformed(day, rows)

    def _orders(self, day: date, trade: float) -> Iterator[Invoice]:
        draws, day_number, is_season = self.draws, (day - self.start).days, is_christmas_season(day)
        for shopper in self.shoppers:
            expected = shopper.orders_on(day_number) * trade
            if expected > 0.0 and draws.chance(expected):
                yield self._order(day, shopper, is_season)
                if draws.chance(0.06):
                    yield self._order(day, shopper, is_season)

    def _order(self, day: date, shopper: Shopper, is_season: bool) -> Invoice:
        draws = self.draws
        size = 1 + int(draws.around(shopper.basket))
        # By product: what the till writes twice on purpose is added in `_rows`.
        chosen = (self._line(draws, shopper, is_season) for _ in range(size))
        lines = list({line.product.stock_code: line for line in chosen}.values())
        if shopper.country != HOME and draws.chance(0.4):
            lines.append(Line(POSTAGE, draws.between(1, 3), POSTAGE.price))
        if draws.chance(shopper.return_share):
            self._plan_return(day, shopper, lines)
        country = shopper.country
        if draws.chance(0.0005):
            country = self.guest_countries.draw(draws)
        return Invoice(self._minute(draws), shopper.customer_id, country, tuple(lines), False, draws.chance(0.002))

    def _line(self, draws: Draws, shopper: Shopper, is_season: bool) -> Line:
        if draws.chance(0.6):
            product = self.catalogue.by_category[shopper.favourites[draws.below(2)]].draw(draws)
        else:
            product = (self.catalogue.popular_in_season if is_season else self.catalogue.popular).draw(draws)
        quantity = draws.pick(WHOLESALE_QUANTITIES if shopper.is_wholesaler else RETAIL_QUANTITIES)
        price = product.price * 85 // 100 if quantity >= 24 else product.price
        return Line(product, quantity, 0 if draws.chance(0.004) else price)

    def _plan_return(self, day: date, shopper: Shopper, lines: list[Line]) -> None:
        """Some of the goods come back on a later day of trade: all pieces, or a part."""
        draws = self.draws
        # Squared: most returns come within two weeks.
        back = day + timedelta(days=1 + int(RETURN_WITHIN_DAYS * draws.random() * draws.random()))
        while trade_on(back) == 0.0:
            back += timedelta(days=1)
        returned = []
        first = draws.below(len(lines))
        for line in lines[first : first + draws.between(1, 6)]:
            quantity = line.quantity if draws.chance(0.7) else draws.between(1, line.quantity)
            returned.append(Line(line.product, -quantity, line.price))
        self.returns.setdefault(back, []).append((shopper, tuple(returned)))

    def _cancellations(self, day: date) -> Iterator[Invoice]:
        draws = self.draws
        for shopper, lines in self.returns.pop(day, []):
            yield Invoice(self._minute(draws), shopper.customer_id, shopper.country, lines, True)
            if draws.chance(0.08):
                # What was bought before the first file, or is no goods at all: nothing earlier to be found.
                other = DISCOUNT if draws.chance(0.3) else self.catalogue.popular.draw(draws)
                alone = (Line(other, -1, other.price),)
                yield Invoice(self._minute(draws), shopper.customer_id, shopper.country, alone, True)

    def _guest_orders(self, day: date, account_lines: int) -> Iterator[Invoice]:
        """Orders without an account: a quarter of all lines, at prices with tax, mostly one of each."""
        draws, is_season = self.guests, is_christmas_season(day)
        self.guest_lines_owed += account_lines / 3.0
        while self.guest_lines_owed >= 1.0:
            size = 1 + int(draws.around(24.0))
            popular = self.catalogue.popular_in_season if is_season else self.catalogue.popular
            products = {product.stock_code: product for product in (popular.draw(draws) for _ in range(size))}
            lines = [Line(p, draws.between(1, 3), p.price * 6 // 5) for p in products.values()]
            self.guest_lines_owed -= len(lines)
            if draws.chance(0.1):
                lines.append(Line(MANUAL, 1, MANUAL.price))
            yield Invoice(self._minute(draws), None, self.guest_countries.draw(draws), tuple(lines))

    def _stock_corrections(self) -> Iterator[Invoice]:
        """Write-offs that share the till's export: no customer, no price, no description."""
        while self.dirt.chance(0.4):
            product = self.catalogue.popular.draw(self.dirt)
            lost = Line(Product(product.stock_code, "", "", 0), -self.dirt.between(1, 40), 0)
            yield Invoice(self._minute(self.dirt), None, HOME, (lost,))

    def _minute(self, draws: Draws) -> int:
        return self.hours.draw(draws) * 60 + draws.below(60)

    def _rows(self, day: date, invoice: Invoice) -> Iterator[str]:
        dirt = self.dirt
        number = f"C{self.next_invoice}" if invoice.is_cancellation else str(self.next_invoice)
        self.next_invoice += 1
        self.cancelled += len(invoice.lines) if invoice.is_cancellation else 0
        # As the original has it: a float, because the column has gaps.
        customer = "" if invoice.customer_id is None else f"{invoice.customer_id}.0"
        half = len(invoice.lines) // 2
        for position, line in enumerate(invoice.lines):
            minute = invoice.minute + (1 if invoice.spans_two_minutes and position >= half else 0)
            code = line.product.stock_code
            if dirt.chance(0.003):
                code = code.lower()
            when, price = f"{day} {minute // 60:02d}:{minute % 60:02d}:00", short_decimal(line.price)
            row = (
                f"{number},{code},{quoted(line.product.description)},{line.quantity},"
                f"{when},{price},{customer},{invoice.country}"
            )
            yield row
            if dirt.chance(0.009):
                yield row

    def _with_malformed(self, day: date, rows: list[str]) -> list[str]:
        """Now and then one row that no declared schema fits, so that the quarantine has something to show."""
        if self.days_of_trade % MALFORMED_EVERY_DAYS != 5 or len(rows) < MALFORMED_FROM_LINES:
            return rows
        number = self.next_invoice
        examples = (
            f"{number},20001,TILL TEST,twelve,{day} 12:00:00,1.25,12346.0,{HOME}",
            f"{number},20001,TILL TEST,1,{day.year}-13-45 12:00:00,1.25,12346.0,{HOME}",
            f'{number},20001,TILL TEST,1,{day} 12:00:00,"1,25 GBP",12346.0,{HOME}',
            f"{number},20001,TILL TEST,1,{day} 12:00:00,1.25,unknown,{HOME}",
            f"{number},20001,TILL TE",
        )
        middle = len(rows) // 2
        row = examples[self.malformed % len(examples)]
        self.malformed += 1
        return [*rows[:middle], row, *rows[middle:]]


def quoted(text: str) -> str:
    """A CSV field: quoted only where it must be."""
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text


def short_decimal(pence: int) -> str:
    """A price as the original writes it: 210 is ``2.1``, 200 is ``2.0``."""
    return f"{pence // 100}.{pence % 100 // 10}" if pence % 10 == 0 else f"{pence // 100}.{pence % 100:02d}"

"""What the card processor exports each day: transactions, a few of them fraud that is reported later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from feature_mart.records import iso
from feature_mart.sample.cards import RATES, Card, Merchant, Wallet
from feature_mart.sample.catalogue import decimal
from feature_mart.sample.draws import Draws

SECOND = 1_000_000
MINUTE = 60 * SECOND
FRAUD_PER_CARD_DAY = 0.0016
MALFORMED_EVERY_DAYS = 40
MALFORMED_FROM_LINES = 200


@dataclass(frozen=True)
class Payment:
    """One use of a card: ``moment`` in microseconds since midnight, ``pence`` as billed to the card."""

    moment: int
    card: Card
    merchant: Merchant
    pence: int
    channel: str
    reported_at: datetime | None = None


@dataclass
class Processor:
    """The card processor's memory from day to day. ``export_end`` is the moment that the export was taken."""

    seed: int
    wallet: Wallet
    export_end: datetime
    next_transaction: int = 1
    days: int = 0
    malformed: int = 0
    frauds: int = 0

    def __post_init__(self) -> None:
        self.draws = Draws(self.seed, "transactions")
        self.fraud = Draws(self.seed, "fraud")

    def day(self, day: date) -> list[str]:
        """The lines of the day's file: one JSON object each."""
        self.days += 1
        payments = [*self._usual(day), *self._stolen(day)]
        payments.sort(key=lambda payment: payment.moment)
        rows: list[str] = []
        for payment in payments:
            row = self._row(day, payment)
            rows.append(row)
            if self.draws.chance(0.001):
                # The processor delivers at least once: now and then the very same message twice.
                rows.append(row)
        return self._with_malformed(day, rows)

    def _usual(self, day: date) -> Iterator[Payment]:
        draws, weekend = self.draws, 1.25 if day.weekday() >= 5 else 0.95
        for card in self.wallet.cards:
            for _ in range(int(draws.around(card.payments_per_day * weekend) + draws.random())):
                if draws.random() < card.loyalty:
                    merchant = draws.pick(card.favourites)
                else:
                    merchant = self.wallet.by_trade.draw(draws)
                pence = 50 + int(merchant.usual * card.spending * (0.2 + draws.around(0.55)))
                moment = card.hours.draw(draws) * 60 * MINUTE + draws.below(60 * MINUTE)
                yield Payment(moment, card, merchant, pence, self._channel(merchant))

    def _channel(self, merchant: Merchant) -> str:
        if merchant.is_online:
            return "online"
        return "contactless" if self.draws.chance(0.7) else "chip"

    def _stolen(self, day: date) -> Iterator[Payment]:
        draws = self.fraud
        for card in self.wallet.cards:
            if draws.chance(FRAUD_PER_CARD_DAY * card.exposure):
                reported_at = self._reported_at(day)
                yield from (
                    self._card_testing(card, reported_at) if draws.chance(0.4) else self._spree(card, reported_at)
                )

    def _reported_at(self, day: date) -> datetime | None:
        """When the holder notices: most within two weeks, some never. What comes after the export is not in it."""
        draws = self.fraud
        is_noticed = draws.chance(0.93)
        noticed = datetime(day.year, day.month, day.day, tzinfo=timezone.utc) + timedelta(
            days=1 + int(35 * draws.random() * draws.random()), seconds=draws.between(8 * 3600, 22 * 3600)
        )
        return noticed if is_noticed and noticed < self.export_end else None

    def _spree(self, card: Card, reported_at: datetime | None) -> Iterator[Payment]:
        """Large amounts in the small hours, mostly online and where goods are easily sold on."""
        draws = self.fraud
        moment = draws.below(150 * MINUTE) if draws.chance(0.8) else draws.between(10, 20) * 60 * MINUTE
        for _ in range(draws.between(2, 7)):
            merchant = draws.pick(self.wallet.online)
            pence = 4_000 + int(draws.around(28_000))
            yield Payment(moment, card, merchant, pence, "online", reported_at)
            moment += 2 * MINUTE + draws.below(20 * MINUTE)

    def _card_testing(self, card: Card, reported_at: datetime | None) -> Iterator[Payment]:
        """Many tiny payments within minutes to see whether the card works, then one or two large ones."""
        draws = self.fraud
        merchant = draws.pick(self.wallet.online)
        moment = draws.below(21 * 60 * MINUTE)
        for _ in range(draws.between(6, 18)):
            yield Payment(moment, card, merchant, draws.between(50, 199), "online", reported_at)
            moment += 5 * SECOND + draws.below(40 * SECOND)
        for _ in range(draws.between(1, 2)):
            moment += 3 * MINUTE + draws.below(30 * MINUTE)
            target = draws.pick(self.wallet.online)
            yield Payment(moment, card, target, 9_000 + int(draws.around(30_000)), "online", reported_at)

    def _row(self, day: date, payment: Payment) -> str:
        card, merchant = payment.card, payment.merchant
        number = self.next_transaction
        self.next_transaction += 1
        self.frauds += payment.reported_at is not None
        holder = "null" if card.customer_id is None else str(card.customer_id)
        amount = decimal(payment.pence * RATES[merchant.currency] // RATES["GBP"])
        reported = "null" if payment.reported_at is None else f'"{iso(payment.reported_at)}"'
        return (
            f'{{"transaction_id":"T{number:010d}","card_id":"{card.card_id}","customer_id":{holder},'
            f'"merchant_id":"{merchant.merchant_id}","transaction_timestamp":"{day}T{_time(payment.moment)}Z",'
            f'"amount":{amount},"currency":"{merchant.currency}","billed_amount":{decimal(payment.pence)},'
            f'"channel":"{payment.channel}","is_fraud":{"false" if payment.reported_at is None else "true"},'
            f'"reported_at":{reported}}}'
        )

    def _with_malformed(self, day: date, rows: list[str]) -> list[str]:
        """Now and then one line that is cut off or does not fit the declared schema, for the quarantine to show."""
        if self.days % MALFORMED_EVERY_DAYS != 15 or len(rows) < MALFORMED_FROM_LINES:
            return rows
        middle = len(rows) // 2
        examples = (
            rows[middle][:57],
            f'{{"transaction_id":"TEST","transaction_timestamp":"{day}T12:00:00Z","amount":"n/a","currency":"GBP"}}',
        )
        row = examples[self.malformed % len(examples)]
        self.malformed += 1
        return [*rows[:middle], row, *rows[middle:]]


def _time(moment: int) -> str:
    seconds, micros = divmod(moment, SECOND)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}"

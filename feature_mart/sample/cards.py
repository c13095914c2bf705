"""Who pays where: merchants and cards with their habits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from feature_mart.sample.catalogue import COUNTRIES
from feature_mart.sample.draws import Draws, Weighted
from feature_mart.sample.shoppers import Shopper

HOME = "United Kingdom"
MERCHANTS_AT_LEAST = 40
CUSTOMERS_PER_MERCHANT = 5
FAVOURITES = 8
# category: (share of payments, usual amount in pence, share that only sells online)
TRADES: dict[str, tuple[float, int, float]] = {
    "groceries": (30.0, 3200, 0.05),
    "restaurants": (16.0, 2600, 0.0),
    "transport": (14.0, 900, 0.3),
    "fashion": (9.0, 5500, 0.5),
    "home_and_garden": (7.0, 7000, 0.3),
    "fuel": (7.0, 5200, 0.0),
    "digital_goods": (7.0, 1400, 1.0),
    "electronics": (4.0, 18000, 0.6),
    "travel": (3.0, 26000, 0.8),
    "gift_cards": (2.0, 4000, 0.7),
    "jewellery": (1.0, 22000, 0.2),
}
NAMES = ("Corner", "High Street", "Old Mill", "Harbour", "Station", "Garden", "Bright", "Northern", "Two Rivers", "Elm")
# What one pound buys, times 10,000: fixed, as a sample needs no market.
RATES = {
    "GBP": 10_000, "EUR": 11_600, "USD": 12_700, "CHF": 11_200, "NOK": 134_000, "DKK": 86_000, "SEK": 133_000,
    "AUD": 19_300, "JPY": 1_900_000, "PLN": 50_000,
}  # fmt: skip
DAYTIME = Weighted([(7, 3.0), (8, 6), (9, 6), (10, 7), (11, 8), (12, 12), (13, 11), (14, 7), (15, 7), (16, 8), (17, 10),
                    (18, 9), (19, 6), (20, 4), (21, 3), (22, 1)])  # fmt: skip
EVENING = Weighted([(10, 2.0), (12, 5), (13, 5), (15, 3), (17, 8), (18, 12), (19, 14), (20, 14), (21, 12), (22, 8),
                    (23, 5), (0, 2), (1, 1)])  # fmt: skip
NIGHT = Weighted([(18, 5.0), (20, 8), (21, 9), (22, 10), (23, 12), (0, 12), (1, 10), (2, 8), (3, 5), (4, 3), (13, 6)])


@dataclass(frozen=True)
class Merchant:
    """Where cards are used. ``usual`` is its usual amount, in pence."""

    merchant_id: str
    name: str
    category: str
    country: str
    currency: str
    is_online: bool
    usual: int
    onboarded_on: date


@dataclass(frozen=True)
class Card:
    """A card and its holder's habits. Prepaid cards have no customer."""

    card_id: str
    customer_id: int | None
    payments_per_day: float
    hours: Weighted[int]
    favourites: tuple[Merchant, ...]
    loyalty: float
    spending: float
    exposure: float


@dataclass(frozen=True)
class Wallet:
    """All merchants and cards."""

    merchants: tuple[Merchant, ...]
    by_trade: Weighted[Merchant]
    online: tuple[Merchant, ...]
    cards: tuple[Card, ...]


def make_wallet(seed: int, shoppers: list[Shopper], start: date) -> Wallet:
    """The cards of the shop's customers, some prepaid ones, and the merchants that take them."""
    merchants = _merchants(seed, len(shoppers), start)
    sizes: dict[str, int] = {}
    for merchant in merchants:
        sizes[merchant.category] = sizes.get(merchant.category, 0) + 1
    by_trade = Weighted((merchant, TRADES[merchant.category][0] / sizes[merchant.category]) for merchant in merchants)
    online = tuple(merchant for merchant in merchants if merchant.is_online)
    return Wallet(tuple(merchants), by_trade, online, tuple(_cards(seed, shoppers, by_trade)))


def merchant_rows(wallet: Wallet) -> Iterator[dict[str, object]]:
    """The rows of the merchants file."""
    for merchant in wallet.merchants:
        yield {
            "merchant_id": merchant.merchant_id,
            "name": merchant.name,
            "category": merchant.category,
            "country": merchant.country,
            "is_online": merchant.is_online,
            "onboarded_on": merchant.onboarded_on.isoformat(),
        }


def _merchants(seed: int, customers: int, start: date) -> list[Merchant]:
    draws = Draws(seed, "merchants")
    currencies = {name: currency for name, _, currency, _, _ in COUNTRIES}
    abroad = [name for name in currencies if name != HOME]
    trades = list(TRADES)
    merchants = []
    for number in range(MERCHANTS_AT_LEAST + customers // CUSTOMERS_PER_MERCHANT):
        # The first ones go through the trades in turn, so that the smallest sample has them all.
        category = trades[number % len(trades)] if number < 3 * len(trades) else draws.pick(trades)
        _, usual, online_share = TRADES[category]
        is_online = draws.chance(online_share)
        country = draws.pick(abroad) if draws.chance(0.25 if is_online else 0.06) else HOME
        name = f"{draws.pick(NAMES)} {category.replace('_', ' ').title()}"
        onboarded = start - timedelta(days=draws.between(30, 2500))
        usual = int(usual * (0.6 + 0.8 * draws.random()))
        merchants.append(
            Merchant(f"M{number:06d}", name, category, country, currencies[country], is_online, usual, onboarded)
        )
    return merchants


def _cards(seed: int, shoppers: list[Shopper], by_trade: Weighted[Merchant]) -> Iterator[Card]:
    draws = Draws(seed, "cards")
    number = 0
    for shopper in shoppers:
        holders: list[int | None] = [shopper.customer_id]
        if draws.chance(0.3):
            holders.append(shopper.customer_id)
        if draws.chance(0.06):
            holders.append(None)
        for holder in holders:
            yield _card(draws, f"K{number:08d}", holder, by_trade)
            number += 1


def _card(draws: Draws, card_id: str, customer_id: int | None, by_trade: Weighted[Merchant]) -> Card:
    kind = draws.random()
    hours = NIGHT if kind < 0.05 else EVENING if kind < 0.35 else DAYTIME
    favourites = tuple(by_trade.draw(draws) for _ in range(FAVOURITES))
    online = sum(merchant.is_online for merchant in favourites) / FAVOURITES
    return Card(
        card_id=card_id,
        customer_id=customer_id,
        payments_per_day=0.1 + 1.3 * draws.random() * (0.5 + 0.5 * draws.random()),
        hours=hours,
        favourites=favourites,
        loyalty=0.5 + 0.4 * draws.random(),
        spending=0.6 + draws.random() * draws.random() * 2.0,
        # Cards that are used online a lot are stolen more often.
        exposure=0.4 + 1.8 * online,
    )

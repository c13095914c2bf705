"""Who shops: every customer has habits (how often, what, how much, when) that models can learn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from feature_mart.sample.catalogue import CATEGORIES, CHRISTMAS, countries
from feature_mart.sample.draws import Draws, Weighted

FIRST_CUSTOMER = 12_346
NEVER = 1_000_000
FADING_DAYS = 45
# Trade by weekday, Monday first: the shop is closed on Saturdays, and Thursday is its best day.
WEEKDAYS = (0.95, 1.0, 1.0, 1.15, 0.85, 0.0, 0.6)
# Trade by month, January first: the year runs up to Christmas.
MONTHS = (0.75, 0.75, 0.85, 0.8, 0.95, 0.9, 0.9, 0.9, 1.1, 1.25, 1.5, 1.15)
OFFICE_HOURS: tuple[tuple[int, float], ...] = (
    (7, 0.5), (8, 4.0), (9, 9.0), (10, 12.0), (11, 13.0), (12, 17.0), (13, 15.0), (14, 13.0), (15, 13.0), (16, 9.0),
    (17, 5.0), (18, 2.0), (19, 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class Shopper:
    """A customer with an account, and the habits behind what they do."""

    customer_id: int
    country: str
    orders_per_day: float
    basket: float
    is_wholesaler: bool
    favourites: tuple[str, str]
    return_share: float
    joins: int
    leaves: int

    def orders_on(self, day_number: int) -> float:
        """The expected orders on a day (counted from the sample's first): who is about to leave buys less and less."""
        if not self.joins <= day_number < self.leaves:
            return 0.0
        left = self.leaves - day_number
        return self.orders_per_day if left >= FADING_DAYS else self.orders_per_day * left / FADING_DAYS


def make_shoppers(seed: int, customers: int) -> list[Shopper]:
    """All customers, each drawn alone: the first hundred are the same people in a sample of any size."""
    draws = Draws(seed, "shoppers")
    where = countries()
    categories = [category for category in CATEGORIES if category != CHRISTMAS]
    return [_shopper(draws, FIRST_CUSTOMER + number, where, categories) for number in range(customers)]


def _shopper(draws: Draws, customer_id: int, where: Weighted[str], categories: list[str]) -> Shopper:
    country = where.draw(draws)
    days_between = 7.0 + 50.0 * draws.random() * draws.random()
    is_wholesaler = draws.chance(0.3)
    basket = draws.around(32.0) if is_wholesaler else draws.around(20.0)
    favourites = (draws.pick(categories), draws.pick(categories))
    is_returner = draws.chance(0.2)
    return_share = draws.around(0.45) if is_returner else draws.around(0.08)
    joins = draws.between(1, 300) if draws.chance(0.25) else 0
    # Who returns a lot leaves more often: there is something to find for a churn model.
    leaves = joins + draws.between(15, 260) if draws.chance(0.75 if is_returner else 0.4) else NEVER
    return Shopper(
        customer_id, country, 1.0 / days_between, basket, is_wholesaler, favourites, return_share, joins, leaves
    )


def trade_on(day: date) -> float:
    """How busy the shop is on a day, 1.0 being usual; 0.0 when it is closed."""
    if (day.month, day.day) in ((12, 25), (12, 26), (1, 1)):
        return 0.0
    return WEEKDAYS[day.weekday()] * MONTHS[day.month - 1]


def is_christmas_season(day: date) -> bool:
    """Whether the Christmas goods are on display."""
    return day.month in (10, 11, 12) and (day.month, day.day) < (12, 24)

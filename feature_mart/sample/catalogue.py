"""What the shop sells and where it sells to: products by category, countries with region and currency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from feature_mart.sample.draws import Draws, Weighted

CHRISTMAS = "christmas"
# category: (nouns, lowest and highest price in pence)
CATEGORIES: dict[str, tuple[tuple[str, ...], int, int]] = {
    "kitchen": (("MUG", "TEAPOT", "CAKE TIN", "EGG CUP", "TEA TOWEL", "RECIPE BOX", "JUG", "APRON"), 85, 1295),
    "candles": (("CANDLE", "TEALIGHT HOLDER", "LANTERN", "CANDLESTICK", "CANDLE PLATE"), 42, 995),
    "stationery": (("NOTEBOOK", "PENCIL SET", "GIFT WRAP", "BIRTHDAY CARD", "STICKY NOTES", "PEN"), 19, 495),
    "home": (("CUSHION", "DOORMAT", "WALL CLOCK", "PHOTO FRAME", "COAT HOOK", "DRAWER KNOB", "QUILT"), 125, 1995),
    "garden": (("PLANT POT", "BIRD HOUSE", "WATERING CAN", "HERB MARKER", "PARASOL", "WIND CHIME"), 85, 1695),
    "toys": (("JIGSAW", "SKIPPING ROPE", "DOMINOES", "SPINNING TOP", "DOLL", "WOODEN TRAIN"), 65, 1495),
    "bags": (("JUMBO BAG", "LUNCH BAG", "SHOPPER", "WASH BAG", "PURSE", "RUCKSACK"), 125, 895),
    CHRISTMAS: (("BAUBLE", "STOCKING", "ADVENT CALENDAR", "TREE STAR", "CRACKER SET", "REINDEER"), 29, 1295),
}
LOOKS = (
    "RED DOTS", "BLUE STRIPES", "VINTAGE ROSE", "WHITE ENAMEL", "OAK LEAF", "PINK GINGHAM", "PAISLEY", "SKULLS",
    "TWEED", "RETRO STAR", "IVORY LACE", "GREEN TARTAN", "SILVER GLITTER", "OWL", "STRAWBERRY", "FRENCH BLUE",
    "CIRCUS", "HEARTS",
)  # fmt: skip
# name, region, currency, ISO code, share of the shop's accounts
COUNTRIES: tuple[tuple[str, str, str, str, float], ...] = (
    ("United Kingdom", "Northern Europe", "GBP", "GB", 86.0),
    ("Germany", "Western Europe", "EUR", "DE", 2.4),
    ("France", "Western Europe", "EUR", "FR", 2.2),
    ("EIRE", "Northern Europe", "EUR", "IE", 1.4),
    ("Spain", "Southern Europe", "EUR", "ES", 0.9),
    ("Belgium", "Western Europe", "EUR", "BE", 0.8),
    ("Netherlands", "Western Europe", "EUR", "NL", 0.8),
    ("Switzerland", "Western Europe", "CHF", "CH", 0.7),
    ("Portugal", "Southern Europe", "EUR", "PT", 0.7),
    ("Italy", "Southern Europe", "EUR", "IT", 0.6),
    ("Finland", "Northern Europe", "EUR", "FI", 0.5),
    ("Austria", "Western Europe", "EUR", "AT", 0.5),
    ("Norway", "Northern Europe", "NOK", "NO", 0.5),
    ("Denmark", "Northern Europe", "DKK", "DK", 0.4),
    ("Sweden", "Northern Europe", "SEK", "SE", 0.4),
    ("Australia", "Oceania", "AUD", "AU", 0.4),
    ("Japan", "Eastern Asia", "JPY", "JP", 0.3),
    ("Poland", "Eastern Europe", "PLN", "PL", 0.3),
    ("USA", "Northern America", "USD", "US", 0.2),
)


@dataclass(frozen=True)
class Product:
    """One thing that the shop sells. The price is in pence."""

    stock_code: str
    description: str
    category: str
    price: int


@dataclass(frozen=True)
class Catalogue:
    """All products, ready to be drawn from: by popularity, in and out of the Christmas season, and by category."""

    products: tuple[Product, ...]
    popular: Weighted[Product]
    popular_in_season: Weighted[Product]
    by_category: dict[str, Weighted[Product]]


def countries() -> Weighted[str]:
    """The countries, as shares of the accounts."""
    return Weighted((name, share) for name, _, _, _, share in COUNTRIES)


def country_rows() -> Iterator[tuple[str, ...]]:
    """The rows of the countries file."""
    for name, region, currency, code, _ in COUNTRIES:
        yield name, code, region, currency, "true" if name == "United Kingdom" else "false"


def product_rows(catalogue: Catalogue) -> Iterator[tuple[str, ...]]:
    """The rows of the products file."""
    for product in catalogue.products:
        seasonal = "true" if product.category == CHRISTMAS else "false"
        yield product.stock_code, product.description.strip(), product.category, decimal(product.price), seasonal


def decimal(hundredths: int) -> str:
    """An amount with two decimals: 295 is ``2.95``."""
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def make_catalogue(seed: int) -> Catalogue:
    """The shop's products. Their number is the same for every size of sample: a shop, not a warehouse, grows."""
    draws = Draws(seed, "products")
    products: list[Product] = []
    code = 20_000
    for category, (nouns, lowest, highest) in CATEGORIES.items():
        for noun in nouns:
            for look in LOOKS:
                code += draws.between(1, 40)
                products.append(_product(draws, code, category, _description(draws, noun, look), lowest, highest))
    ranked = _ranked(draws, products)
    return Catalogue(
        products=tuple(products),
        popular=Weighted((product, weight) for product, weight in ranked if product.category != CHRISTMAS),
        popular_in_season=Weighted((p, weight * 4 if p.category == CHRISTMAS else weight) for p, weight in ranked),
        by_category={
            category: Weighted((product, weight) for product, weight in ranked if product.category == category)
            for category in CATEGORIES
        },
    )


def _product(draws: Draws, code: int, category: str, description: str, lowest: int, highest: int) -> Product:
    letter = draws.pick("ABCDS") if draws.chance(0.25) else ""
    steps = (highest - lowest) // 10
    # Squared, as most things in the shop are cheap; prices end in 5 or 9, as prices do.
    price = lowest + int(draws.random() * draws.random() * steps) * 10
    return Product(f"{code}{letter}", description, category, price)


def _description(draws: Draws, noun: str, look: str) -> str:
    """A description as tills write it: capitals, some with commas, inch marks or a space at the end."""
    shape = draws.random()
    if shape < 0.06:
        return f"{noun}, {look}"
    if shape < 0.10:
        return f'{noun} {draws.between(4, 12)}" {look}'
    if shape < 0.14:
        return f'{noun} "{look}"'
    if shape < 0.22:
        return f"{look} {noun} "
    return f"SET OF {draws.pick((2, 3, 4, 6))} {look} {noun}S" if shape < 0.32 else f"{look} {noun}"


def _ranked(draws: Draws, products: list[Product]) -> list[tuple[Product, float]]:
    """Every product with its popularity: a few sell all the time, most rarely."""
    order = sorted((draws.random(), position) for position in range(len(products)))
    return [(products[position], 1000.0 / (rank + 20)) for rank, (_, position) in enumerate(order)]

"""Spark SQL types as texts, read without Spark.

Read here rather than by a SQL parser, because the types of other databases (``text``, ``int64``, ``uuid``) must be
refused and named, and because ``mart list`` should not load a SQL parser for the key of an entity.
"""

from __future__ import annotations

import re
from functools import lru_cache

from feature_mart.definitions.problems import Invalid, nearest

_SIMPLE = {
    "boolean": "boolean",
    "tinyint": "tinyint",
    "byte": "tinyint",
    "smallint": "smallint",
    "short": "smallint",
    "int": "int",
    "integer": "int",
    "bigint": "bigint",
    "long": "bigint",
    "float": "float",
    "real": "float",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_ltz": "timestamp",
    "timestamp_ntz": "timestamp_ntz",
}
_DECIMAL = ("decimal", "dec", "numeric")
_SIZED = ("char", "character", "varchar")
_ELSEWHERE = {
    "text": "string",
    "str": "string",
    "object": "string",
    "uuid": "string",
    "bool": "boolean",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float32": "float",
    "float64": "double",
    "number": "double",
    "datetime": "timestamp",
    "timestamptz": "timestamp",
    "json": "string",
    "list": "array<…>",
    "dict": "map<…, …>",
}
ALLOWED = (
    "boolean, tinyint, smallint, int, bigint, float, double, decimal(p,s), string, binary, date, timestamp, "
    "array<…>, map<…, …>, struct<name: …>"
)
NESTED = ("array", "map", "struct")
NUMERIC = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
INTEGRAL = tuple(BITS)
_TOKEN = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*|[0-9]+|`[^`]+`|'[^']*')|([<>(),:]))")


@lru_cache(maxsize=1024)
def canonical_type(text: str) -> str:
    """The type in one spelling: ``LONG`` and ``bigint`` are both ``bigint``.

    Raises:
        Invalid: it is no type of Spark SQL that a Delta table can hold.
    """
    reader = _Reader(text)
    result = reader.type()
    reader.end()
    return result


def base_type(canonical: str) -> str:
    """``decimal`` for ``decimal(10,2)``, ``array`` for ``array<int>``, else the type itself."""
    return re.split(r"[(<]", canonical, maxsplit=1)[0]


def checked_key_type(text: str) -> str:
    """The canonical type of an entity's key.

    Raises:
        Invalid: it is no type, or one whose values cannot be looked up.
    """
    canonical = canonical_type(text)
    if base_type(canonical) in NESTED:
        raise Invalid(
            "is no type for a key",
            allowed="single values, as in bigint, string, date",
            fix="give each part a key of its own",
        )
    return canonical


class _Reader:
    """Recursive descent over a type's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        at = 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None:
                raise self.wrong()
            self.tokens.append(match[1] or match[2])
            at = match.end()
        self.at = 0

    def wrong(self) -> Invalid:
        return Invalid("is no type of Spark SQL", allowed=ALLOWED, fix="write a type as Spark's CREATE TABLE takes it")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise self.wrong()
        self.at += 1
        return token

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise self.wrong()

    def type(self) -> str:
        name = self.take().lower()
        if name in _SIMPLE:
            return _SIMPLE[name]
        if name in _DECIMAL:
            return self.decimal()
        if name in _SIZED:
            return f"{'char' if name == 'character' else name}({self.arguments(1)[0]})"
        if name == "array":
            return f"array<{self.within(1)}>"
        if name == "map":
            return f"map<{self.within(2)}>"
        if name == "struct":
            return f"struct<{self.fields()}>"
        meant = _ELSEWHERE.get(name) or nearest(name, [*_SIMPLE, *_DECIMAL, *_SIZED, *NESTED])
        raise Invalid(
            "is no type of Spark SQL",
            allowed=ALLOWED,
            nearest=meant,
            fix=f"write {meant}" if meant else "write one of these",
        )

    def decimal(self) -> str:
        if self.peek() != "(":
            return "decimal(10,0)"
        numbers = self.arguments(2)
        precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
        if not 1 <= precision <= 38 or scale > precision:
            raise Invalid(
                "is no decimal type of Spark SQL",
                allowed="decimal(p,s) with p from 1 to 38 and s from 0 to p",
                fix="write decimal(38,18) or less",
            )
        return f"decimal({precision},{scale})"

    def arguments(self, most: int) -> list[int]:
        self.take("(")
        numbers = [self.number()]
        while self.peek() == "," and len(numbers) < most:
            self.take(",")
            numbers.append(self.number())
        self.take(")")
        return numbers

    def number(self) -> int:
        token = self.take()
        if not token.isdigit() or len(token) > 9:
            raise self.wrong()
        return int(token)

    def within(self, count: int) -> str:
        self.take("<")
        types = [self.type()]
        for _ in range(count - 1):
            self.take(",")
            types.append(self.type())
        self.take(">")
        return ",".join(types)

    def fields(self) -> str:
        self.take("<")
        fields = [self.field()]
        while self.peek() == ",":
            self.take(",")
            fields.append(self.field())
        self.take(">")
        return ",".join(fields)

    def field(self) -> str:
        name = self.take()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*|`[^`]+`", name):
            raise self.wrong()
        if self.peek() == ":":
            self.take(":")
        kind = self.type()
        if self.peek().upper() == "NOT":
            self.take()
            if self.take().upper() != "NULL":
                raise self.wrong()
        if self.peek().upper() == "COMMENT":
            self.take()
            self.take()
        return f"{name}:{kind}"

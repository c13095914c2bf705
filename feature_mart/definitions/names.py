"""Which names a mart's files may give, and why not others."""

from __future__ import annotations

import re

from feature_mart.definitions.problems import Invalid

NAME = re.compile(r"[a-z][a-z0-9_]*")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST_NAME = 128
COLUMN_RULE = "letters, digits and _, beginning with a letter"
_NOT_IN_DELTA = re.compile(r"[ ,;{}()\n\t=]")


def checked_name(name: str) -> str:
    """The name of a view, source, entity, pipeline, service or mart, if it may be one.

    Raises:
        Invalid: it may not.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise Invalid(
            "is no name",
            allowed=f"small letters, digits and _, beginning with a letter, at most {LONGEST_NAME}",
            fix=f"write {suggested_name(name)}",
        )
    return name


def checked_table_name(name: str) -> str:
    """The name of a source or view: each has a table, so names that the engine's own tables use are kept free.

    Raises:
        Invalid: it is no name, or a reserved one.
    """
    checked_name(name)
    if name.startswith("mart_") or "__" in name:
        raise Invalid(
            "is reserved for tables of the engine",
            allowed="names that neither begin with mart_ nor contain __",
            fix=f"write {suggested_name(name.removeprefix('mart_'))}",
        )
    return name


def checked_column(name: str) -> str:
    """The name of a key, timestamp or feature, if it may be one.

    Raises:
        Invalid: it is no identifier, or begins with the underscore that marks the engine's own columns.
    """
    if not IDENTIFIER.fullmatch(name):
        raise Invalid(
            "is no column name",
            allowed=COLUMN_RULE,
            fix=f"write {suggested_column(name)}",
        )
    if name.startswith("_"):
        raise Invalid(
            "begins with _, as the engine's own columns do",
            allowed=COLUMN_RULE,
            fix=f"write {suggested_column(name)}",
        )
    return name


def checked_source_column(name: str) -> str:
    """A column of a source: whatever a Delta table can hold.

    Raises:
        Invalid: it is empty, or has a character that Delta refuses.
    """
    if not name or _NOT_IN_DELTA.search(name):
        raise Invalid(
            "is a column name that a Delta table cannot hold",
            allowed="anything without spaces, tabs, line ends and , ; { } ( ) =",
            fix=f"have the export name the column {suggested_column(name)}, and write that name here",
        )
    if name.startswith("_"):
        raise Invalid(
            "begins with _, as the engine's own columns do",
            allowed="names that do not begin with _",
            fix=f"have the export name the column {suggested_column(name)}, and write that name here",
        )
    return name


def suggested_name(name: str) -> str:
    """The nearest thing to ``name`` that is a name."""
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME and "__" not in name:
        return name
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    letters = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", snake.lower())).strip("_")
    return letters[:LONGEST_NAME] if letters[:1].isalpha() else f"n_{letters}".rstrip("_")


def suggested_column(name: str) -> str:
    """The nearest thing to ``name`` that is a feature's name."""
    letters = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    return letters if letters[:1].isalpha() else f"c_{letters}".rstrip("_")

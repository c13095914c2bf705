"""Which rows differ between two versions, by key: computed by Spark, in proportion to the rows that it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, MapType, StructType

from feature_mart.columns.values import plain, same
from feature_mart.definitions.spark_types import NESTED, base_type
from feature_mart.history.shape import Shape

# Columns of a view never begin with an underscore, so these are free.
_SIGN, _NET, _COPY, _NUMBER, _OLD, _NEW = "_sign", "_net", "_copy", "_number", "_old", "_new"
_VALUE = "v"


@dataclass(frozen=True)
class RowChanges:
    """Counts of rows, for each feature the changed rows that differ in it, and a few examples of each kind."""

    counts: Mapping[str, int]
    features: Mapping[str, int]
    examples: Mapping[str, list[dict[str, Any]]]


def signed(frame: DataFrame, shape: Shape, sign: Column) -> DataFrame:
    """The shared columns of rows in a form that can be compared, and whether they come (1) or go (-1)."""
    return frame.select(*[_comparable(frame, name, kind) for name, kind in shape.types.items()], sign.alias(_SIGN))


def row_changes(rows: DataFrame, shape: Shape, limit: int) -> RowChanges:
    """The changes that `signed` rows add up to.

    A row that goes and comes back the same is none. Several rows of one key are compared as a multiset: what is left of
    them is paired in the order of its values, so that none is hidden.
    """
    net = rows.groupBy(*[F.col(f"`{name}`") for name in shape.types]).agg(F.sum(_SIGN).alias(_NET)).where("_net != 0")
    paired = _paired(net, shape).persist()
    try:
        return RowChanges(*_counts(paired, shape), _examples(paired, shape, limit))
    finally:
        paired.unpersist()


def _paired(net: DataFrame, shape: Shape) -> DataFrame:
    """One row per key and number: the values before (null where a row came) and after (null where one went)."""
    key = [F.col(f"`{name}`") for name in shape.key]
    copies = net.withColumn(_COPY, F.explode(F.sequence(F.lit(1), F.abs(_NET).cast("int"))))
    side = F.col(_NET) > 0
    order = Window.partitionBy(*key, side).orderBy(*[F.col(f"`{name}`") for name in shape.features], _COPY)
    # Not empty where there are no features; never null itself, also where all features are.
    values = F.struct(F.lit(None).cast("boolean").alias(_VALUE), *_features(shape))
    return (
        copies.withColumn(_NUMBER, F.row_number().over(order))
        .groupBy(*key, _NUMBER)
        .agg(
            F.first(F.when(~side, values), ignorenulls=True).alias(_OLD),
            F.first(F.when(side, values), ignorenulls=True).alias(_NEW),
        )
    )


def _features(shape: Shape) -> list[Column]:
    # By number: a feature may be called as one of the columns here is.
    return [F.col(f"`{name}`").alias(f"f{at}") for at, name in enumerate(shape.features)]


_KINDS = {
    "added": "_old IS NULL",
    "removed": "_new IS NULL",
    "changed": "_old IS NOT NULL AND _new IS NOT NULL",
}


def _counts(paired: DataFrame, shape: Shape) -> tuple[dict[str, int], dict[str, int]]:
    both = F.expr(_KINDS["changed"])
    differs = [~F.col(f"_old.f{at}").eqNullSafe(F.col(f"_new.f{at}")) for at in range(len(shape.features))]
    row = paired.agg(
        *[F.count_if(F.expr(condition)) for condition in _KINDS.values()],
        *[F.count_if(both & condition) for condition in differs],
    ).first()
    assert row is not None
    counts = [int(count) for count in row]
    return dict(zip(_KINDS, counts, strict=False)), dict(zip(shape.features, counts[len(_KINDS) :], strict=True))


def _examples(paired: DataFrame, shape: Shape, limit: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
    if limit <= 0:
        return found
    key = [F.col(f"`{name}`").alias(f"k{at}") for at, name in enumerate(shape.key)]
    for kind, condition in _KINDS.items():
        shown = paired.where(condition).select(*key, _NUMBER, _OLD, _NEW).orderBy(*_key_names(shape), _NUMBER)
        found[kind] = [_example(kind, row, shape) for row in shown.limit(limit).toArrow().to_pylist()]
    return found


def _key_names(shape: Shape) -> list[str]:
    return [f"k{at}" for at in range(len(shape.key))]


def _example(kind: str, row: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    key = {name: plain(row[column]) for name, column in zip(shape.key, _key_names(shape), strict=True)}
    old, new = (None if row[side] is None else _values(row[side], shape) for side in (_OLD, _NEW))
    if old is None or new is None:
        return {"key": key, "values": _plain(new or old or {})}
    differing = [name for name in shape.features if not same(old[name], new[name])]
    return {
        "key": key,
        "old": _plain({name: old[name] for name in differing}),
        "new": _plain({name: new[name] for name in differing}),
    }


def _values(row: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    return {
        name: json.loads(row[f"f{at}"])[_VALUE]
        if _is_text(shape, name) and row[f"f{at}"] is not None
        else row[f"f{at}"]
        for at, name in enumerate(shape.features)
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items()}


def _is_text(shape: Shape, name: str) -> bool:
    return base_type(shape.types[name]) in NESTED


def _comparable(frame: DataFrame, name: str, kind: str) -> Column:
    """A column in the type in which it is compared; nested values, which not all can be ordered, as JSON."""
    column = F.col(f"`{name}`")
    found = frame.schema[name].dataType
    if base_type(kind) in NESTED:
        text = F.to_json(F.struct(_ordered(column, found).alias(_VALUE)), {"timestampFormat": _MICROSECONDS})
        return F.when(column.isNotNull(), text).alias(name)
    return (column if found.simpleString() == kind else column.cast(kind)).alias(name)


_MICROSECONDS = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"


def _ordered(column: Column, kind: DataType) -> Column:
    """A nested value in a form whose text is equal exactly where the values are: -0.0 as 0.0, maps by their keys."""
    if isinstance(kind, FloatType | DoubleType):
        return F.when(column == 0.0, F.lit(0.0).cast(kind)).otherwise(column)
    if isinstance(kind, ArrayType):
        element = kind.elementType
        return F.transform(column, lambda value: _ordered(value, element))
    if isinstance(kind, MapType):
        values = kind.valueType
        return F.transform(
            F.array_sort(F.map_keys(column)),
            lambda key: F.struct(key.alias("key"), _ordered(column[key], values).alias("value")),
        )
    if isinstance(kind, StructType):
        fields = [_ordered(column.getField(field.name), field.dataType).alias(field.name) for field in kind]
        return F.when(column.isNotNull(), F.struct(*fields))
    return column

"""Events become tiles: one row per entity and slice of time, with partial aggregates of each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_mart.columns.arrow import (
    Array,
    Flags,
    Integers,
    boundaries,
    column,
    instants,
    integers,
    known,
    lacking,
    picked,
    plain,
    slices_of,
)
from feature_mart.columns.codes import coded, entity_codes
from feature_mart.records import EPOCH, MICROSECOND
from feature_mart.windows.partials import PARTIALS, Runs
from feature_mart.windows.tiles_names import tile_column

NANS = "_nans"
# How many events a row counts that have no place in a tile: they lack a key or their time.
LOST = "_lost"


@dataclass(frozen=True)
class TileColumns:
    """The columns of events and tiles: join keys, event and created timestamp, and partials of each series by name.

    Beside these, both have `NANS`, and tiles have `LOST`.
    """

    keys: tuple[str, ...]
    time: str
    created: str | None
    every: timedelta
    series: Mapping[str, tuple[str, ...]]

    @property
    def step(self) -> int:
        """The length of a slice in microseconds."""
        return self.every // MICROSECOND


def tile_schema(columns: TileColumns, events: pa.Schema) -> pa.Schema:
    """The columns of the tiles that are made from events of that schema."""
    fields = [events.field(name) for name in (*columns.keys, columns.time)]
    for series, partials in columns.series.items():
        kind = events.field(series).type
        fields += [pa.field(tile_column(series, name), PARTIALS[name].tile_type(kind)) for name in partials]
    return pa.schema([*fields, pa.field(NANS, pa.int64()), pa.field(LOST, pa.int64())])


def tiles_of(events: pa.Table, columns: TileColumns) -> pa.Table:
    """The tiles of all events, by entity and time; those without any value or NaN are left out.

    Events without a key or their time are in no tile. Rows of their own count them (`LOST`), by what they do have.

    Args:
        events: keys and event timestamp, a column per series, null where an event has no value, and `NANS`: how many
            of its values were NaN, which count as null.
    """
    schema = tile_schema(columns, events.schema)
    is_lost = lacking(events, (*columns.keys, columns.time))
    if not is_lost.any():
        return _tiles(events, columns, schema)
    lost, kept = events.filter(column(is_lost)), events.filter(column(~is_lost))
    return pa.concat_tables([_tiles(kept, columns, schema), _counts(lost, columns, schema)])


def _counts(lost: pa.Table, columns: TileColumns, schema: pa.Schema) -> pa.Table:
    times = plain(lost[columns.time])
    slices = boundaries(slices_of(pc.fill_null(times, EPOCH), columns.step), columns.step)
    by = {name: plain(lost[name]) for name in columns.keys}
    by[columns.time] = pc.if_else(times.is_valid(), slices, None).cast(times.type)
    counted = pa.table(by).group_by([*columns.keys, columns.time], use_threads=False).aggregate([([], "count_all")])
    given = {
        **{name: counted[name] for name in by},
        LOST: counted["count_all"],
        NANS: column(np.zeros(len(counted), dtype=np.int64)),
    }
    arrays = [given[field.name] if field.name in given else pa.nulls(len(counted), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _tiles(events: pa.Table, columns: TileColumns, schema: pa.Schema) -> pa.Table:
    if not events.num_rows:
        return schema.empty_table()
    entities, first_rows = entity_codes([plain(events[name]) for name in columns.keys])
    slices = slices_of(events[columns.time], columns.step)
    order = _order(events, columns, entities, slices)
    entities, slices = entities[order], slices[order]
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (entities[1:] != entities[:-1]) | (slices[1:] != slices[:-1])
    starts = np.flatnonzero(is_new)
    owners = np.cumsum(is_new) - 1
    found = [
        _series_columns(picked(plain(events[series]), order), owners, len(starts), partials)
        for series, partials in columns.series.items()
    ]
    nans = np.add.reduceat(integers(plain(events[NANS]))[order], starts)
    rows = first_rows[entities[starts]]
    times = boundaries(slices[starts], columns.step)
    arrays = [
        *(picked(plain(events[name]), rows) for name in columns.keys),
        times.cast(schema.field(columns.time).type),
        *(array for arrays, _ in found for array in arrays),
        column(nans),
        column(np.zeros(len(starts), dtype=np.int64)),
    ]
    has_values = np.logical_or.reduce([nans > 0, *(counted for _, counted in found)])
    return pa.Table.from_arrays(arrays, schema=schema).filter(column(has_values))


def _order(events: pa.Table, columns: TileColumns, entities: Integers, slices: Integers) -> Integers:
    """Events by entity and slice; by their own times, too, where a series asks which was first or last."""
    if not any({"first", "last"} & set(partials) for partials in columns.series.values()):
        low = int(slices.min())
        return np.argsort(entities * np.int64(int(slices.max()) - low + 1) + (slices - low), kind="stable")
    by = [instants(events[columns.time]), entities]
    if columns.created is not None:
        created = plain(events[columns.created])
        by = [instants(created.fill_null(0)), known(created).astype(np.int64), *by]
    by = [_value_codes(plain(events[series])) for series in columns.series] + by
    return np.lexsort(by)


def _value_codes(values: Array) -> Integers:
    """Codes by which rows of one moment are told apart; the nulls first."""
    codes = np.full(len(values), np.iinfo(np.int64).min, dtype=np.int64)
    is_known = known(values)
    if is_known.any():
        _, dense = np.unique(coded(values.drop_null()).codes, return_inverse=True)
        codes[is_known] = dense
    return codes


def _series_columns(values: Array, owners: Integers, tiles: int, partials: Sequence[str]) -> tuple[list[Array], Flags]:
    """One column for each partial, and which tiles have values of the series."""
    if values.null_count:
        owners, values = owners[known(values)], values.drop_null()
    is_new = np.ones(len(owners), dtype=np.bool_)
    is_new[1:] = owners[1:] != owners[:-1]
    starts = np.flatnonzero(is_new)
    runs = Runs(starts, values)
    having = owners[starts]
    counted = np.zeros(tiles, dtype=np.bool_)
    counted[having] = True
    made = [PARTIALS[name].make(runs) for name in partials]
    if len(having) == tiles:
        return made, counted
    at = np.zeros(tiles, dtype=np.int64)
    at[having] = np.arange(len(having))
    spread = [picked(array, at, ~counted) for array in made]
    return [
        pc.fill_null(array, 0) if name == "count" else array for name, array in zip(partials, spread, strict=True)
    ], counted

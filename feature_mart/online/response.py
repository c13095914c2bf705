"""The answer to a lookup, in the shapes that people ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from feature_mart.records import EPOCH, MICROSECOND

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from feature_mart.online.records import Snapshot

Status = Literal["present", "null", "not_found", "expired", "stale"]
_SECOND = 1_000_000


@dataclass(frozen=True)
class ViewAnswer:
    """What was found of one view.

    ``features``: the place of each in a row of values, and its column; ``rows``: for each entity row the event
    timestamp (microseconds since 1970) and the values, None where the key has none; ``expired_before``: event
    timestamps below it are too old; ``defaults``: by place.
    """

    snapshot: Snapshot
    features: Sequence[tuple[int, str]]
    rows: Sequence[tuple[int | None, int | None, list[Any]] | None]
    expired_before: int | None
    is_stale: bool
    defaults: Mapping[int, Any]

    def values(self, at: int) -> list[Any]:
        """One feature: its value, or its default where none is found or it is too old."""
        default, bound = self.defaults.get(at), self.expired_before
        if bound is None:
            return [default if row is None else row[2][at] for row in self.rows]
        return [default if row is None or (row[0] or 0) < bound else row[2][at] for row in self.rows]

    def statuses(self, at: int) -> list[Status]:
        """How each value of a feature came about."""
        present: Status = "stale" if self.is_stale else "present"
        found: list[Status] = []
        for row in self.rows:
            if row is None:
                found.append("not_found")
            elif self.expired_before is not None and (row[0] or 0) < self.expired_before:
                found.append("expired")
            else:
                found.append("null" if row[2][at] is None else present)
        return found

    def timestamps(self) -> list[datetime | None]:
        """The event timestamp of each row that was found; None in static views."""
        return [None if row is None or row[0] is None else EPOCH + row[0] * MICROSECOND for row in self.rows]


class OnlineResponse:
    """The features of some entities, in the order of the entity rows."""

    def __init__(
        self, entity_rows: Sequence[Mapping[str, Any]], keys: Sequence[str], answers: Sequence[ViewAnswer]
    ) -> None:
        self._entity_rows, self._keys, self._answers = entity_rows, keys, answers

    def __repr__(self) -> str:
        columns = [name for answer in self._answers for _, name in answer.features]
        return f"OnlineResponse({len(self._entity_rows)} rows of {', '.join(columns)})"

    def to_dict(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> dict[str, list[Any]]:
        """Lists of values by name, of join keys and features.

        Args:
            include_event_timestamps: with ``<feature>__ts``, a datetime in UTC or None.
            include_statuses: with ``<feature>__status``: present, null, not_found, expired, or stale (present, but the
                view is older than its ``freshness``).
        """
        found: dict[str, list[Any]] = {key: [row[key] for row in self._entity_rows] for key in self._keys}
        for answer in self._answers:
            timestamps = answer.timestamps() if include_event_timestamps else []
            for at, name in answer.features:
                found[name] = answer.values(at)
                if include_event_timestamps:
                    found[f"{name}__ts"] = timestamps
                if include_statuses:
                    found[f"{name}__status"] = list(answer.statuses(at))
        return found

    def to_arrow(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pa.Table:
        """The same as an Arrow table, features in the types in which Delta has them."""
        import pyarrow as pa

        kinds = {name: kind for answer in self._answers for name, kind in _types(answer)}
        columns = self.to_dict(include_event_timestamps, include_statuses)
        for name in columns:
            if name.endswith("__ts") and name not in kinds:
                kinds[name] = pa.timestamp("us", tz="UTC")
        return pa.table({name: pa.array(values, kinds.get(name)) for name, values in columns.items()})

    def to_df(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pd.DataFrame:
        """The same as a pandas frame; integers and booleans with nulls are of a nullable type."""
        from feature_mart.columns.frames import to_pandas

        return to_pandas(self.to_arrow(include_event_timestamps, include_statuses))

    def provenance(self) -> dict[str, dict[str, Any]]:
        """By feature, which snapshot its values are of: view version, run, git commit, definition, and since when."""
        return {
            name: {
                "version": answer.snapshot.version,
                "as_of": answer.snapshot.as_of,
                "published_at": answer.snapshot.published_at,
                "run_id": answer.snapshot.run_id,
                "git_commit": answer.snapshot.git_commit,
                "definition_hash": answer.snapshot.definition_hash,
            }
            for answer in self._answers
            for _, name in answer.features
        }


def _types(answer: ViewAnswer) -> Iterator[tuple[str, pa.DataType]]:
    schema = answer.snapshot.payload_layout.features
    for at, name in answer.features:
        yield name, schema.field(at).type

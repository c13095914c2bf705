"""A mart as its files define it: entities, sources, feature views, pipelines and services, checked against each other.

Everything here is frozen and holds no engine. `Project` is what all later steps take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from feature_mart.definitions.check_rules import Check, CheckSeverity
from feature_mart.definitions.online_store import OnlineStore
from feature_mart.definitions.problems import Problem
from feature_mart.definitions.secrets import masked_url
from feature_mart.records import moved
from feature_mart.windows.spec import Windows


@dataclass(frozen=True)
class SparkSettings:
    """The mart's own Spark session. ``conf`` may hold credentials, so it does not show."""

    master: str = "local[*]"
    conf: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Settings:
    """``conf/``, for one environment. Either ``warehouse`` or ``catalog`` is given.

    ``warehouse_uri`` is where the tables lie: an absolute path or a URI; None with a catalog.
    """

    mart: str
    warehouse: str | None
    catalog: str | None
    warehouse_uri: str | None
    online_store: OnlineStore
    spark: SparkSettings


@dataclass(frozen=True)
class Entity:
    """What features describe. ``keys``: column to canonical Spark type."""

    name: str
    description: str
    keys: Mapping[str, str]
    owner: str | None
    tags: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True)
class Source:
    """Raw data. ``schema``: column to canonical Spark type, in the declared order; empty where none is declared.

    ``options`` may hold credentials, and so may ``path``: neither shows.
    """

    name: str
    description: str
    owner: str | None
    tags: tuple[str, ...]
    format: Literal["csv", "json", "parquet", "delta", "table", "jdbc"]
    path: str | None = field(repr=False)
    table: str | None
    options: Mapping[str, str] = field(repr=False)
    schema: Mapping[str, str]
    event_timestamp: str | None
    created_timestamp: str | None
    freshness: timedelta | None
    clock_skew: timedelta | None
    quarantine_maximum_share: float | None
    deleted_files: Literal["keep", "drop"]
    file: str
    line: int

    @property
    def is_ingested(self) -> bool:
        """Whether its files are taken into a Delta table of the mart."""
        return self.format in ("csv", "json", "parquet")

    def latest_at(self, now: datetime) -> datetime | None:
        """The latest event timestamp that is believed at ``now``; None where every one is."""
        return None if self.clock_skew is None else moved(now, self.clock_skew)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Its columns, or None where only the data knows them."""
        return tuple(self.schema) or None

    @property
    def shown_path(self) -> str | None:
        """The path without a password that it may hold."""
        return None if self.path is None else masked_url(self.path)


@dataclass(frozen=True)
class Materialize:
    """How a view's table is made. ``every``, ``lookback`` and ``lookahead`` speak of mode ``interval`` only."""

    mode: Literal["full", "interval"] = "full"
    every: timedelta = timedelta(days=1)
    lookback: timedelta = timedelta(0)
    lookahead: timedelta = timedelta(0)


@dataclass(frozen=True)
class Definition:
    """The logic of a view: a SQL text, a Python text, or an input taken as it is (``kind="input"``, no text).

    ``inputs``: names of sources and views, sorted. ``parameters``: which of ``interval_start`` and ``interval_end`` it
    uses. ``path`` is relative to the mart's folder.
    """

    kind: Literal["sql", "python", "input"]
    path: str | None
    text: str = field(repr=False)
    inputs: tuple[str, ...]
    parameters: frozenset[str]

    @property
    def where(self) -> str:
        """What errors name: the file, or the input that is taken as it is."""
        return self.path or f"input {self.inputs[0]}"


@dataclass(frozen=True)
class Deprecation:
    """``since``: ISO date. ``replacement``: ``view:feature`` or None."""

    since: str
    replacement: str | None


@dataclass(frozen=True)
class FeatureMetadata:
    """What is known of a feature, and the rules that its values keep. ``type`` is canonical."""

    name: str
    description: str
    unit: str | None
    type: str | None
    nullable: bool
    minimum: float | int | None
    maximum: float | int | None
    allowed_values: tuple[Any, ...] | None
    severity: CheckSeverity
    default: Any
    deprecated: Deprecation | None
    tags: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True)
class FeatureView:
    """A named group of features of the same entities: one Delta table.

    ``columns`` are all columns of the table in the definition's order, keys, timestamps and derived features among
    them; None where only a run of the definition can tell. ``features`` are the documented ones; where ``columns`` is
    None, entries with ``*`` wait in ``patterns`` until a build knows the names (see `metadata_of`).

    A view with ``windows`` is built from its `tiles`, a view of the engine's own that reads its inputs and is no part
    of the catalog; that one knows it as ``tiles_of``.
    """

    name: str
    pipeline: str
    description: str
    owner: str
    tags: tuple[str, ...]
    entities: tuple[str, ...]
    keys: Mapping[str, str]
    event_timestamp: str | None
    created_timestamp: str | None
    static: bool
    ttl: timedelta | None
    available_after: timedelta | Literal["created_timestamp"] | None
    materialize: Materialize
    freshness: timedelta | None
    retention: timedelta | None
    checks: tuple[Check, ...]
    online: bool | tuple[str, ...]
    derived: Mapping[str, str]
    definition: Definition
    features: Mapping[str, FeatureMetadata]
    patterns: tuple[FeatureMetadata, ...]
    columns: tuple[str, ...] | None
    file: str
    line: int
    windows: Windows | None = None
    tiles_of: FeatureView | None = None

    @cached_property
    def definition_hash(self) -> str:
        """Equal as long as nothing has changed that can change values; worked out when first asked for."""
        from feature_mart.definitions.fingerprint import definition_hash  # which knows this class

        return definition_hash(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the sources and views that it is made from, sorted."""
        return self.definition.inputs

    @cached_property
    def tiles(self) -> FeatureView | None:
        """The view that its rows are put together from; None without windows."""
        from feature_mart.definitions.tiles import tile_view  # which knows this class

        return None if self.windows is None else tile_view(self)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tables that a build of it reads: its tiles, or its inputs."""
        return self.inputs if self.tiles is None else (self.tiles.name,)

    @property
    def reserved_columns(self) -> tuple[str, ...]:
        """The columns that are no features: keys, then event and created timestamp."""
        times = (self.event_timestamp, self.created_timestamp)
        return (*self.keys, *(name for name in times if name is not None and name not in self.keys))

    def metadata_of(self, column: str) -> FeatureMetadata | None:
        """What documents a column: its own entry, else the first pattern that matches it."""
        if column in self.features:
            return self.features[column]
        return next((entry for entry in self.patterns if fnmatchcase(column, entry.name)), None)

    def defaults(self, features: Iterable[str]) -> dict[str, Any]:
        """The defaults of those features that have one, as YAML has them."""
        documented = {name: self.metadata_of(name) for name in features}
        return {name: entry.default for name, entry in documented.items() if entry and entry.default is not None}


@dataclass(frozen=True)
class Pipeline:
    """Views that are built together. ``views``: names in the order in which they are built."""

    name: str
    description: str
    owner: str | None
    tags: tuple[str, ...]
    schedule: str | None
    views: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True)
class FeatureService:
    """The features that one model uses, each as ``view:feature``, or as ``view`` for all of a view's."""

    name: str
    description: str
    owner: str | None
    tags: tuple[str, ...]
    features: tuple[str, ...]
    file: str
    line: int

    @property
    def views(self) -> tuple[str, ...]:
        """The views that it takes features from, in the order of first mention."""
        return tuple(dict.fromkeys(reference.partition(":")[0] for reference in self.features))


@dataclass(frozen=True)
class UnitTest:
    """Given rows of each input, the rows that must come out. ``interval`` in UTC, end excluded."""

    name: str
    interval: tuple[datetime, datetime] | None
    given: Mapping[str, tuple[Mapping[str, Any], ...]]
    expect: tuple[Mapping[str, Any], ...]
    line: int


@dataclass(frozen=True)
class ViewTests:
    """The unit tests of one view."""

    feature_view: str
    tests: tuple[UnitTest, ...]
    file: str
    line: int


@dataclass(frozen=True)
class Project:
    """All that a mart's files say. ``views`` is in topological order: inputs first, ties by name."""

    root: Path
    environment: str
    settings: Settings
    entities: Mapping[str, Entity]
    sources: Mapping[str, Source]
    views: Mapping[str, FeatureView]
    pipelines: Mapping[str, Pipeline]
    services: Mapping[str, FeatureService]
    unit_tests: Mapping[str, ViewTests]

    def producer(self, name: str) -> Source | FeatureView:
        """The source or view of that name.

        Raises:
            KeyError: there is none.
        """
        if name in self.tiles:
            return self.tiles[name]
        return self.views[name] if name in self.views else self.sources[name]

    @cached_property
    def tiles(self) -> Mapping[str, FeatureView]:
        """The views of tiles behind windowed views, by name; they are no part of `views`."""
        return {view.tiles.name: view.tiles for view in self.views.values() if view.tiles is not None}

    def has_table(self, name: str) -> bool:
        """Whether a table of that name holds a source, a view, or the tiles of one."""
        return name in self.views or name in self.sources or name in self.tiles

    def upstream(self, name: str) -> tuple[str, ...]:
        """All sources and views that ``name`` is made from, directly or not: sources by name, then views in order."""
        return self._ordered(reached(name, lambda view: self.views[view].inputs if view in self.views else ()))

    def downstream(self, name: str) -> tuple[str, ...]:
        """All views that are made from ``name``, directly or not, in the order of `views`."""
        return self._ordered(reached(name, lambda producer: self._consumers.get(producer, ())))

    def consumers(self, name: str) -> tuple[str, ...]:
        """The views that read ``name`` directly, in the order of `views`."""
        return tuple(self._consumers.get(name, ()))

    @cached_property
    def _consumers(self) -> dict[str, list[str]]:
        consumers: dict[str, list[str]] = {}
        for view in self.views.values():
            for name in view.inputs:
                consumers.setdefault(name, []).append(view.name)
        return consumers

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        wanted = set(names)
        return (*sorted(wanted & set(self.sources)), *(name for name in self.views if name in wanted))


@dataclass(frozen=True)
class Validation:
    """What loading found. ``project`` is None exactly if there are errors."""

    project: Project | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def reached(start: str, neighbours: Any) -> list[str]:
    """All names that can be reached from ``start``, itself left out."""
    seen = {start}
    waiting = [start]
    while waiting:
        for name in neighbours(waiting.pop()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return [name for name in seen if name != start]

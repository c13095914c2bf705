"""Entities and sources: from their files to what the engine uses."""

from __future__ import annotations

from collections.abc import Iterable

from feature_mart.definitions.files.entities import EntitiesFile
from feature_mart.definitions.files.sources import SourceEntry, SourcesFile
from feature_mart.definitions.mart_files import ReadFile
from feature_mart.definitions.problems import Problem, Problems, nearest
from feature_mart.definitions.project import Entity, Source
from feature_mart.definitions.variables import OTHER_VALUE, is_reference
from feature_mart.definitions.yaml_file import Document, Location, dotted

TIME_TYPES = ("timestamp", "timestamp_ntz", "date")
_FILE_FORMATS = ("csv", "json", "parquet", "delta")
_JDBC_SHAPE = "options: {url: …, dbtable: …} or {url: …, query: …}"


class Place:
    """Where one entry of a file stands; makes problems that point at its keys."""

    def __init__(self, document: Document, location: Location, problems: Problems) -> None:
        self.document = document
        self.location = location
        self.problems = problems

    @property
    def file(self) -> str:
        """The file that says it."""
        return self.document.place(self.location)[0]

    @property
    def line(self) -> int:
        """The line on which the entry begins."""
        return self.document.place(self.location)[1]

    def line_of(self, *keys: str | int) -> int:
        """The line of a key within the entry."""
        return self.document.place((*self.location, *keys))[1]

    def written(self, *keys: str | int) -> str:
        """What the file says there, as it is written."""
        return self.document.written((*self.location, *keys)) or ""

    def tell(
        self,
        keys: tuple[str | int, ...],
        message: str,
        *,
        found: str = "",
        allowed: str = "",
        meant: str = "",
        fix: str = "",
        is_warning: bool = False,
    ) -> None:
        """Report a problem with the key at ``keys`` within the entry."""
        written = self.written(*keys)
        if is_reference(written):  # what the environment gives is not shown
            for part in filter(None, (found, *found.split(":"))):
                message = message.replace(part, written)
            found, meant, fix = written, "", OTHER_VALUE
        file, line = self.document.place((*self.location, *keys))
        key = dotted((*self.location, *keys))
        severity = "warning" if is_warning else "error"
        self.problems.add(Problem(file, line, key, message, found, allowed, meant, fix, severity))  # type: ignore[arg-type]


def read_entities(read: ReadFile[EntitiesFile] | None, problems: Problems) -> dict[str, Entity]:
    """Entities by name. The same key under two types is a problem, as its values would not meet."""
    entities: dict[str, Entity] = {}
    types: dict[str, tuple[str, str]] = {}
    if read is None:
        return entities
    for name, entry in sorted(read.model.entities.items()):
        place = Place(read.document, ("entities", name), problems)
        for key, kind in entry.keys.items():
            other, other_kind = types.setdefault(key.lower(), (name, kind))
            if other_kind != kind:
                message = f"found {kind} for the key {key}, which is {other_kind} in the entity {other}"
                place.tell(
                    ("keys", key),
                    message,
                    found=kind,
                    allowed=other_kind,
                    fix=f"write {other_kind}, or name one of the keys otherwise",
                )
        report_duplicates(entry.keys, place, ("keys",))
        entities[name] = Entity(
            name, entry.description, dict(entry.keys), entry.owner, entry.tags, place.file, place.line
        )
    return entities


def read_sources(read: ReadFile[SourcesFile] | None, problems: Problems) -> dict[str, Source]:
    """Sources by name, each checked for what its format needs."""
    sources: dict[str, Source] = {}
    if read is None:
        return sources
    for name, entry in sorted(read.model.sources.items()):
        place = Place(read.document, ("sources", name), problems)
        schema = dict(entry.schema_ or {})
        _check_address(entry, place)
        _check_schema(entry, schema, place)
        if entry.clock_skew is not None and entry.event_timestamp is None:
            message = "a source without event_timestamp takes no clock_skew: its rows have no time"
            place.tell(("clock_skew",), message, fix="add event_timestamp: …, or remove it")
        sources[name] = Source(
            name=name,
            description=entry.description,
            owner=entry.owner,
            tags=entry.tags,
            format=entry.format,
            path=entry.path,
            table=entry.table,
            options=dict(entry.options),
            schema=schema,
            event_timestamp=entry.event_timestamp,
            created_timestamp=entry.created_timestamp,
            freshness=entry.freshness,
            clock_skew=entry.clock_skew,
            quarantine_maximum_share=None if entry.quarantine is None else entry.quarantine.maximum_share,
            deleted_files=entry.deleted_files,
            file=place.file,
            line=place.line,
        )
    return sources


def report_duplicates(names: Iterable[str], place: Place, keys: tuple[str | int, ...]) -> None:
    """Names of columns that differ in case alone are one name to Spark."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"found {name} beside {other}, which Spark takes for one name"
            place.tell((*keys, name), message, found=name, fix="name one of the two otherwise")


def _check_address(entry: SourceEntry, place: Place) -> None:
    kind = entry.format
    if kind in _FILE_FORMATS and entry.path is None:
        place.tell(("format",), f"a source of the format {kind} needs a path", fix="add path: data/…")
    if kind == "table" and entry.table is None:
        place.tell(("format",), "a source of the format table needs a table", fix="add table: catalog.schema.name")
    if kind not in _FILE_FORMATS and entry.path is not None:
        fix = "write table: …" if kind == "table" else f"write {_JDBC_SHAPE}"
        place.tell(("path",), f"a source of the format {kind} takes no path", fix=f"remove it, and {fix}")
    if kind != "table" and entry.table is not None:
        fix = f"remove it, and write {_JDBC_SHAPE}" if kind == "jdbc" else "remove it, or write format: table"
        place.tell(("table",), f"a source of the format {kind} takes no table", fix=fix)
    if kind == "jdbc":
        tables = [option for option in ("dbtable", "query") if option in entry.options]
        if "url" not in entry.options or len(tables) != 1:
            message = "a source of the format jdbc needs the option url, and one of dbtable and query"
            place.tell(("options",), message, allowed=_JDBC_SHAPE, fix="add what is missing below options")
    if kind in ("delta", "table"):
        for key in ("quarantine", "deleted_files"):
            if key in entry.model_fields_set and getattr(entry, key) is not None:
                place.tell(
                    (key,),
                    f"a source of the format {kind} takes no {key}: its rows are taken as they are",
                    fix="remove it",
                )


def _check_schema(entry: SourceEntry, schema: dict[str, str], place: Place) -> None:
    if not schema:
        if entry.format in ("csv", "json"):
            message = f"a source of the format {entry.format} needs a schema: types are not guessed"
            place.tell(("format",), message, fix="add schema: {column: type, …}")
        return
    report_duplicates(schema, place, ("schema",))
    for key in ("event_timestamp", "created_timestamp"):
        column = getattr(entry, key)
        if column is None:
            continue
        if column not in schema:
            meant = nearest(column, schema)
            message = f"found {column}, which is no column of the schema"
            place.tell(
                (key,),
                message,
                found=column,
                allowed=", ".join(schema),
                meant=meant,
                fix=f"write {meant}" if meant else "add it to the schema",
            )
        elif schema[column] not in TIME_TYPES:
            message = f"found {column}, which is {schema[column]} and no time"
            place.tell(
                (key,),
                message,
                found=column,
                allowed=", ".join(TIME_TYPES),
                fix=f"write schema: {{{column}: timestamp}}",
            )

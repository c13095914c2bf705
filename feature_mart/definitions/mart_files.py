"""Finds and reads all YAML files of a mart, each into its model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from feature_mart.definitions.files.entities import EntitiesFile
from feature_mart.definitions.files.feature_services import FeatureServicesFile
from feature_mart.definitions.files.feature_views import FeatureViewFile
from feature_mart.definitions.files.pipelines import PipelineFile
from feature_mart.definitions.files.settings import SettingsFile
from feature_mart.definitions.files.sources import SourcesFile
from feature_mart.definitions.files.unit_tests import UnitTestsFile
from feature_mart.definitions.problems import Names, Problem, Problems, did_you_mean
from feature_mart.definitions.strays import misplaced_as, report_strays
from feature_mart.definitions.variables import names_variable
from feature_mart.definitions.violations import names_in, read_model
from feature_mart.definitions.yaml_file import Data, Document, LayeredDocument, Location, dotted, read_document
from feature_mart.errors import UsageError

M = TypeVar("M", bound=BaseModel)

BASE = "base"
DEFAULT_ENVIRONMENT = "local"
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
#: What other files refer to by name.
_NAMED = ("entities", "sources", "feature_services", "feature_views")


@dataclass(frozen=True)
class ReadFile(Generic[M]):
    """A file and its model. ``kept``: keys or positions of the entries that the model still has."""

    document: Document
    model: M
    kept: list[str | int]

    @property
    def positions(self) -> list[int]:
        """Where the model's entries stand in the file's list."""
        return [at for at in self.kept if isinstance(at, int)]


@dataclass
class MartFiles:
    """Everything that the YAML files say.

    ``declared``: for each key that lists entries, the names of all entries, those that are wrong among them;
    ``unread``: the keys of which not all names could be read.
    """

    root: Path
    environment: str
    settings: ReadFile[SettingsFile] | None = None
    entities: ReadFile[EntitiesFile] | None = None
    sources: ReadFile[SourcesFile] | None = None
    services: ReadFile[FeatureServicesFile] | None = None
    pipelines: list[ReadFile[PipelineFile]] = field(default_factory=list)
    metadata: list[ReadFile[FeatureViewFile]] = field(default_factory=list)
    tests: list[ReadFile[UnitTestsFile]] = field(default_factory=list)
    declared: dict[str, set[str]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)

    def names(self, *entries: str) -> Names:
        """The names of all entries below these keys."""
        names = {name for key in entries for name in self.declared.get(key, ())}
        return Names(names, is_complete=not self.unread & set(entries))


def find_root(start: Path) -> Path:
    """The folder of the mart that ``start`` lies in.

    Raises:
        UsageError: neither the folder nor one above it is a mart.
    """
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / "conf" / "base.yml").is_file():
            return candidate
    raise UsageError(
        f"{start}: neither this folder nor one above it is a mart: there is no conf/base.yml.\n"
        "Go to a mart's folder or name it by --mart, or make a new one: mart init DIR"
    )


def chosen_environment(root: Path, environment: str | None, variables: Mapping[str, str]) -> str:
    """The environment's name: the argument, else ``MART_ENV``, else ``local``.

    Raises:
        UsageError: the folder is no mart, or has no such environment.
    """
    if not (root / "conf" / "base.yml").is_file():
        raise UsageError(f"{root} is no mart: there is no conf/base.yml.\nTo make one there: mart init {root}")
    origin = "--env" if environment is not None else "MART_ENV"
    name = environment if environment is not None else (variables.get("MART_ENV") or DEFAULT_ENVIRONMENT)
    known = sorted({DEFAULT_ENVIRONMENT, *(path.stem for path in (root / "conf").glob("*.yml") if path.stem != BASE)})
    if name in known and _ENVIRONMENT_NAME.fullmatch(name):
        return name
    raise UsageError(
        f"unknown environment {name!r} (from {origin}).{did_you_mean(name, known)}\nknown: {', '.join(known)}\n"
        f"fix: name one of these, or write conf/{name if _ENVIRONMENT_NAME.fullmatch(name) else 'NAME'}.yml"
    )


def read_mart_files(root: Path, environment: str, variables: Mapping[str, str], problems: Problems) -> MartFiles:
    """Read every YAML file of the mart, telling ``problems`` what is wrong with each by itself."""
    files = MartFiles(root, environment)
    reader = _Reader(files, variables, problems)
    files.settings = reader.settings()
    files.entities = reader.one("metadata/entities.yml", EntitiesFile, "entities", variables)
    files.sources = reader.one("metadata/sources.yml", SourcesFile, "sources", variables)
    files.services = reader.one("metadata/feature_services.yml", FeatureServicesFile, "feature_services", variables)
    files.pipelines = reader.all("pipelines", PipelineFile, "feature_views", None)
    for pipeline in files.pipelines:
        _warn_of_variables(pipeline.document, problems)
    files.metadata = reader.all("metadata/feature_views", FeatureViewFile, "features", variables)
    files.tests = reader.all("tests/mart", UnitTestsFile, "tests", None)
    report_strays(root, problems)
    return files


def _warn_of_variables(document: Document, problems: Problems) -> None:
    """A pipeline says what its tables are, so it is the same in every environment: nothing is filled in there."""
    for location, text in _texts(document.data, ()):
        if names_variable(text):
            file, line = document.place(location)
            message = f"found {text}, which stays as it is here: variables are filled in in conf/ and metadata/"
            fix = "write the value itself"
            problems.add(Problem(file, line, dotted(location), message, text, fix=fix, severity="warning"))


def _texts(data: Data, location: Location) -> Iterator[tuple[Location, str]]:
    """All texts of a file, and where they stand."""
    if isinstance(data, str):
        yield location, data
        return
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, part in parts:
        yield from _texts(part, (*location, step))


class _Reader:
    def __init__(self, files: MartFiles, variables: Mapping[str, str], problems: Problems) -> None:
        self.files = files
        self.root = files.root
        self.variables = variables
        self.problems = problems

    def settings(self) -> ReadFile[SettingsFile] | None:
        base = read_document(self.root / "conf/base.yml", "conf/base.yml", self.problems, self.variables)
        name = f"conf/{self.files.environment}.yml"
        if base is None:
            return None
        document = base
        if (self.root / name).is_file():
            over = read_document(self.root / name, name, self.problems, self.variables)
            if over is None:
                return None
            document = _laid_over(base, over)
        model, kept = read_model(SettingsFile, document, self.problems)
        return None if model is None else ReadFile(document, model, kept)

    def one(self, file: str, model: type[M], entries: str, variables: Mapping[str, str] | None) -> ReadFile[M] | None:
        path = self.root / file
        if not path.is_file():
            return None
        document = read_document(path, file, self.problems, variables)
        if document is None:
            self.files.unread.add(entries)
            return None
        other = misplaced_as(document.data, entries, file, self.problems)
        if other is not None:
            # Neither what should stand here nor what stands here is known in full.
            self.files.unread |= {entries, other}
            return None
        if entries in _NAMED:
            names = names_in(document, entries)
            self.files.declared.setdefault(entries, set()).update(names)
            if not names.is_complete:
                self.files.unread.add(entries)
        value, kept = read_model(model, document, self.problems, entries)
        return None if value is None else ReadFile(document, value, kept)

    def all(self, folder: str, model: type[M], entries: str, variables: Mapping[str, str] | None) -> list[ReadFile[M]]:
        found = (self.one(f"{folder}/{name}", model, entries, variables) for name in self.names(folder))
        return [read for read in found if read is not None]

    def names(self, folder: str) -> list[str]:
        directory = self.root / folder
        if not directory.is_dir():
            return []
        names = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
        return [name for name in names if name.endswith(".yml")]


def _laid_over(base: Document, over: Document) -> Document:
    """``warehouse`` and ``catalog`` exclude each other, so a file that gives one takes the other's place."""
    if isinstance(over.data, dict) and isinstance(base.data, dict):
        for mine, other in (("warehouse", "catalog"), ("catalog", "warehouse")):
            if over.data.get(mine) is not None and over.data.get(other) is None:
                base.data.pop(other, None)
    return base if over.data is None else LayeredDocument(base, over)

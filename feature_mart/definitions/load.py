"""Loads a mart: reads its files, holds them against each other, and tells everything that is wrong at once."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from feature_mart.definitions.files.feature_views import FeatureViewFile
from feature_mart.definitions.graph import topological_order
from feature_mart.definitions.inputs import Place, read_entities, read_sources
from feature_mart.definitions.logic import LogicReader
from feature_mart.definitions.mart_files import MartFiles, ReadFile, chosen_environment, read_mart_files
from feature_mart.definitions.problems import Problem, Problems, listed, nearest
from feature_mart.definitions.project import (
    FeatureService,
    FeatureView,
    Pipeline,
    Project,
    Settings,
    SparkSettings,
    Validation,
)
from feature_mart.definitions.references import check_deprecations, read_services, read_unit_tests
from feature_mart.definitions.sql_memo import SqlMemo, memo_file
from feature_mart.definitions.views import DeclaredView, Surroundings, assemble_view
from feature_mart.errors import DefinitionError

_URI = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)


def load_project(root: Path, environment: str | None = None, variables: Mapping[str, str] = os.environ) -> Project:
    """The mart in the folder ``root``, for one environment.

    Args:
        root: the mart's folder, the one that holds conf/base.yml.
        environment: its name; None takes ``MART_ENV`` from ``variables``, else ``local``.
        variables: what ``${VAR}`` in conf/ and metadata/ is filled in from.

    Raises:
        DefinitionError: files are wrong; it holds all problems.
        UsageError: the folder is no mart, or there is no such environment.
    """
    validation = validate_project(root, environment, variables)
    if validation.project is None:
        raise DefinitionError(validation.errors)
    return validation.project


def validate_project(
    root: Path, environment: str | None = None, variables: Mapping[str, str] = os.environ
) -> Validation:
    """All that is wrong with a mart's files, and the mart if nothing is.

    Raises:
        UsageError: the folder is no mart, or there is no such environment.
    """
    root = Path(root).resolve()
    problems = Problems()
    name = chosen_environment(root, environment, variables)
    with _garbage_left_alone():
        project = _read(root, name, variables, problems)
    errors = problems.errors()
    return Validation(None if errors else project, errors, problems.warnings())


def _read(root: Path, environment: str, variables: Mapping[str, str], problems: Problems) -> Project | None:
    memo = SqlMemo(memo_file(root))
    project = _Assembly(read_mart_files(root, environment, variables, problems), problems, memo).project()
    memo.save()
    return project


@contextmanager
def _garbage_left_alone() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: loading makes hundreds of thousands of objects that all stay until its
    end, and looking through them again and again takes half of the time (benchmarks/large_mart.py).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Assembly:
    """From files to a `Project`, step by step; each step goes on with what the ones before could read."""

    def __init__(self, files: MartFiles, problems: Problems, memo: SqlMemo) -> None:
        self.files = files
        self.problems = problems
        self.memo = memo
        self.entities = read_entities(files.entities, problems)
        self.sources = read_sources(files.sources, problems)
        self.logic = LogicReader(files.root, problems, memo)
        self.declared: dict[str, DeclaredView] = {}
        self.known = files.names("sources", "feature_views")
        self.known_views = files.names("feature_views")

    def project(self) -> Project | None:
        """The project; None where there are no settings. Only good if no problem was told."""
        self._declare_views()
        metadata, broken = self._metadata()
        around = Surroundings(
            entities=self.entities,
            known_entities=self.files.names("entities"),
            sources=self.sources,
            views={},
            metadata=metadata,
            broken_metadata=broken,
            problems=self.problems,
            memo=self.memo,
        )
        for name in self._order():
            view = assemble_view(self.declared[name], around)
            if view is not None:
                around.views[name] = view
        self._check_columns(around)
        self._check_leaks(around.views)
        self._check_unused()
        services = read_services(self.files, around.views, self.known_views, self.problems)
        self._check_service_names(services)
        unit_tests = read_unit_tests(self.files, around.views, self.sources, self.known_views, self.problems)
        check_deprecations(around.views, self.known_views, self.problems)
        settings = self._settings()
        if settings is None:
            return None
        pipelines = self._pipelines(around.views)
        return Project(
            root=self.files.root,
            environment=self.files.environment,
            settings=settings,
            entities=self.entities,
            sources=self.sources,
            views=around.views,
            pipelines=pipelines,
            services=services,
            unit_tests=unit_tests,
        )

    def _settings(self) -> Settings | None:
        if self.files.settings is None:
            return None
        model, document = self.files.settings.model, self.files.settings.document
        place = Place(document, (), self.problems)
        if model.warehouse is not None and model.catalog is not None:
            place.tell(
                ("catalog",), "gives both warehouse and catalog", allowed="one of the two", fix="remove one of the two"
            )
        if model.warehouse is None and model.catalog is None:
            place.tell(
                (), "gives neither warehouse nor catalog", allowed="one of the two", fix="add warehouse: warehouse"
            )
        uri = model.warehouse
        if uri is not None and not _URI.match(uri):
            uri = str((self.files.root / Path(uri).expanduser()).resolve())
        return Settings(
            mart=model.mart,
            warehouse=model.warehouse,
            catalog=model.catalog,
            warehouse_uri=uri.rstrip("/") if uri is not None else None,
            online_store=model.online_store,
            spark=SparkSettings(model.spark.master, dict(model.spark.conf)),
        )

    def _declare_views(self) -> None:
        pipelines: dict[str, Place] = {}
        for read in self.files.pipelines:
            name = read.model.pipeline
            place = Place(read.document, (), self.problems)
            if name in pipelines:
                other = pipelines[name]
                message = f"found the pipeline {name}, which {other.file}:{other.line} declares already"
                place.tell(("pipeline",), message, found=name, fix="name one of the two otherwise")
            pipelines.setdefault(name, place)
            for position, entry in zip(read.positions, read.model.feature_views, strict=True):
                at = Place(read.document, ("feature_views", position), self.problems)
                if self._is_new(entry.name, at):
                    logic = self.logic.logic(entry, at)
                    self.declared[entry.name] = DeclaredView(entry, read.model, at, logic)

    def _is_new(self, name: str, place: Place) -> bool:
        other = self.declared.get(name)
        source = self.sources.get(name)
        if other is not None:
            first = f"{other.place.file}:{other.place.line_of('name')} declares already"
        elif source is not None:
            first = f"is the name of a source too, in {source.file}:{source.line}"
        else:
            return True
        message = f"found the feature view {name}, which {first}"
        place.tell(("name",), message, found=name, fix="name one of the two otherwise")
        return False

    def _order(self) -> list[str]:
        inputs: dict[str, tuple[str, ...]] = {}
        for name, declared in self.declared.items():
            inputs[name] = declared.logic.definition.inputs if declared.logic is not None else ()
            self._check_inputs(declared)
        order, cycles = topological_order(inputs)
        for cycle in cycles:
            declared = self.declared[cycle[0]]
            message = f"feature views wait for each other: {' -> '.join(cycle)}"
            fix = "let one of them read sources only, or make one view of them"
            declared.place.tell(("name",), message, found=" -> ".join(cycle), fix=fix)
        rest = sorted(set(self.declared) - set(order))
        return [*order, *rest]

    def _check_inputs(self, declared: DeclaredView) -> None:
        logic = declared.logic
        if logic is None:
            return
        path = logic.definition.path
        for name, line in logic.lines.items():
            if name in self.known:
                continue
            meant = nearest(name, self.known)
            fix = f"write {meant}" if meant else "declare a source in metadata/sources.yml, or a view in pipelines/"
            message = f"found {name}, which is no source and no feature view"
            allowed = listed(self.known)
            if path is None:
                declared.place.tell(("input",), message, found=name, allowed=allowed, meant=meant, fix=fix)
            else:
                self.problems.add(Problem(path, line, "", message, name, allowed, meant, fix))

    def _metadata(self) -> tuple[dict[str, ReadFile[FeatureViewFile]], set[str]]:
        """Metadata by view, and the views whose metadata files could not be read as a whole."""
        found: dict[str, ReadFile[FeatureViewFile]] = {}
        for read in self.files.metadata:
            name = read.model.feature_view
            place = Place(read.document, (), self.problems)
            stem = Path(place.file).stem
            if name != stem:
                message = f"found {name} in a file that is named for {stem}"
                place.tell(
                    ("feature_view",),
                    message,
                    found=name,
                    fix=f"rename the file to {name}.yml, or write feature_view: {stem}",
                )
                name = stem
            if name not in self.known_views:
                meant = nearest(name, self.declared)
                message = f"found {name}, which is no feature view"
                fix = f"write {meant}" if meant else "add the view to a pipeline, or remove this file"
                place.tell(("feature_view",), message, found=name, allowed=listed(self.declared), meant=meant, fix=fix)
            found[name] = read
        folder = self.files.root / "metadata/feature_views"
        present = {path.stem for path in folder.glob("*.yml")} if folder.is_dir() else set()
        unreadable = present - set(found)
        partly = {name for name, read in found.items() if len(read.kept) < self._entries(read)}
        return found, unreadable | partly

    @staticmethod
    def _entries(read: ReadFile[FeatureViewFile]) -> int:
        features = read.document.data.get("features") if isinstance(read.document.data, dict) else None
        return len(features) if isinstance(features, dict) else 0

    def _check_columns(self, around: Surroundings) -> None:
        for name in around.views:
            logic = self.declared[name].logic
            if logic is not None and logic.sql is not None:
                logic.sql.check_columns(around.columns, self.problems)

    def _check_leaks(self, views: Mapping[str, FeatureView]) -> None:
        for name, view in views.items():
            timed = {
                other: str(views[other].event_timestamp)
                for other in view.inputs
                if other in views and views[other].event_timestamp
            }
            logic = self.declared[name].logic
            if not timed or logic is None:
                continue
            if logic.sql is not None:
                logic.sql.check_leaks(timed, self.problems)
            elif logic.transform is not None:
                from feature_mart.definitions.python_leaks import check_joins

                check_joins(logic.transform, timed, self.problems)

    def _check_service_names(self, services: Mapping[str, FeatureService]) -> None:
        """A request names services and views alike, so no name may be both."""
        for name, service in services.items():
            if name in self.declared:
                view = self.declared[name].place
                message = f"found the feature service {name}, which is the name of a feature view too, in "
                where = f"{view.file}:{view.line_of('name')}"
                key = f"feature_services.{name}"
                fix = "name one of the two otherwise"
                self.problems.add(Problem(service.file, service.line, key, message + where, name, fix=fix))

    def _check_unused(self) -> None:
        if not self.known_views.is_complete:
            return
        used = {
            str(entry.get("definition"))
            for read in self.files.pipelines
            for entry in read.document.data.get("feature_views") or ()
            if isinstance(entry, dict)
        }
        for path in self.logic.known_files():
            if path not in used and not path.endswith("__init__.py"):
                message = "is a definition that no feature view uses"
                fix = "name it as a definition in pipelines/, or remove it"
                self.problems.add(Problem(path, 1, "", message, fix=fix, severity="warning"))

    def _pipelines(self, views: Mapping[str, FeatureView]) -> dict[str, Pipeline]:
        found: dict[str, Pipeline] = {}
        for read in sorted(self.files.pipelines, key=lambda read: read.model.pipeline):
            model = read.model
            file, line = read.document.place(("pipeline",))
            names = tuple(name for name, view in views.items() if view.pipeline == model.pipeline)
            found[model.pipeline] = Pipeline(
                model.pipeline, model.description, model.owner, model.tags, model.schedule, names, file, line
            )
        return found

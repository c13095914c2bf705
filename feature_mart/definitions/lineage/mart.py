"""The lineage of a whole mart: views in SQL from their text, those in Python from what a run of Spark has written."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from feature_mart.definitions.lineage.files import FOLDER, file_of, read_lineage, to_text
from feature_mart.definitions.lineage.model import Lineage, ViewLineage, merged, unresolved
from feature_mart.definitions.lineage.view import expected_columns, static_lineage
from feature_mart.definitions.project import FeatureView, Project

WRITE = "mart lineage --write"
_UNWRITTEN = f"its definition is Python, and its lineage has not been written yet: run `{WRITE}`"


@dataclass(frozen=True)
class StaleFile:
    """A file of metadata/lineage that does not say what the definitions say."""

    file: str
    reason: str

    def text(self) -> str:
        """One line for people."""
        return f"{self.file} {self.reason}"


class MartLineage:
    """Lineage by view, worked out when it is first asked for. ``captured`` is taken for Python views, before files."""

    def __init__(self, project: Project, captured: Mapping[str, ViewLineage] | None = None) -> None:
        self.project = project
        self._known: dict[str, ViewLineage] = dict(captured or {})

    def of(self, name: str) -> ViewLineage:
        """The lineage of a view."""
        if name not in self._known:
            view = self.project.views[name]
            is_python = view.definition.kind == "python"
            self._known[name] = self._written(view) if is_python else static_lineage(view, self.columns)
        return self._known[name]

    def columns(self, name: str) -> Sequence[str] | None:
        """The columns of a source or view; None where nothing but the data tells them."""
        columns = self.project.producer(name).columns
        if columns is not None or name not in self.project.views:
            return columns
        lineage = self.of(name)
        return None if lineage.rows.unresolved else tuple(lineage.columns)

    def _written(self, view: FeatureView) -> ViewLineage:
        written = read_lineage(self.project.root, view.name)
        if written is None or written.origin != "python":
            unknown = unresolved(_UNWRITTEN)
            columns = dict.fromkeys(expected_columns(view), unknown)
            return ViewLineage(view.name, view.definition_hash, "python", columns, unknown)
        reason = self.why_stale(view, written)
        if not reason:
            return written
        doubt = unresolved(f"{file_of(view.name)} {reason}: run `{WRITE}`")
        names = (*written.columns, *(name for name in expected_columns(view) if name not in written.columns))
        columns = {name: merged([written.columns.get(name, Lineage()), doubt]) for name in names}
        return replace(written, columns=columns, rows=merged([written.rows, doubt]))

    def why_stale(self, view: FeatureView, written: ViewLineage) -> str:
        """Why the written lineage of a Python definition cannot be that of today; empty where it can."""
        if written.view != view.name:
            return f"is that of {written.view}"
        if written.definition_hash != view.definition_hash:
            return "is of another definition"
        if view.columns is not None and set(written.columns) != set(view.columns):
            return "has other columns than the view"
        for column in sorted({used for part in (*written.columns.values(), written.rows) for used in part.uses}):
            known = self.columns(column.input) if column.input in view.inputs else ()
            if known is not None and column.column != "*" and column.column not in known:
                return f"names {column}, which there is not"
        return ""


def lineage_texts(lineage: MartLineage) -> dict[str, str]:
    """The text of each view's file, by file."""
    views = lineage.project.views.values()
    with _garbage_left_alone():
        return {file_of(view.name): to_text(lineage.of(view.name), view.reserved_columns) for view in views}


def check_lineage(project: Project) -> list[StaleFile]:
    """The files that are missing, of older definitions, edited, or of views that are gone. Needs no Spark."""
    lineage = MartLineage(project)
    stale: list[StaleFile] = []
    with _garbage_left_alone():
        for view in project.views.values():
            reason = _stale_reason(lineage, view)
            if reason:
                stale.append(StaleFile(file_of(view.name), reason))
    stale += [StaleFile(file, "is of no view of this mart") for file in _files_of_no_view(project)]
    return sorted(stale, key=lambda entry: entry.file)


def write_lineage(project: Project, captured: Mapping[str, ViewLineage]) -> list[str]:
    """Write the file of every view and remove those of views that are gone; the files that changed.

    Args:
        project: the mart.
        captured: the lineage of the views with Python definitions.
    """
    changed: list[str] = []
    for file, text in lineage_texts(MartLineage(project, captured)).items():
        path = project.root / file
        if _text(path) != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(file)
    for file in _files_of_no_view(project):
        (project.root / file).unlink()
        changed.append(file)
    return sorted(changed)


def _stale_reason(lineage: MartLineage, view: FeatureView) -> str:
    text = _text(lineage.project.root / file_of(view.name))
    if text is None:
        return "is missing"
    is_python = view.definition.kind == "python"
    if not is_python and text == to_text(lineage.of(view.name), view.reserved_columns):
        return ""  # what most files are, and known without reading them
    written = read_lineage(lineage.project.root, view.name)
    if written is None:
        return "cannot be read"
    if written.definition_hash != view.definition_hash:
        return "is of another definition"
    if not is_python:
        return "is not what the definition gives"
    if written.origin != "python" or text != to_text(written, view.reserved_columns):
        return "was not written by the command"
    return lineage.why_stale(view, written)


def _files_of_no_view(project: Project) -> list[str]:
    folder = project.root / FOLDER
    if not folder.is_dir():
        return []
    return sorted(f"{FOLDER}/{path.name}" for path in folder.glob("*.yml") if path.stem not in project.views)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


@contextmanager
def _garbage_left_alone() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: the trees of a thousand queries are made, and none is garbage yet."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

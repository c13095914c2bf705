"""YAML files that nothing reads, because of their names or their places: most likely by a slip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from feature_mart.definitions.problems import Problem, Problems, listed, nearest

METADATA_FILES = ("entities.yml", "sources.yml", "feature_services.yml")
_METADATA_FOLDERS = ("feature_views", "lineage")
#: Where every file is read, but none in a folder below.
_FOLDERS = ("metadata/feature_views", "pipelines", "tests/mart")
#: The folders of a mart, by the folder that they lie in.
_KNOWN = {"": ("conf", "metadata", "pipelines", "features", "queries"), "tests": ("mart",)}
_READ = (".yml", ".yaml", ".sql", ".py")
#: What each kind of file begins with, what it lists, what it is, and where it lies. The order tells those apart that
#: share a key.
_KINDS = (
    ("pipeline", "feature_views", "a pipeline", "pipelines/"),
    ("feature_view", "tests", "the tests of a feature view", "tests/mart/"),
    ("feature_view", "features", "the metadata of a feature view", "metadata/feature_views/"),
    ("entities", "entities", "the mart's entities", "metadata/entities.yml"),
    ("sources", "sources", "the mart's sources", "metadata/sources.yml"),
    ("feature_services", "feature_services", "the mart's feature services", "metadata/feature_services.yml"),
)


def misplaced_as(data: object, entries: str, file: str, problems: Problems) -> str | None:
    """What a file lists where it was to list ``entries`` and is plainly of another kind, which is told; else None."""
    if not isinstance(data, dict) or entries in data:
        return None
    for head, lists, kind, place in _KINDS:
        if head in data and lists in data and lists != entries:
            message = f"looks like {kind} (it lists {lists}), which is not read from here"
            problems.add(Problem(file, 0, "", message, allowed=f"files with {entries}:", fix=f"move it to {place}"))
            return lists
    return None


def report_strays(root: Path, problems: Problems) -> None:
    """Tell of YAML files below metadata/, pipelines/ and tests/mart/, and in conf/, that nothing reads."""
    for top in ("metadata", "pipelines", "tests/mart"):
        for path in _yaml_files(root, top):
            _look_at(path, problems)
    for path in _yaml_files(root, "conf"):
        if str(path.parent) == "conf":
            _check_ending(path, problems)
    _look_at_near_folders(root, problems)


def _look_at_near_folders(root: Path, problems: Problems) -> None:
    """Warn of folders that are named almost like a mart's; those of Python packages are somebody's own."""
    for parent, known in _KNOWN.items():
        if not (root / parent).is_dir():
            continue
        for folder in sorted((root / parent).iterdir()):
            is_own = folder.name in known or folder.name.startswith(".") or (folder / "__init__.py").exists()
            meant = nearest(folder.name, known)
            if is_own or not meant or not any(path.suffix in _READ for path in folder.rglob("*")):
                continue
            place, there = folder.relative_to(root).as_posix(), f"{parent}/{meant}".strip("/")
            fix = f"rename it to {there}/, or move its files there"
            message = "is a folder that nothing reads"
            problems.add(Problem(f"{place}/", 0, "", message, nearest=f"{there}/", fix=fix, severity="warning"))


def _yaml_files(root: Path, top: str) -> Iterator[PurePosixPath]:
    """Files that look like YAML, hidden ones and those in hidden folders left out."""
    for folder, folders, names in os.walk(root / top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = PurePosixPath(Path(folder).relative_to(root).as_posix())
        yield from (place / name for name in names if not name.startswith(".") and _is_yaml(name))


def _is_yaml(name: str) -> bool:
    return name.lower().endswith((".yml", ".yaml"))


def _look_at(path: PurePosixPath, problems: Problems) -> None:
    folder = str(path.parent)
    if folder == "metadata" and _check_ending(path, problems):
        if path.name not in METADATA_FILES:
            meant = nearest(path.name, METADATA_FILES)
            fix = f"rename it to {meant}" if meant else "move it to metadata/feature_views/, if it describes a view"
            _tell(path, listed(METADATA_FILES), meant, fix, problems)
    elif folder in _FOLDERS:
        _check_ending(path, problems)
    elif folder != "metadata":
        _look_at_folder(path, problems)


def _look_at_folder(path: PurePosixPath, problems: Problems) -> None:
    """Tell of a file in a folder of which nothing is read."""
    inside = next((folder for folder in _FOLDERS if PurePosixPath(folder) in path.parents), None)
    if inside is not None:
        _tell(path, f"files in {inside}/ itself", "", f"move it to {inside}/", problems)
    elif path.parts[1] != "lineage":
        meant = nearest(path.parts[1], _METADATA_FOLDERS)
        fix = f"move it to metadata/{meant or 'feature_views'}/"
        allowed = f"{listed(METADATA_FILES)}, feature_views/<view>.yml"
        _tell(
            path,
            allowed,
            f"metadata/{meant}/" if meant else "",
            fix if meant else f"{fix}, if it describes a view",
            problems,
        )


def _check_ending(path: PurePosixPath, problems: Problems) -> bool:
    """Whether a file ends as files do that are read; if not, it is told."""
    if path.suffix == ".yml":
        return True
    message = f"found the ending {path.suffix}, which is not read"
    problems.add(Problem(str(path), 0, "", message, allowed=".yml", fix=f"rename it to {path.stem}.yml"))
    return False


def _tell(path: PurePosixPath, allowed: str, meant: str, fix: str, problems: Problems) -> None:
    problems.add(Problem(str(path), 0, "", "is a file that nothing reads", allowed=allowed, nearest=meant, fix=fix))

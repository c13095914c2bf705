"""The files of a source: which there are, and whether their content is what was ingested."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from feature_mart.delta.log import SessionSource
from feature_mart.errors import SourceError, TransientError
from feature_mart.records import EPOCH

_GLOB = re.compile(r"[*?\[{]")
_WILDCARD = re.compile(r"[\\*?\[\]{}^]")
_REMOTE = re.compile(r"^(?!file:)[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_CHUNK = 1 << 20


@dataclass(frozen=True, order=True)
class SourceFile:
    """One file as it lies there: ``name`` is its path below the source's folder, ``digest`` its content's."""

    name: str
    uri: str
    size: int
    modified_at: datetime
    digest: str | None = None


def base_and_pattern(path: str, root: Path) -> tuple[str, str]:
    """The folder that a source's files lie below (no wildcard in it), and the pattern below it ('' for all of it)."""
    absolute = path if _REMOTE.match(path) else str(_local(path, root))
    parts = absolute.split("/")
    fixed = next((number for number, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    if fixed == len(parts) and not _REMOTE.match(path) and not Path(absolute).is_dir():
        fixed -= 1
    return "/".join(parts[:fixed]), "/".join(parts[fixed:])


def _local(path: str, root: Path) -> Path:
    plain = path[len("file:") :].replace("//", "", 1) if path.startswith("file:") else path
    return Path(os.path.normpath(root / plain))


def list_files(name: str, path: str, root: Path, session: SessionSource) -> list[SourceFile]:
    """The files of source ``name`` now, in the order of their names, without digests.

    Raises:
        SourceError: no file is there, or the folder cannot be read.
    """
    base, pattern = base_and_pattern(path, root)
    found = _remote_files(base, pattern, session) if _REMOTE.match(path) else _local_files(name, base, pattern)
    if not found:
        raise SourceError(
            f"source {name}: no file matches {path}. Put the files there, or mend `path` in metadata/sources.yml"
            + (" (the variables in it are filled in from the environment)." if "$" in path else ".")
        )
    return sorted(found)


def _local_files(name: str, base: str, pattern: str) -> list[SourceFile]:
    folder = Path(base)
    _refuse_closed_folders(name, folder, pattern)
    names = [str(path.relative_to(folder)) for path in folder.glob(pattern or "**/*")]
    files = []
    for relative in names:
        file = folder / relative
        # Spark skips files that begin with these marks as well: markers of writers, not data.
        if file.name.startswith(("_", ".")) or not file.is_file():
            continue
        if not os.access(file, os.R_OK):
            raise SourceError(f"source {name}: {file} may not be read by this user. Give it read permission.")
        status = file.stat()
        modified_at = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
        files.append(SourceFile(relative, file.as_uri(), status.st_size, modified_at))
    return files


def _refuse_closed_folders(name: str, folder: Path, pattern: str) -> None:
    """A folder that may not be listed looks like an empty one, and its files as if somebody had deleted them."""
    parts = (pattern or "**/*").split("/")
    for depth in range(len(parts)):
        inner = [folder] if depth == 0 else folder.glob("/".join(parts[:depth]))
        for place in inner:
            if place.is_dir() and not os.access(place, os.R_OK | os.X_OK):
                raise SourceError(
                    f"source {name}: the folder {place} may not be read by this user. Give it permission to list and "
                    "enter the folder. Nothing of this run was ingested."
                )


def _remote_files(base: str, pattern: str, session: SessionSource) -> list[SourceFile]:
    spark = session()
    jvm: Any = spark._jvm  # Hadoop's file systems are only reachable through the JVM
    path = jvm.org.apache.hadoop.fs.Path(f"{base}/{pattern}" if pattern else f"{base}/*")
    file_system = path.getFileSystem(spark._jsc.hadoopConfiguration())
    files = []
    for status in file_system.globStatus(path) or ():
        uri = status.getPath().toString()
        if status.isFile() and not status.getPath().getName().startswith(("_", ".")):
            modified_at = EPOCH + timedelta(milliseconds=status.getModificationTime())
            files.append(SourceFile(uri.removeprefix(base + "/"), uri, status.getLen(), modified_at))
    return files


def is_local(file: SourceFile) -> bool:
    """Whether this machine's own file system holds the file."""
    return file.uri.startswith("file:")


def local_path(file: SourceFile) -> Path:
    """The file's path on this machine."""
    from urllib.parse import unquote, urlparse

    return Path(unquote(urlparse(file.uri).path))


def spark_path(file: SourceFile) -> str:
    """How Spark is told to read exactly this file: a plain path, in which no sign stands for others."""
    return literally(f"file:{local_path(file)}" if is_local(file) else file.uri)


def literally(path: str) -> str:
    """A path for Spark in which no sign stands for others."""
    return _WILDCARD.sub(r"\\\g<0>", path)


def with_digests(name: str, files: Iterable[SourceFile]) -> list[SourceFile]:
    """``files`` with the digest of their content; of remote files, of their size and time of modification."""

    def digested(file: SourceFile) -> SourceFile:
        digest = _content_digest(name, file) if is_local(file) else _status_digest(file)
        return SourceFile(file.name, file.uri, file.size, file.modified_at, digest)

    # Hashing and reading release the interpreter's lock, so threads do use the cores.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(digested, files))


def _status_digest(file: SourceFile) -> str:
    return hashlib.sha256(f"{file.name}\0{file.size}\0{file.modified_at.isoformat()}".encode()).hexdigest()


def _content_digest(name: str, file: SourceFile) -> str:
    found = hashlib.sha256()
    try:
        with local_path(file).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    except FileNotFoundError as error:
        raise _vanished(name, file) from error
    except OSError as error:
        raise SourceError(f"source {name}: {file.name} cannot be read: {error.strerror}.") from error
    return found.hexdigest()


def _vanished(name: str, file: SourceFile) -> TransientError:
    return TransientError(
        f"source {name}: {file.name} was there when the files were listed and is gone now. Nothing of this run "
        "was ingested; run the same command again."
    )


def refuse_vanished(name: str, files: Iterable[SourceFile]) -> None:
    """Looks whether the files that a read failed on are still there.

    Raises:
        TransientError: one is gone.
    """
    for file in files:
        if is_local(file) and not local_path(file).exists():
            raise _vanished(name, file)


@dataclass(frozen=True)
class KnownFile:
    """A file as the source's table remembers it.

    ``next_due``: the first event timestamp among its rows that were set aside as later than the clock allows.
    """

    name: str
    size: int
    modified_at: datetime
    digest: str
    rows: int
    quarantined: int
    next_due: datetime | None = None


@dataclass(frozen=True)
class FileChanges:
    """How the files that are there differ from those that were ingested."""

    added: tuple[SourceFile, ...]
    replaced: tuple[SourceFile, ...]
    gone: tuple[str, ...]
    unchanged: int

    @property
    def to_read(self) -> tuple[SourceFile, ...]:
        """The files whose rows have to be read."""
        return self.added + self.replaced


def compare_files(
    name: str, files: Iterable[SourceFile], known: Mapping[str, KnownFile], latest: datetime | None = None
) -> FileChanges:
    """What is new, changed and gone. Only files whose size or time differ from what is known are opened.

    Args:
        latest: a file with rows that were set aside as later than the clock allowed, and lie no later than this, counts
            as changed.
    """
    listed = list(files)
    due = {file.name for file in known.values() if latest and file.next_due and file.next_due <= latest}
    touched = [
        file
        for file in listed
        if file.name not in known
        or file.name in due
        or (file.size, file.modified_at) != (known[file.name].size, known[file.name].modified_at)
    ]
    digested = with_digests(name, touched)
    added = tuple(file for file in digested if file.name not in known)
    known_ones = [file for file in digested if file.name in known]
    replaced = tuple(file for file in known_ones if file.name in due or file.digest != known[file.name].digest)
    there = {file.name for file in listed}
    gone = tuple(sorted(set(known) - there))
    return FileChanges(added, replaced, gone, len(listed) - len(added) - len(replaced))


def files_digest(digests: Mapping[str, str]) -> str:
    """One digest for a set of files: of their names and contents, whatever their order."""
    found = hashlib.sha256()
    for name in sorted(digests):
        found.update(f"{name}\0{digests[name]}\n".encode())
    return found.hexdigest()

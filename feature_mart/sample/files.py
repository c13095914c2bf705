"""Writing the sample's files: the same rows give the same bytes, and files of somebody else are never touched."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path

from feature_mart.errors import UsageError

MANIFEST = "sample.json"
FOLDERS = frozenset({"invoice_lines", "products", "countries", "card_transactions", "merchants"})


class SampleFolder:
    """The folder that the sample is written to. It knows which of the files in it are the sample's own.

    Args:
        directory: the folder; it is made when the first file is written.
        planned: the names of all files that may be written, relative to the folder.

    Raises:
        UsageError: a planned file exists that the sample did not write.
    """

    def __init__(self, directory: Path, planned: Iterable[str]) -> None:
        self.directory = directory
        self.own = self._read_manifest()
        self.written: set[str] = set()
        planned = set(planned)
        for name in sorted(planned - self.own):
            if (directory / name).exists():
                raise UsageError(
                    f"{directory / name} exists and was not written by 'mart sample-data'. It is left alone, and no "
                    "sample was written. Choose another folder, or move that file away."
                )
        # Before the files: if this run is cut off, the next one still knows whose they are.
        self.own |= planned
        self._write_manifest(self.own)

    def write(self, name: str, lines: Iterable[str]) -> None:
        """Write one file, gzipped if its name says so. A file that would not change is left as it is."""
        data = "".join(f"{line}\n" for line in lines).encode()
        content = _gzip(data) if name.endswith(".gz") else data
        path = self.directory / name
        self.written.add(name)
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)

    def finish(self) -> None:
        """Remove what an earlier, larger sample left here, so that two samples never mix."""
        for name in sorted(self.own - self.written):
            (self.directory / name).unlink(missing_ok=True)
        self._write_manifest(self.written)

    def _read_manifest(self) -> set[str]:
        path = self.directory / MANIFEST
        if not path.exists():
            return set()
        try:
            names = {str(name) for name in json.loads(path.read_text("utf-8"))["files"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} should list the sample's own files and cannot be read ({error}). "
                "Remove that folder if it holds nothing but the sample, or choose another one."
            ) from error
        # Only what the sample can have written; a list that was edited must not remove files elsewhere.
        return {name for name in names if name.partition("/")[0] in FOLDERS and ".." not in name}

    def _write_manifest(self, names: set[str]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"about": "Files written by 'mart sample-data'.", "files": sorted(names)}, indent=1)
        _replace(self.directory / MANIFEST, text.encode() + b"\n")


def _gzip(data: bytes) -> bytes:
    """Gzip without name and time, which would make equal content differ.

    The bytes are equal wherever the zlib is the same; the content is equal everywhere.
    """
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of one."""
    # A name with a leading dot: file readers, Spark's among them, pass over it.
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)

"""Files and folders that this user may not read: listed in a process of a user without rights, as root may read all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from feature_mart.errors import SourceError
from feature_mart.read.files import list_files

NOBODY = 65534


def no_session() -> NoReturn:
    raise AssertionError("local files are listed without Spark")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "in/day").mkdir(parents=True)
        (place / "in/a.csv").write_text("id\n1\n")
        (place / "in/day/b.csv").write_text("id\n2\n")
        yield place
        for path in (place / "in", place / "in/day"):
            path.chmod(0o755)


def listed_by_nobody(folder: Path, pattern: str) -> str:
    """The names that are found, or the error's text, of a process that has given up root's rights."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            try:
                said = ", ".join(file.name for file in list_files("orders", pattern, folder, no_session))
            except SourceError as error:
                said = str(error)
            os.write(writer, said.encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as stream:
        return stream.read().decode()


def test_an_open_folder_is_listed(folder: Path) -> None:
    assert listed_by_nobody(folder, "in/**/*.csv") == "a.csv, day/b.csv"


@pytest.mark.parametrize("pattern", ["in/*.csv", "in/a.csv", "in", "in/**/*.csv"])
def test_a_closed_file_is_named(folder: Path, pattern: str) -> None:
    (folder / "in/a.csv").chmod(0)
    said = f"source orders: {folder}/in/a.csv may not be read by this user. Give it read permission."
    assert listed_by_nobody(folder, pattern) == said


@pytest.mark.parametrize(
    ("pattern", "closed"),
    [("in/*.csv", "in"), ("in", "in"), ("in/*/*.csv", "in/day"), ("in/**/*.csv", "in/day"), ("in", "in/day")],
)
def test_a_closed_folder_is_no_empty_one(folder: Path, pattern: str, closed: str) -> None:
    (folder / closed).chmod(0)
    said = f"source orders: the folder {folder}/{closed} may not be read by this user."
    assert listed_by_nobody(folder, pattern).startswith(said)


def test_a_folder_beside_the_pattern_may_be_closed(folder: Path) -> None:
    (folder / "in/day").chmod(0)
    assert listed_by_nobody(folder, "in/*.csv") == "a.csv"

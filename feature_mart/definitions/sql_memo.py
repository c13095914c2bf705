"""What runs before this one found in SQL texts, so that most commands need no SQL parser.

Loading the parser takes longer than all else that `mart list` does, and parsing is half of the work of checking a large
mart (docs/benchmarks.md). An answer depends on its question alone and on the code that gives it; the file is bound to
that code by its digest, so nothing in it can be out of date. It holds names and lines, no values, and may be removed at
any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from feature_mart.version import ENGINE

#: Names another folder to keep such files in; ``off`` keeps none.
FOLDER_VARIABLE = "FEATURE_MART_CACHE"

Question = Sequence[Any]  # its kind, and all that the answer depends on, as JSON takes it
Answer = dict[str, Any]


class SqlMemo:
    """Answers to questions about SQL texts; kept in a file, where there is one that can be read and written."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._code = b"" if file is None else _code_digest()
        self._known: dict[str, Answer] = {} if file is None else _read(file, self._code)
        self._used: dict[str, Answer] = {}

    def recall(self, question: Question) -> Answer | None:
        """The answer that was kept, or None."""
        key = _key(question)
        found = self._known.get(key)
        if found is not None:
            self._used[key] = found
        return found

    def keep(self, question: Question, answer: Answer) -> Answer:
        """Keep an answer, and give it back."""
        self._used[_key(question)] = answer
        return answer

    def save(self) -> None:
        """Keep the answers that were used. Where that cannot be done, the next run works them out again."""
        if self._file is None or self._used.keys() == self._known.keys():
            return
        body = json.dumps(self._used).encode()
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Written aside and moved: who reads it meanwhile finds the file of before, or the whole new one.
            aside = self._file.with_suffix(f".{os.getpid()}")
            try:
                aside.write_bytes(_seal(self._code, body) + b"\n" + body)
                aside.replace(self._file)
            finally:
                aside.unlink(missing_ok=True)
        except OSError:  # read-only, full, or no folder: it is only slower then
            return


def memo_file(root: Path) -> Path | None:
    """Where the answers for the mart in ``root`` are kept: in the user's cache, as the mart's folder is in git."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    if named == "off":
        return None
    try:
        user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    folder = Path(named) if named else user_cache / "feature_mart"
    return folder / f"sql-{hashlib.blake2b(os.fsencode(root), digest_size=16).hexdigest()}.json"


def _key(question: Question) -> str:
    return hashlib.blake2b(json.dumps(question).encode(), digest_size=16).hexdigest()


def _read(file: Path, code: bytes) -> dict[str, Answer]:
    """What a file holds; nothing where it is missing, damaged, or made by other code."""
    try:
        seal, _, body = file.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if seal != _seal(code, body):
        return {}
    known: dict[str, Answer] = json.loads(body)
    return known


def _seal(code: bytes, body: bytes) -> bytes:
    return hashlib.sha256(code + body).hexdigest().encode()


def _code_digest() -> bytes:
    """A digest of the code that answers, as it lies there: this folder's, and the parser's."""
    parser = find_spec("sqlglot")
    folders = [
        Path(__file__).parent,
        *(Path(folder) for folder in (parser and parser.submodule_search_locations) or ()),
    ]
    digest = hashlib.sha256(ENGINE.encode())
    for folder in folders:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            status = entry.stat()
            digest.update(f"{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.digest()

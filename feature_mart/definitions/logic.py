"""The logic of a view: finds its file, reads it as SQL or Python, and says what it takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from feature_mart.definitions.files.pipelines import FeatureViewEntry
from feature_mart.definitions.inputs import Place
from feature_mart.definitions.problems import Problem, Problems, nearest
from feature_mart.definitions.project import Definition
from feature_mart.definitions.sql_definition import Lookup, SqlDefinition, read_sql
from feature_mart.definitions.sql_memo import SqlMemo
from feature_mart.definitions.yaml_file import read_text

if TYPE_CHECKING:
    from feature_mart.definitions.python_text import PythonTransform


@dataclass(frozen=True)
class Logic:
    """A definition, and what was read of its text. ``lines``: input to the line on which it is first named."""

    definition: Definition
    lines: dict[str, int]
    columns: Callable[[Lookup], list[str | None] | None]
    sql: SqlDefinition | None = None
    transform: PythonTransform | None = None

    def line_of_output(self, at: int, count: int) -> int:
        """The line that gives the output column ``at`` of ``count``; that of the beginning where stars hide it."""
        if self.sql is None:
            return 1 if self.transform is None else self.transform.function.lineno
        from feature_mart.definitions.sql_text import line_of  # loads the SQL parser

        tree = self.sql.query.tree
        return line_of(tree.selects[at]) if len(tree.selects) == count else line_of(tree)


class LogicReader:
    """Reads the files of definitions, each once."""

    def __init__(self, root: Path, problems: Problems, memo: SqlMemo) -> None:
        self.root = root
        self.problems = problems
        self.memo = memo
        self.read: dict[str, Logic | None] = {}

    def logic(self, entry: FeatureViewEntry, place: Place) -> Logic | None:
        """What an entry names as its logic; None if that cannot be read."""
        if (entry.definition is None) == (entry.input is None):
            message = "gives both definition and input" if entry.input else "gives neither definition nor input"
            fix = (
                "keep one of the two"
                if entry.input
                else "add definition: features/….sql, or input: with a source or view"
            )
            place.tell(
                ("input",) if entry.input else (),
                f"the view {entry.name} {message}",
                allowed="exactly one of the two",
                fix=fix,
            )
            return None
        if entry.input is not None:
            definition = Definition("input", None, "", (entry.input,), frozenset())
            return Logic(definition, {entry.input: place.line_of("input")}, partial(_columns_of_input, entry.input))
        path = str(entry.definition)
        if not self._is_there(path, place):
            return None
        if path not in self.read:
            self.read[path] = self._file(path)
        return self.read[path]

    def _is_there(self, path: str, place: Place) -> bool:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path:
            message = f"found {path}, which may lie outside the mart's folder"
            place.tell(
                ("definition",), message, found=path, allowed="a path below the mart's folder", fix="write features/…"
            )
            return False
        if pure.suffix not in (".sql", ".py"):
            place.tell(
                ("definition",),
                f"found {path}, which is neither SQL nor Python",
                found=path,
                allowed=".sql, .py",
                fix="name a .sql or .py file",
            )
            return False
        if not (self.root / path).is_file():
            meant = nearest(path, self.known_files())
            fix = f"write {meant}" if meant else "write the file, or correct its name"
            place.tell(("definition",), f"found {path}, which does not exist", found=path, meant=meant, fix=fix)
            return False
        return True

    def known_files(self) -> list[str]:
        """All files below features/ that may be definitions."""
        found = (self.root / "features").rglob("*")
        return sorted(path.relative_to(self.root).as_posix() for path in found if path.suffix in (".sql", ".py"))

    def _file(self, path: str) -> Logic | None:
        text = read_text(self.root / path, path, self.problems)
        if text is None:
            return None
        return self._sql(path, text) if path.endswith(".sql") else self._python(path, text)

    def _sql(self, path: str, text: str) -> Logic | None:
        sql = read_sql(path, text, self.problems, self.memo)
        if sql is None:
            return None
        lines = {table.name: table.line for table in reversed(sql.tables)}
        definition = Definition("sql", path, text, tuple(sorted(lines)), sql.parameters)
        return Logic(definition, lines, sql.columns, sql=sql)

    def _python(self, path: str, text: str) -> Logic | None:
        from feature_mart.definitions.python_columns import output_columns
        from feature_mart.definitions.python_text import read_transform

        transform = read_transform(path, text, self.problems)
        if transform is None:
            return None
        lines = {table.name: table.line for table in reversed(transform.tables)}
        if not lines:
            message = "has a transform without inputs"
            fix = "name the inputs as its parameters"
            self.problems.add(
                Problem(path, transform.function.lineno, "", message, allowed="at least one input", fix=fix)
            )
            return None
        definition = Definition("python", path, text, tuple(sorted(lines)), transform.parameters)
        return Logic(definition, lines, partial(output_columns, transform), transform=transform)


def _columns_of_input(name: str, lookup: Lookup) -> list[str | None] | None:
    columns = lookup(name)
    return None if columns is None else list(columns)

"""Every way to be wrong that the loader knows, with the exact text that people get.

The cases stand in ``problems/*.txt``: what is changed in the mart of conftest.py, and all that is told then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from feature_mart.definitions import Validation, load_project
from feature_mart.definitions.problems import Problem, Problems, listed, nearest, shortened
from feature_mart.errors import DefinitionError

CASES = Path(__file__).parent / "problems"


@dataclass
class Case:
    """``changes``: file to new text (None: removed), or to pairs of texts to replace by each other."""

    name: str
    changes: dict[str, str | list[tuple[str, str]] | None] = field(default_factory=dict)
    gives: str = ""

    def files(self, mart: Mapping[str, str]) -> dict[str, str | None]:
        files: dict[str, str | None] = {}
        for file, change in self.changes.items():
            if isinstance(change, list):
                text = mart[file]
                for before, after in change:
                    assert before in text, f"{self.name}: {file} has no {before!r}"
                    text = text.replace(before, after, 1)
                files[file] = text
            else:
                files[file] = change
        return files


def read_cases(path: Path) -> Iterator[Case]:
    for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        case = Case(f"{path.stem}: {name}")
        file, before = "", ""
        for part in re.split(r"^--- ", rest, flags=re.MULTILINE)[1:]:
            head, _, body = part.partition("\n")
            body = body.rstrip("\n")
            verb, _, named = head.partition(" ")
            file = named or file
            if verb == "change":
                before = body
            elif verb == "to":
                pairs = case.changes.setdefault(file, [])
                assert isinstance(pairs, list)
                pairs.append((before, body))
            elif verb in ("write", "remove"):
                case.changes[file] = f"{body}\n" if verb == "write" else None
            else:
                assert verb == "gives", f"{name}: {verb}"
                case.gives = body
        yield case


ALL = [case for path in sorted(CASES.glob("*.txt")) for case in read_cases(path)]


def texts(found: Validation) -> list[str]:
    """All problems as people see them, errors first."""
    return [problem.text() for problem in (*found.errors, *found.warnings)]


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_what_is_told(case: Case, validate: Callable[..., Validation], mart_files: Mapping[str, str]) -> None:
    assert "\n\n".join(texts(validate(case.files(mart_files)))) == case.gives


def test_no_problem_in_the_mart_of_the_tests(validate: Callable[..., Validation]) -> None:
    assert texts(validate()) == []


def test_all_problems_are_told_at_once_in_the_order_of_files_and_lines(
    write_mart: Callable[..., Path], validate: Callable[..., Validation], mart_files: Mapping[str, str]
) -> None:
    changes: Mapping[str, str] = {
        "features/order_totals.sql": mart_files["features/order_totals.sql"].replace(
            "sum(Amount)", "sum(Amount) * rand()"
        ),
        "metadata/entities.yml": mart_files["metadata/entities.yml"].replace("bigint", "int64"),
        "pipelines/daily.yml": mart_files["pipelines/daily.yml"]
        .replace("0 3 * * *", "often")
        .replace("owner", "onwer"),
    }
    found = validate(changes)
    assert found.project is None
    assert [(problem.file, problem.line) for problem in found.errors] == [
        ("features/order_totals.sql", 1),
        ("metadata/entities.yml", 4),
        ("metadata/feature_views/customer_value.yml", 1),
        ("pipelines/daily.yml", 3),
        ("pipelines/daily.yml", 4),
    ]
    with pytest.raises(DefinitionError) as raised:
        load_project(write_mart(changes), variables={})
    assert raised.value.problems == found.errors
    assert str(raised.value).startswith("5 problems in the mart's files\n\nfeatures/order_totals.sql:1\n")


def test_a_problem_as_text_and_as_dict() -> None:
    problem = Problem("a.yml", 3, "b.c", "is wrong", "x" * 500, "y", "z", "mend it", "warning")
    assert problem.text() == (
        f"a.yml:3  b.c  (warning)\n  is wrong\n  found: {'x' * 399}…\n  allowed: y\n  did you mean: z\n  fix: mend it"
    )
    assert problem.to_dict() == {
        "file": "a.yml",
        "line": 3,
        "key": "b.c",
        "message": "is wrong",
        "found": "x" * 500,
        "allowed": "y",
        "nearest": "z",
        "fix": "mend it",
        "severity": "warning",
    }
    assert Problem("a.yml", 0, "", "is wrong").text() == "a.yml\n  is wrong"


def test_the_same_problem_is_told_once() -> None:
    problems = Problems()
    problems.add(Problem("a.yml", 3, "", "is wrong"))
    problems.add(Problem("a.yml", 3, "", "is wrong"))
    assert len(problems.errors()) == 1
    assert problems.has_error_in("a.yml")
    assert not problems.has_error_in("b.yml")


def test_names_in_sentences() -> None:
    assert listed([]) == "(none)"
    assert listed(["b", "a"]) == "a, b"
    assert listed(f"{n:02}" for n in range(14)) == "00, 01, 02, 03, 04, 05, 06, 07, 08, 09, 10, 11 and 2 more"
    assert nearest("CUSTOMR", ["customer", "card"]) == "customer"
    assert nearest("zebra", ["customer", "card"]) == ""
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"

"""What is remembered of SQL texts: the same outcome with and without it, whatever state its file is in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from feature_mart.definitions import Validation, validate_project
from feature_mart.definitions.sql_memo import SqlMemo, memo_file

SQL = "features/order_totals.sql"
LEAKY = """\
select o.customer_id, o.ordered_at, o.amount, t.amount as total, collect_list(o.amount) as amounts
from order_totals o join order_totals t using (customer_id)
group by all
"""
#: A view with all that is remembered: a join that leaks, an order by chance, a star, a derived feature, a SQL check.
RICH = {
    "features/customer_value.py": None,
    "features/customer_value.sql": LEAKY,
    "pipelines/daily.yml": """\
pipeline: daily
description: Every night.
owner: team@example.com
feature_views:
  - name: order_totals
    definition: features/order_totals.sql
    entities: [customer]
    event_timestamp: ordered_at
    checks: [{sql: "amount >= 0"}]
    derived: {half: amount / 2}
  - name: customer_value
    definition: features/customer_value.sql
    entities: [customer]
    event_timestamp: ordered_at
""",
    "metadata/feature_views/order_totals.yml": """\
feature_view: order_totals
description: What a customer ordered.
features:
  '*': {description: An amount.}
""",
    "metadata/feature_views/customer_value.yml": """\
feature_view: customer_value
description: What a customer is worth.
features:
  '*': {description: An amount.}
""",
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FEATURE_MART_CACHE", str(folder))
    return folder


@pytest.fixture
def root(write_mart: Callable[..., Path]) -> Path:
    return write_mart(RICH)


def validated(root: Path) -> Validation:
    return validate_project(root, None, {})


def parser_is_loaded(root: Path) -> bool:
    """Whether a new process that loads the mart loads the SQL parser."""
    code = (
        "import sys; from pathlib import Path; from feature_mart.definitions import load_project; "
        "load_project(Path(sys.argv[1]), None, {}); print('sqlglot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    return done.stdout == "True\n"


def test_the_second_run_finds_the_same_without_the_parser(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_MART_CACHE", "off")
    plain = validated(root)
    monkeypatch.setenv("FEATURE_MART_CACHE", str(cache))
    assert [problem.line for problem in plain.warnings] == [1, 2]
    assert parser_is_loaded(root)
    assert not parser_is_loaded(root)
    assert validated(root) == plain


def test_a_changed_text_is_read_again(root: Path, cache: Path) -> None:
    validated(root)
    text = (root / SQL).read_text()
    (root / SQL).write_text(text.replace("sum(Amount) as amount", "sum(Amount) * rand() as amount"))
    assert [(problem.file, problem.line) for problem in validated(root).errors] == [(SQL, 1)]
    (root / SQL).write_text(text.replace("as amount", "as value"))
    assert {problem.found for problem in validated(root).errors} == {"amount"}


def test_an_input_with_other_columns_gives_a_star_other_columns(root: Path, cache: Path) -> None:
    (root / "features/customer_value.sql").write_text("select * from order_totals")
    first = validated(root).project
    (root / SQL).write_text((root / SQL).read_text().replace("from orders", ", max(Amount) as most from orders"))
    second = validated(root).project
    assert first is not None and second is not None
    assert first.views["customer_value"].columns == ("customer_id", "ordered_at", "amount", "half")
    assert second.views["customer_value"].columns == ("customer_id", "ordered_at", "amount", "most", "half")


def test_what_has_to_be_mended_is_told_each_time(root: Path, cache: Path) -> None:
    (root / SQL).write_text("select rand() as customer_id from orders")
    assert validated(root).errors == validated(root).errors
    assert validated(root).errors


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-7],
        lambda content: content.replace(b"amount", b"amuont"),
        lambda content: content.split(b"\n")[1],
        lambda content: b"\xff" + content,
        lambda content: b"0" * 64 + b"\n{}",
    ],
    ids=["empty", "cut", "changed", "unsealed", "no text", "other code"],
)
def test_a_damaged_file_counts_for_nothing_and_is_replaced(
    root: Path, cache: Path, damage: Callable[[bytes], bytes]
) -> None:
    before = validated(root)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert damage(content) != content
    assert validated(root) == before
    assert [path.read_bytes() for path in cache.iterdir()] == [content]


def test_where_nothing_can_be_kept_everything_is_worked_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("FEATURE_MART_CACHE", str(tmp_path / "a-file" / "below"))
    assert validated(root) == validated(root)
    monkeypatch.setenv("FEATURE_MART_CACHE", str(tmp_path / "folder"))
    file = memo_file(root.resolve())
    assert file is not None
    file.mkdir(parents=True)  # what is there cannot be read, nor replaced
    assert validated(root) == validated(root)
    assert list(file.parent.iterdir()) == [file]


def test_two_that_write_at_once_leave_a_whole_file(root: Path, cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from feature_mart.definitions import load_project; "
        "load_project(Path(sys.argv[1]), None, {})"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(root)]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(list(cache.iterdir())) == 1
    assert not parser_is_loaded(root)


def test_answers_that_nobody_asks_for_any_more_go(tmp_path: Path) -> None:
    file = tmp_path / "memo.json"
    first = SqlMemo(file)
    first.keep(("expression", "a"), {"columns": ["a"]})
    first.keep(("expression", "b"), {"columns": ["b"]})
    first.save()
    second = SqlMemo(file)
    assert second.recall(("expression", "a")) == {"columns": ["a"]}
    second.save()
    third = SqlMemo(file)
    assert third.recall(("expression", "a")) == {"columns": ["a"]}
    assert third.recall(("expression", "b")) is None


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"FEATURE_MART_CACHE": "off"}, None),
        ({"FEATURE_MART_CACHE": "/named"}, "/named"),
        ({"XDG_CACHE_HOME": "/xdg", "HOME": "/home/ada"}, "/xdg/feature_mart"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/feature_mart"),
    ],
)
def test_where_it_is_kept(variables: Mapping[str, str], folder: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FEATURE_MART_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = memo_file(Path("/mart"))
    assert (None if file is None else str(file.parent)) == folder
    assert file is None or file != memo_file(Path("/other"))

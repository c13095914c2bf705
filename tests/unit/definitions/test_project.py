"""The loaded mart: what it holds, how it is ordered, and what changes a definition's hash."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from subprocess import run

import pytest

import feature_mart.definitions as definitions
from feature_mart.definitions import Project, find_root, load_project
from feature_mart.definitions.fingerprint import normalised_python, normalised_sql
from feature_mart.definitions.graph import topological_order
from feature_mart.errors import UsageError

Load = Callable[..., Project]

SQL = "features/order_totals.sql"
PYTHON = "features/customer_value.py"
PIPELINE = "pipelines/daily.yml"
SOURCES = "metadata/sources.yml"


def test_what_the_mart_holds(load: Load) -> None:
    project = load()
    assert (project.environment, project.settings.mart) == ("local", "shop")
    assert list(project.views) == ["order_totals", "customer_value"]
    view = project.views["order_totals"]
    assert view.keys == {"customer_id": "bigint"}
    assert view.columns == ("customer_id", "ordered_at", "amount")
    assert view.reserved_columns == ("customer_id", "ordered_at")
    assert (view.owner, project.views["customer_value"].owner) == ("sales@example.com", "team@example.com")
    assert (view.definition.kind, view.definition.path, view.inputs) == ("sql", SQL, ("orders",))
    assert (view.file, view.line) == (PIPELINE, 6)
    amount = view.features["amount"]
    assert (amount.description, amount.unit, amount.type, amount.nullable, amount.line) == (
        "Sum of the order.",
        "GBP",
        "double",
        True,
        6,
    )
    assert view.metadata_of("amount") is amount
    assert view.metadata_of("nothing") is None
    assert project.pipelines["daily"].views == ("order_totals", "customer_value")
    assert project.services["churn"].views == ("customer_value", "order_totals")
    test = project.unit_tests["order_totals"].tests[0]
    assert test.interval == (datetime(2011, 1, 1, tzinfo=timezone.utc), datetime(2011, 1, 2, tzinfo=timezone.utc))
    assert test.given["orders"][0]["OrderedAt"] == "2011-01-01T10:00:00Z"


def test_what_depends_on_what(load: Load) -> None:
    project = load()
    assert project.producer("orders") is project.sources["orders"]
    assert project.producer("order_totals") is project.views["order_totals"]
    with pytest.raises(KeyError):
        project.producer("nothing")
    assert project.upstream("customer_value") == ("orders", "order_totals")
    assert project.upstream("orders") == ()
    assert project.downstream("orders") == ("order_totals", "customer_value")
    assert project.consumers("orders") == ("order_totals",)
    assert project.consumers("customer_value") == ()


def test_topological_order_with_ties_by_name() -> None:
    inputs = {"d": ["b", "c"], "c": ["a"], "b": ["a", "source"], "a": [], "e": []}
    assert topological_order(inputs) == (["a", "b", "c", "d", "e"], [])
    assert topological_order({"x": ["b"], "b": ["c"], "c": ["b"], "a": ["a"]}) == ([], [("a", "a"), ("b", "c", "b")])


def test_all_of_a_pipeline(load: Load, mart_files: Mapping[str, str]) -> None:
    more = """
    created_timestamp: loaded_at
    ttl: 365d
    available_after: created_timestamp
    materialize: {mode: interval, every: 1h, lookback: 2d, lookahead: 0d}
    freshness: 26h
    retention: 400d
    checks:
      - {unique: [customer_id, ordered_at]}
      - {row_count: {minimum: 1, maximum: 9}}
      - {row_count: {maximum: 9}, severity: warn}
      - {row_count_change: {maximum: 0.5}}
      - {null_share: {feature: amount, maximum: 0.1}}
      - {freshness: 2d}
      - {sql: "amount < 1e7", severity: quarantine}
    online: {features: [amount]}
    derived: {half: amount / 2, quarter: half / 2}
"""
    metadata = mart_files["metadata/feature_views/order_totals.yml"] + "  '*': {description: Anything else.}\n"
    sql = mart_files[SQL].replace("sum(Amount)", "max(OrderedAt) as loaded_at, sum(Amount)")
    project = load(
        {
            PIPELINE: mart_files[PIPELINE].replace(
                "    event_timestamp: ordered_at\n", f"    event_timestamp: ordered_at{more}", 1
            ),
            "metadata/feature_views/order_totals.yml": metadata,
            SQL: sql,
        }
    )
    view = project.views["order_totals"]
    assert [(check.kind, check.name, check.severity) for check in view.checks] == [
        ("unique", "unique(customer_id, ordered_at)", "error"),
        ("row_count", "row_count >= 1 and <= 9", "error"),
        ("row_count", "row_count <= 9", "warn"),
        ("row_count_change", "row_count_change <= 0.5", "error"),
        ("null_share", "null_share(amount) <= 0.1", "error"),
        ("freshness", "freshness <= 2d", "error"),
        ("sql", "sql: amount < 1e7", "quarantine"),
    ]
    assert (view.ttl, view.available_after, view.retention) == (
        timedelta(days=365),
        "created_timestamp",
        timedelta(days=400),
    )
    assert (view.materialize.mode, view.materialize.every, view.materialize.lookback) == (
        "interval",
        timedelta(hours=1),
        timedelta(days=2),
    )
    assert view.online == ("amount",)
    assert view.columns == ("customer_id", "ordered_at", "loaded_at", "amount", "half", "quarter")
    assert {name: entry.description for name, entry in view.features.items()} == {
        "amount": "Sum of the order.",
        "half": "Anything else.",
        "quarter": "Anything else.",
    }


def test_columns_that_only_a_build_knows(load: Load, mart_files: Mapping[str, str]) -> None:
    metadata = (
        "feature_view: customer_value\ndescription: x\nfeatures: {amount: {description: a}, 'n_*': {description: b}}\n"
    )
    code = mart_files[PYTHON].replace(
        '.select("customer_id", "ordered_at", "amount")', ".groupBy('customer_id').count()"
    )
    view = load({PYTHON: code, "metadata/feature_views/customer_value.yml": metadata}).views["customer_value"]
    assert view.columns is None
    assert list(view.features) == ["amount"]
    found = view.metadata_of("n_orders")
    assert found is not None
    assert (found.name, found.description) == ("n_*", "b")


def test_a_view_may_take_an_input_as_it_is(load: Load, mart_files: Mapping[str, str]) -> None:
    project = load(
        {
            PIPELINE: mart_files[PIPELINE].replace("definition: features/customer_value.py", "input: order_totals"),
            PYTHON: None,
        }
    )
    view = project.views["customer_value"]
    assert (view.definition.kind, view.definition.path, view.inputs) == ("input", None, ("order_totals",))
    assert view.columns == ("customer_id", "ordered_at", "amount")


SAME = {
    "comments and white space": (SQL, "select ", "-- all\n/* of /* it */ */ SELECT\n\n   "),
    "case of key words and functions": (SQL, "sum(Amount) as amount\nfrom", "SUM(Amount) AS amount\nFROM"),
    "the order of columns": (
        SQL,
        "select CustomerID as customer_id, OrderedAt as ordered_at",
        "select OrderedAt as ordered_at, CustomerID as customer_id",
    ),
    "a semicolon at the end": (SQL, "group by CustomerID, OrderedAt\n", "group by CustomerID, OrderedAt;\n"),
    "the owner": (PIPELINE, "team@example.com", "others@example.com"),
    "the schedule": (PIPELINE, "0 3 * * *", "0 4 * * *"),
    "checks, time to live and what goes online": (
        PIPELINE,
        "    event_timestamp: ordered_at\n",
        "    event_timestamp: ordered_at\n    ttl: 9d\n    online: true\n    checks: [{row_count: {minimum: 1}}]\n",
    ),
    "a description": ("metadata/feature_views/order_totals.yml", "Sum of the order.", "Something else."),
    "a type in other words": ("metadata/entities.yml", "bigint", "LONG"),
}
OTHER = {
    "logic": (SQL, "sum(Amount)", "max(Amount)"),
    "a text": (SQL, "'x'", "'X'"),
    "the type of a key": ("metadata/entities.yml", "bigint", "string"),
    "derived features": (PIPELINE, "ordered_at\n", "ordered_at\n    derived: {x: amount}\n"),
    "how it is made": (PIPELINE, "ordered_at\n", "ordered_at\n    materialize: {mode: interval}\n"),
    "the event timestamp": (PIPELINE, "event_timestamp: ordered_at", "event_timestamp: seen_at"),
    "the created timestamp": (PIPELINE, "ordered_at\n", "ordered_at\n    created_timestamp: seen_at\n"),
}


def changed(files: Mapping[str, str], change: tuple[str, str, str]) -> dict[str, str]:
    file, before, after = change
    assert before in files[file]
    return {file: files[file].replace(before, after, 1)}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_does_not_change_the_hash(change: tuple[str, str, str], load: Load, mart_files: Mapping[str, str]) -> None:
    before = load().views["order_totals"].definition_hash
    assert load(changed(mart_files, change)).views["order_totals"].definition_hash == before


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_changes_the_hash(change: tuple[str, str, str], load: Load, mart_files: Mapping[str, str]) -> None:
    more = "max(OrderedAt) as seen_at, max(case when OrderID = 'x' then 1 end) as x_id, sum(Amount)"
    files = {
        **mart_files,
        SQL: mart_files[SQL].replace("sum(Amount)", more),
        "metadata/feature_views/order_totals.yml": (
            "feature_view: order_totals\ndescription: x\nfeatures: {'*': {description: y}}\n"
        ),
    }
    before = load(files).views["order_totals"].definition_hash
    assert load({**files, **changed(files, change)}).views["order_totals"].definition_hash != before


def test_the_hash_is_the_same_in_every_version(load: Load) -> None:
    """Another value here means that every table is built anew: only for a reason, and in the changelog."""
    hashes = {name: view.definition_hash for name, view in load().views.items()}
    assert hashes == {
        "order_totals": "734ef2dafb4d860dc22d40645254d0debc2943fe7296b7d962923a86f45930aa",
        "customer_value": "54f4d3239e8e722478f039b394f371d1002d896562c1d47c7f4436ae931eeb65",
    }


def test_the_hash_of_python_follows_the_logic_alone(load: Load, mart_files: Mapping[str, str]) -> None:
    before = load().views["customer_value"].definition_hash
    code = mart_files[PYTHON]
    same = "\n# why\n" + code.replace("    return", '    """What it does."""\n\n    return').replace(
        '"amount"', "'amount'  # in GBP\n    "
    )
    assert load({PYTHON: same}).views["customer_value"].definition_hash == before
    assert load({PYTHON: code.replace("select", "distinct().select")}).views["customer_value"].definition_hash != before


def test_settings_of_an_environment_are_laid_over_the_base(load: Load, tmp_path: Path) -> None:
    base = "mart: shop\nwarehouse: tables/\nspark: {conf: {a: 1, b: true}}\n"
    project = load(
        {
            "conf/base.yml": base,
            "conf/prod.yml": (
                "catalog: main.shop\nonline_store: [redis://u:hunter2@a:1, redis://b:2]\n"
                "spark: {master: yarn, conf: {b: 2.5}}\n"
            ),
            "conf/empty.yml": "",
            "conf/uri.yml": "warehouse: s3a://bucket/x/\nonline_store: embedded\n",
        },
        "prod",
    )
    settings = project.settings
    assert (settings.warehouse, settings.warehouse_uri, settings.catalog) == (None, None, "main.shop")
    assert (settings.spark.master, settings.spark.conf) == ("yarn", {"a": "1", "b": "2.5"})
    assert settings.online_store.kind == "redis"
    assert [node.reveal() for node in settings.online_store.nodes] == ["redis://u:hunter2@a:1", "redis://b:2"]
    assert str(settings.online_store) == "redis://***@a:1, redis://b:2"
    assert "hunter2" not in repr(project)
    assert load_project(tmp_path, "empty", {}).settings.warehouse_uri == str(tmp_path / "tables")
    assert load_project(tmp_path, None, {"MART_ENV": "uri"}).settings.warehouse_uri == "s3a://bucket/x"
    assert str(load_project(tmp_path, None, {}).settings.online_store) == "embedded"


def test_passwords_do_not_show(load: Load, mart_files: Mapping[str, str]) -> None:
    sources = mart_files[SOURCES] + (
        "  bank:\n    description: x\n    format: jdbc\n"
        "    options: {url: '${URL}', dbtable: t, password: '${PASSWORD}'}\n"
        "  lake:\n    description: x\n    format: delta\n    path: https://u:hunter2@lake/x\n"
    )
    project = load({SOURCES: sources}, None, {"URL": "jdbc:x://u:hunter2@h", "PASSWORD": "hunter2"})
    assert project.sources["bank"].options["password"] == "hunter2"
    assert project.sources["lake"].shown_path == "https://***@lake/x"
    assert project.sources["bank"].shown_path is None
    assert "hunter2" not in repr(project)


def test_unknown_environments_are_named(write_mart: Callable[..., Path]) -> None:
    root = write_mart({"conf/prod.yml": "", "conf/test.yml": ""})
    with pytest.raises(UsageError) as raised:
        load_project(root, "prd", {})
    assert str(raised.value) == (
        "unknown environment 'prd' (from --env). Did you mean prod?\nknown: local, prod, test\n"
        "fix: name one of these, or write conf/prd.yml"
    )
    with pytest.raises(UsageError, match=r"unknown environment '../x' \(from MART_ENV\)\.\nknown: .*\n.*conf/NAME.yml"):
        load_project(root, None, {"MART_ENV": "../x"})
    with pytest.raises(UsageError, match="unknown environment 'base'"):
        load_project(root, "base", {})


def test_folders_that_are_no_mart(tmp_path: Path, write_mart: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"is no mart: there is no conf/base\.yml\.\nTo make one there: mart init "):
        load_project(tmp_path, None, {})
    with pytest.raises(UsageError, match=r"neither this folder nor one above it is a mart.*\n.*mart init DIR"):
        find_root(tmp_path)
    root = write_mart()
    assert find_root(root / "features") == root.resolve()
    assert find_root(root) == root.resolve()


def test_files_of_other_systems_are_left_alone(load: Load) -> None:
    others = {"metadata/.hidden.yml": "x", "pipelines/README.md": "x", "metadata/lineage/order_totals.yml": "x"}
    assert set(load(others).views) == set(load().views)


def test_a_mart_without_views(load: Load, mart_files: Mapping[str, str]) -> None:
    project = load({name: None for name in mart_files if name != "conf/base.yml"})
    assert (project.views, project.sources, project.pipelines) == ({}, {}, {})


def test_the_package_loads_nothing_by_itself() -> None:
    heavy = "pydantic sqlglot yaml pyspark"
    code = f"import sys, feature_mart.definitions; sys.exit(any(name in sys.modules for name in {heavy.split()!r}))"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
    assert all(hasattr(definitions, name) for name in definitions.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        definitions.nothing  # noqa: B018


def test_loading_leaves_the_collector_of_garbage_as_it_was(load: Load) -> None:
    load()
    assert gc.isenabled()
    gc.disable()
    try:
        load()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_view_made_of_two_that_are_made_of_one(load: Load, mart_files: Mapping[str, str]) -> None:
    code = "def transform(orders, order_totals):\n    return orders.select('customer_id', 'ordered_at', 'amount')\n"
    assert load({PYTHON: code}).downstream("orders") == ("order_totals", "customer_value")


def test_two_views_of_one_definition(load: Load, mart_files: Mapping[str, str]) -> None:
    pipeline = mart_files[PIPELINE].replace("features/customer_value.py", SQL).replace('"0 3 * * *"', '"@daily"')
    tests = mart_files["tests/mart/order_totals.yml"].replace("    interval: [2011-01-01, 2011-01-02]\n", "")
    project = load({PIPELINE: pipeline, PYTHON: None, "tests/mart/order_totals.yml": tests})
    assert project.views["customer_value"].definition is project.views["order_totals"].definition
    assert project.views["customer_value"].definition_hash == project.views["order_totals"].definition_hash
    assert project.pipelines["daily"].schedule == "@daily"
    assert project.unit_tests["order_totals"].tests[0].interval is None


def test_definitions_that_cannot_be_read(validate: Callable[..., definitions.Validation]) -> None:
    found = validate({SQL: b"select '\xff' as x"})
    assert [(problem.file, problem.message) for problem in found.errors] == [
        (SQL, "found byte 0xff, which is not UTF-8")
    ]


def test_pieces_of_texts_that_say_nothing() -> None:
    assert normalised_python("f'{a:{b}}'") == normalised_python("f'{a:{b}}' ''  # c")
    assert normalised_python("f('')") != normalised_python("f()")


def test_an_unfinished_comment_in_an_expression() -> None:
    assert normalised_sql("a /* b") == "a"
    assert normalised_sql("a /* b /* c */ d */ + 1") == "a + 1"
    assert normalised_sql('r\'\\d\' || `a``b` || "x""y"') == 'r\'\\d\' || `a``b` || "x""y"'

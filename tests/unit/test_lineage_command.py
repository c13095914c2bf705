"""`mart lineage` without Spark: what it prints, and what it ends with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from feature_mart import FeatureStore
from feature_mart.cli.main import main
from feature_mart.testing import write_files, write_tiny_mart

MART = Callable[..., Result]
TREE = """\
customer_orders:amount
└─ orders:amount  identity

which rows there are:
   customer_orders: all of its inputs

used by:
   (nothing in this mart)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_mart(tmp_path / "tiny")


@pytest.fixture
def mart(root: Path, monkeypatch: pytest.MonkeyPatch) -> MART:
    monkeypatch.chdir(root)
    monkeypatch.delenv("MART_ENV", raising=False)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["lineage", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_a_feature(mart: MART, root: Path) -> None:
    result = mart("customer_orders:amount")
    assert (result.exit_code, result.output) == (0, TREE)
    data = json.loads(mart("customer_orders:amount", "--json").output)
    assert data["edges"] == [{"from": "orders:amount", "to": "customer_orders:amount", "kinds": ["identity"]}]
    assert data == json.loads(mart("customer_orders:amount", "--format", "json").output)
    assert data == FeatureStore(root, variables={}).lineage("customer_orders:amount")


def test_into_a_file(mart: MART, root: Path) -> None:
    result = mart("customer_orders", "--format", "svg", "--output", "lineage.svg")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "wrote lineage.svg\n")
    assert (root / "lineage.svg").read_text(encoding="utf-8").startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert mart("customer_orders", "--format", "mermaid").output.startswith("flowchart LR\n")


def test_check_names_files_and_the_command(mart: MART) -> None:
    result = mart("--check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "metadata/lineage/customer_orders.yml is missing\nTo bring them up to date: mart lineage --write\n"
    )


def test_write_and_check_need_no_spark_for_sql(mart: MART, root: Path) -> None:
    loaded = "pyspark" in sys.modules
    result = mart("--write")
    assert (result.exit_code, result.output) == (
        0,
        "wrote metadata/lineage/customer_orders.yml\n1 view, 1 file changed\n",
    )
    assert mart("--check").output == "The lineage of 1 view is current.\n"
    write_files(root, {"metadata/lineage/gone.yml": "x"})
    assert mart("--write").output == "removed metadata/lineage/gone.yml\n1 view, 1 file changed\n"
    assert ("pyspark" in sys.modules) == loaded


@pytest.mark.parametrize("arguments", [(), ("customer_orders", "--check"), ("--write", "--check")])
def test_one_thing_at_a_time(mart: MART, arguments: tuple[str, ...]) -> None:
    result = mart(*arguments)
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: Name a view or VIEW:FEATURE, or give one of --write and --check. See `mart lineage --help`.\n"
    )


def test_a_source_has_no_lineage_of_its_own(mart: MART) -> None:
    result = mart("orders")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: orders is a source, where lineage begins. What is made from it: mart show orders\n",
    )


def test_an_unknown_name(mart: MART) -> None:
    result = mart("customer_order:amount")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: there is no feature view 'customer_order'. Did you mean customer_orders?\n")


def test_the_how_to_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(repository)
    monkeypatch.delenv("MART_ENV", raising=False)
    page = (repository / "docs/how-to/lineage.md").read_text(encoding="utf-8")
    for form in ("text", "mermaid"):
        subject = "customer_snapshot:recent_value_share"
        result = CliRunner().invoke(main, ["lineage", subject, "--format", form])
        assert f"```{form}\n{result.output}```" in page

"""The commands that need no Spark: what they print, and what they end with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from feature_mart.cli.command import selected
from feature_mart.cli.main import main
from feature_mart.testing import write_files, write_tiny_mart

MART = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_mart(tmp_path / "tiny")


@pytest.fixture
def mart(root: Path, monkeypatch: pytest.MonkeyPatch) -> MART:
    """Runs `mart` in the tiny mart's folder. What a command raises besides its exit is a failure of the test."""
    monkeypatch.chdir(root)
    monkeypatch.delenv("MART_ENV", raising=False)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return run


def break_it(root: Path) -> None:
    pipeline = (root / "pipelines/daily.yml").read_text()
    write_files(root, {"pipelines/daily.yml": pipeline.replace("owner:", "ownr:").replace("[customer]", "[custmer]")})


def test_help_names_every_command(mart: MART) -> None:
    result = mart("--help")
    assert result.exit_code == 0
    for name in ("init", "validate", "test", "build", "list", "show", "history", "query", "schema", "doctor"):
        assert f"  {name} " in result.output
        assert mart(name, "--help").exit_code == 0


def test_a_misspelt_command_is_guessed(mart: MART) -> None:
    result = mart("bulid")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: There is no command 'bulid'. Did you mean build?\n")


def test_what_comes_after_init_can_be_copied(mart: MART, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert mart("init", "my mart").stdout.endswith(
        "\nNext:\n  cd 'my mart'\n  mart validate\n  mart build\n  mart list\n"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    command = Path(sys.executable).parent / "mart"
    assert f"\n  {command} validate\n" in mart("init", "two").stdout


def test_validate(mart: MART, root: Path) -> None:
    result = mart("validate")
    assert (result.exit_code, result.output) == (0, "1 view, 1 source, 1 pipeline: 0 errors, 0 warnings\n")
    assert json.loads(mart("validate", "--json").output) == {"errors": [], "warnings": []}


def test_validate_tells_all_problems_and_ends_with_2(mart: MART, root: Path) -> None:
    break_it(root)
    result = mart("validate")
    assert result.exit_code == 2
    assert "pipelines/daily.yml:3" in result.output
    assert "owner" in result.output
    assert "customer" in result.output
    as_json = mart("validate", "--json")
    assert as_json.exit_code == 2
    problems = json.loads(as_json.output)["errors"]
    assert {problem["file"] for problem in problems} == {"pipelines/daily.yml"}
    assert {"file", "line", "key", "found", "allowed", "nearest", "fix", "message", "severity"} <= set(problems[0])
    nearest = [next(p["nearest"] for p in problems if wrong in str(p)) for wrong in ("ownr", "custmer")]
    assert nearest == ["owner", "customer"]


@pytest.mark.parametrize("command", [("list",), ("show", "customer_orders"), ("history", "orders"), ("build",)])
def test_wrong_definitions_end_every_command_with_2(mart: MART, root: Path, command: tuple[str, ...]) -> None:
    break_it(root)
    result = mart(*command)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "pipelines/daily.yml" in result.stderr
    assert result.stdout == ""


def test_list(mart: MART) -> None:
    everything = json.loads(mart("list", "--json").output)
    assert {(entry["kind"], entry["name"]) for entry in everything} >= {
        ("feature_view", "customer_orders"),
        ("source", "orders"),
    }
    first = json.loads(mart("list", "customer_orders", "--json").output)[0]
    assert first["name"] == "customer_orders"
    assert {"kind", "name", "description", "owner"} <= set(first)
    table = mart("list", "orders")
    assert table.exit_code == 0
    assert "customer_orders" in table.output
    nothing = mart("list", "nothing-like-it").output
    assert nothing == "Nothing matches 'nothing-like-it'. `mart list` shows everything.\n"
    assert json.loads(mart("list", "nothing-like-it", "--json").output) == []


def test_show(mart: MART) -> None:
    described = json.loads(mart("show", "customer_orders", "--json").output)
    assert described["name"] == "customer_orders"
    assert described["owner"] == "growth@example.com"
    feature = mart("show", "customer_orders:amount")
    assert feature.exit_code == 0
    assert "GBP" in feature.output
    assert mart("show", "orders").exit_code == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("show", "customer_orderz"), "customer_orders"),
        (("show", "customer_orders:amnt"), "amount"),
        (("history", "nothing"), "there is no view or source 'nothing'. Known: customer_orders, orders."),
        (
            ("history", "order"),
            "Error: there is no view or source 'order'. Known: customer_orders, orders. Did you mean orders?\n",
        ),
        (
            ("history", "order__quarantine"),
            "Error: there is no view or source 'order__quarantine'. Known: customer_orders, orders. "
            "Did you mean orders?\n",
        ),
        (("build", "nightly"), "Error: there is no pipeline 'nightly'. Known: daily.\n"),
        (("build", "dayly"), "Error: there is no pipeline 'dayly'. Known: daily. Did you mean daily?\n"),
        (
            ("build", "customer_orders"),
            "Error: there is no pipeline 'customer_orders'. Known: daily. "
            "It is a feature view: write daily --select customer_orders\n",
        ),
        (
            ("build", "--select", "customer_order"),
            "Error: there is no view 'customer_order' to select. Known: customer_orders. "
            "Did you mean customer_orders?\n",
        ),
        (
            ("test", "customer_order"),
            "Error: there is no view 'customer_order'. Known: customer_orders. Did you mean customer_orders?\n",
        ),
        (
            ("query", "select 1 from orders", "--version", "order=1"),
            "Error: --version names order, which the query does not read. It reads: orders. Did you mean orders?\n",
        ),
        (
            ("query", "select 1 from order_s"),
            "Error: there is no view or source 'order_s'. Known: customer_orders, mart_runs, orders. "
            "Did you mean orders?\n",
        ),
        (("build", "--select", "nothing"), "there is no view 'nothing' to select. Known: customer_orders."),
        (("build", "--start", "2011-01-02", "--end", "2011-01-01"), "--start must be before --end."),
        (("build", "--start", "tomorrow"), "'tomorrow' is no moment. Write ISO 8601"),
        (("build", "--parallel", "2"), "--parallel 2: it says how many chunks are computed at a time"),
        (("build", "--chunk", "30 days"), "--chunk '30 days' is no duration. Write a number and a unit"),
        (("query", "select 1 from orders", "--version", "orders=x"), "--version 'orders=x': write NAME=NUMBER"),
        (("query", "select 1 from orders", "--version", "customer_orders=1"), "which the query does not read"),
        (("query", "select 1 from nothing"), "there is no view or source 'nothing'"),
        (("query", "select 1 from orders; select 2"), "the query must be one SELECT"),
        (("query", "delete from orders"), "the query must be one SELECT"),
        (("query", "selec 1"), "the query"),
        (("query", "select * from orders", "--output", "a.xlsx"), "the file must end in .csv, .parquet, .json"),
        (("query", "no-such-file.sql"), "no-such-file.sql cannot be read: No such file"),
        (("query", "select 1 from orders", "--as-of", "noon"), "'noon' is no moment"),
        (("schema", "nothing"), "there is no kind of file 'nothing'. Known: "),
        (("list", "--env", "nowhere"), "nowhere"),
        (("--env", "nowhere", "validate"), "nowhere"),
        (("--mart", "no-such-folder", "list"), "no-such-folder"),
        (("test", "nothing"), "nothing"),
        (("sample-data", "--customers", "0"), "--customers"),
        (("nosuchcommand",), "nosuchcommand"),
        (("build", "--nosuchoption"), "--nosuchoption"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_command_ends_with_2_and_says_why(
    mart: MART, command: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feature_mart.delta.lazy import LazySession

    def no_spark(self: LazySession) -> None:
        raise AssertionError("a wrong command must not start Spark")

    monkeypatch.setattr(LazySession, "__call__", no_spark)
    result = mart(*command)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_what_is_not_built_yet_ends_with_1(mart: MART) -> None:
    result = mart("history", "customer_orders")
    assert result.exit_code == 1
    assert result.stderr == "Error: customer_orders has no versions yet: it has not been built. Run `mart build`.\n"


def test_schema(mart: MART, root: Path) -> None:
    schemas = json.loads(mart("schema").output)
    assert all("$schema" in schema for schema in schemas.values())
    kind = next(iter(schemas))
    assert json.loads(mart("schema", kind).output) == schemas[kind]
    assert mart("schema", "--check").exit_code == 1
    assert mart("schema", "--write").exit_code == 0
    assert mart("schema", "--check").exit_code == 0
    assert list((root / "conf/schemas").iterdir())


def test_init_writes_a_mart_that_is_valid_and_overwrites_nothing(
    mart: MART, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mart("init", "cafe").exit_code == 0
    assert mart("--mart", "cafe", "validate").exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    again = mart("init", "cafe")
    assert again.exit_code == 2
    assert "cafe" in again.stderr
    (tmp_path / "a-file").write_text("")
    assert mart("init", "a-file").exit_code == 2
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "a-file"])


def test_outside_of_a_mart(mart: MART, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (("validate",), ("list",), ("show", "orders"), ("history", "orders"), ("build",), ("test",)):
        result = mart(*command)
        assert result.exit_code == 2
        assert "conf/base.yml" in result.stderr


def test_a_mart_is_found_from_a_folder_below_it(mart: MART, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "features")
    assert mart("validate").exit_code == 0


def test_the_environment_comes_from_its_variable_and_the_option_wins(
    mart: MART, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(root, {"conf/prod.yml": "warehouse: elsewhere\n"})
    monkeypatch.setenv("MART_ENV", "nowhere")
    assert mart("validate").exit_code == 2
    assert mart("validate", "--env", "prod").exit_code == 0
    assert mart("--env", "prod", "validate").exit_code == 0


def test_an_unset_variable_is_named(mart: MART, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    write_files(root, {"conf/base.yml": "mart: tiny\nwarehouse: ${NO_SUCH_VARIABLE}\nonline_store: embedded\n"})
    result = mart("list")
    assert result.exit_code == 2
    assert "NO_SUCH_VARIABLE" in result.stderr


def test_counts_are_spoken_as_people_do(mart: MART, root: Path) -> None:
    write_files(root, {"features/unused.sql": "select 1 as a from orders\n"})
    assert mart("validate").output.endswith("\n1 view, 1 source, 1 pipeline: 0 errors, 1 warning\n")
    write_files(root, {"features/unused_too.sql": "select 1 as a from orders\n", "metadata/source.yml": ""})
    assert mart("validate").output.endswith("\n1 error, 2 warnings\n")


@pytest.mark.parametrize("command", [("--help",), ("validate",), ("list",), ("show", "orders"), ("history", "orders")])
def test_commands_that_only_read_definitions_and_logs_do_not_load_spark(root: Path, command: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from feature_mart.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    print([name for name in ('pyspark', 'pandas', 'pyarrow') if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=root, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("select", "arguments", "expected"),
    [
        ([], ["daily"], ([], ("daily",))),
        (["a"], ["daily"], (["a"], ("daily",))),
        (["a,b"], [], (["a", "b"], ())),
        (["a"], ["b", "daily"], (["a", "b"], ("daily",))),
        ([], ["b"], ([], ("b",))),
    ],
)
def test_select_names_views_in_each_way_of_writing_it(
    select: list[str], arguments: list[str], expected: tuple[list[str], tuple[str, ...]]
) -> None:
    assert selected(select, arguments, {"a", "b"}) == expected


def test_a_selected_view_of_another_pipeline_names_that_one(mart: MART, root: Path) -> None:
    weekly = """
        pipeline: weekly
        description: Orders, again.
        owner: growth@example.com
        feature_views:
          - {name: orders_again, input: customer_orders, entities: [customer], event_timestamp: ordered_at}
        """
    described = """
        feature_view: orders_again
        description: What a customer ordered.
        features: {order_no: {description: Its number.}, amount: {description: Its value.}}
        """
    write_files(root, {"pipelines/weekly.yml": weekly, "metadata/feature_views/orders_again.yml": described})
    result = mart("plan", "daily", "--select", "orders_again")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: view orders_again is built by the pipeline weekly, which is not among those named. "
        "Write: mart build weekly --select orders_again\n"
    )

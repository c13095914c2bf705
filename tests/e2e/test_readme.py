"""The README's walk, taken from the README itself: its files are written, its commands run, its outputs compared."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from feature_mart.cli.main import main as mart
from feature_mart.sample import write_sample

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALK = README.partition("\n## A first feature")[2].partition("\n## ")[0]
TRAINING = README.partition("\n## A training set")[2].partition("\n## ")[0]
MISTAKES = README.partition("\n## Three mistakes")[2].partition("\n## ")[0]
LOGIC = "features/retail/customer_basket.sql"
PIPELINE = "pipelines/retail_daily.yml"
# What the text above each block says in words.
SLIPS = [
    (LOGIC, "from invoice_totals", "from invoice_total"),
    (PIPELINE, "event_timestamp: basket_day", "event_timestmap: basket_day"),
    (LOGIC, "as mean_item_count", "as mean_items"),
]


def files_of_the_walk() -> dict[str, str]:
    """Each file that the walk names in bold-faced steps, with the block below it."""
    found = re.findall(
        r"^\*\*\d\. [^`]*`([^`]+)`[^\n]*(?:\n[^`\n]+)*\n\n```\w+\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL
    )
    return dict(found)


def commands_of_the_walk() -> list[tuple[str, str]]:
    """Each command of the walk with the output that is shown below it."""
    block = re.findall(r"^```console\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)[0]
    return [tuple(part.split("\n", 1)) for part in re.split(r"^\$ mart ", block, flags=re.MULTILINE)[1:]]


def plain(output: str) -> list[str]:
    """An output without what differs from run to run: blank lines, times, and whether Spark had to be started."""
    lines = [re.sub(r"\([\d.]+ s\)", "(… s)", line.strip()) for line in output.splitlines()]
    return [line for line in lines if line and not re.match(r"! spark +starting", line)]


@pytest.fixture(scope="module")
def walked(reference_mart: Callable[[], Path]) -> Path:
    """The reference mart with the walk's four files in it: the pipeline's part at the end of its file."""
    folder = reference_mart()
    files = files_of_the_walk()
    assert [Path(name).parts[0] for name in files] == ["features", "pipelines", "metadata", "tests"]
    for name, text in files.items():
        path = folder / name
        assert path.exists() == (name == PIPELINE), f"{name}: only the pipeline is there before"
        before = path.read_text(encoding="utf-8") + "\n" if path.exists() else ""
        path.write_text(before + text, encoding="utf-8")
    return folder


@pytest.fixture
def at_home(walked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In that folder, with nothing of the caller's environment that a mart would read."""
    monkeypatch.chdir(walked)
    for name in ("MART_ENV", "RETAIL_DATA", "PAYMENTS_DATA"):
        monkeypatch.delenv(name, raising=False)
    return walked


@pytest.mark.parametrize("number", range(len(SLIPS)), ids=["unknown input", "misspelt key", "undescribed feature"])
def test_a_mistake_is_shown_as_the_readme_shows_it(at_home: Path, number: int) -> None:
    name, right, wrong = SLIPS[number]
    shown = re.findall(r"^```text\n(.*?)^```", MISTAKES, re.MULTILINE | re.DOTALL)
    assert len(shown) == len(SLIPS)
    path = at_home / name
    before = path.read_text(encoding="utf-8")
    assert right in before
    path.write_text(before.replace(right, wrong), encoding="utf-8")
    try:
        result = CliRunner().invoke(mart, ["validate"])
    finally:
        path.write_text(before, encoding="utf-8")
    assert result.exit_code == 2
    assert shown[number] in result.output


def test_the_walk_and_its_training_set_give_what_the_readme_shows(
    started_spark: SparkSession, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The demo's data, and of its tables the one that the walk reads.
    write_sample(at_home / "data")
    begun = CliRunner().invoke(mart, ["build", "retail_daily", "--select", "invoice_totals"])
    assert begun.exit_code == 0, begun.output
    commands = commands_of_the_walk()
    assert [command.split()[0] for command, _ in commands] == ["validate", "test", "build", "query"]
    for command, shown in commands:
        result = CliRunner().invoke(mart, shlex.split(command))
        assert result.exit_code == 0, f"mart {command}\n{result.output}"
        assert plain(result.output) == plain(shown), f"mart {command}"
    (code,) = re.findall(r"^```python\n(.*?)^```", TRAINING, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```", TRAINING, re.MULTILINE | re.DOTALL)
    capsys.readouterr()
    exec(code, {})
    assert plain(capsys.readouterr().out) == plain(shown)
    verified = CliRunner().invoke(mart, ["training-set", "verify", "baskets"])
    assert verified.exit_code == 0, verified.output


def test_the_same_view_in_python_passes_the_same_test(started_spark: SparkSession, at_home: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-view.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    pipeline = at_home / PIPELINE
    before = pipeline.read_text(encoding="utf-8")
    in_python = LOGIC.replace(".sql", ".py")
    (at_home / in_python).write_text(code, encoding="utf-8")
    pipeline.write_text(before.replace(LOGIC, in_python), encoding="utf-8")
    try:
        for arguments in (["validate"], ["test", "customer_basket"]):
            result = CliRunner().invoke(mart, arguments)
            assert result.exit_code == 0, result.output
    finally:
        pipeline.write_text(before, encoding="utf-8")
        (at_home / in_python).unlink()

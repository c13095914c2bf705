"""The documentation says what is: links lead somewhere, snippets parse, commands and options exist."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import sqlglot
import yaml

from feature_mart import FeatureStore
from feature_mart.cli.main import main as mart

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# Commands that are to come: they may be spoken of, and stand in no block.
LATER = {"optimize", "plan", "sync"}
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?mart (\S.*)$")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[2], found[3])


def where(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def without_fences(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_fences(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[tuple[str, bool]]:
    """Each `mart …` of a page, and whether it is a whole one, as in a block, and no mere mention."""
    for block in blocks(page):
        if block.language in ("sh", "console", "text", ""):
            for line in block.text.splitlines():
                if found := COMMAND.match(line.strip()):
                    yield found[1], block.language in ("sh", "console")
    for span in re.findall(r"`([^`\n]+)`", without_fences(page)):
        if found := COMMAND.match(span):
            yield found[1], False


ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
ALL_COMMANDS = sorted({(page, text, whole) for page in PAGES for text, whole in commands(page)})


def test_the_reference_is_current() -> None:
    command = [sys.executable, "scripts/write_reference.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_reference_names_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for name in mart.list_commands(click.Context(mart)):
        assert f"\n## mart {name}\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    for link in LINK.findall(without_fences(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=where)
def test_every_snippet_parses(block: Block) -> None:
    if block.language == "yaml":
        assert yaml.safe_load(block.text) is not None
    elif block.language == "sql":
        assert len(sqlglot.parse(block.text, dialect="spark")) == 1
    elif block.language == "python":
        ast.parse(block.text)
    else:
        assert block.language in ("sh", "console", "text", "mermaid", ""), "unknown language: nothing checks it"


@pytest.mark.parametrize(("page", "text", "whole"), ALL_COMMANDS, ids=lambda value: getattr(value, "name", str(value)))
def test_every_command_is_one(page: Path, text: str, whole: bool) -> None:
    name, *arguments = shlex.split(text.replace("[OPTIONS]", ""), comments=True)
    if (name in LATER and not whole) or name.startswith("-"):
        return
    context = click.Context(mart, info_name="mart")
    command = mart.get_command(context, name)
    assert command is not None, f"there is no command {name}"
    while isinstance(command, click.Group) and arguments:
        context = click.Context(command, info_name=name, parent=context)
        name, *arguments = arguments
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {context.command_path} {name}"
    try:
        command.make_context(name, arguments, parent=context)
    except click.MissingParameter:
        assert not whole, "an argument is missing"


@pytest.mark.parametrize("block", [block for block in ALL_BLOCKS if block.language == "python"], ids=where)
def test_the_store_has_the_methods_that_are_called(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "store"
        ):
            method = inspect.signature(getattr(FeatureStore, node.func.attr))
            named = {keyword.arg: None for keyword in node.keywords if keyword.arg is not None}
            method.bind(None, *node.args, **named)


def test_commands_and_snippets_are_found() -> None:
    # Were the patterns above to match nothing, all would be well.
    readme = [text for page, text, whole in ALL_COMMANDS if page.name == "README.md" and whole]
    assert any(text.startswith("build retail_daily --select") for text in readme)
    assert {"yaml", "sql", "python", "console"} <= {block.language for block in ALL_BLOCKS}

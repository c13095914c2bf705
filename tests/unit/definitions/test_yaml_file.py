from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_mart.definitions import yaml_file
from feature_mart.definitions.problems import Problems
from feature_mart.definitions.yaml_file import (
    Document,
    LayeredDocument,
    dotted,
    merged,
    read_document,
    read_text,
)
from feature_mart.definitions.yaml_syntax import CLOSE, COLON, INDENT, QUOTE, QUOTES


def read(
    tmp_path: Path, text: str | bytes, variables: dict[str, str] | None = None
) -> tuple[Document | None, list[str]]:
    path = tmp_path / "x.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems = Problems()
    document = read_document(path, "x.yml", problems, variables)
    return document, [problem.text() for problem in problems.errors()]


def data(tmp_path: Path, text: str | bytes, variables: dict[str, str] | None = None) -> Any:
    document, problems = read(tmp_path, text, variables)
    assert problems == []
    assert document is not None
    return document.data


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e7", 1e7),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.5E-3", -0.0015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        *[
            (text, text)
            for text in (
                "yes",
                "no",
                "on",
                "off",
                "y",
                "2011-01-01",
                "2011-01-01T10:00:00Z",
                "12:30:45",
                "1_000",
                "0b1",
            )
        ],
        *[(text, text) for text in ("1d", "-x", ".", "+", "tRue", "0x", "1e")],
        ("'true'", "true"),
        ('"12"', "12"),
        ("'${X}'", "${X}"),
    ],
)
def test_values_by_the_core_schema(tmp_path: Path, written: str, value: object) -> None:
    assert data(tmp_path, f"a: {written}\n") == {"a": value}


def test_integers_that_no_machine_holds_stay_text(tmp_path: Path) -> None:
    assert data(tmp_path, f"a: {'9' * 5000}\n") == {"a": "9" * 5000}


def test_not_a_number(tmp_path: Path) -> None:
    assert math.isnan(data(tmp_path, "a: .nan\n")["a"])


def test_keys_are_always_text(tmp_path: Path) -> None:
    assert data(tmp_path, "1: a\ntrue: b\nnull: c\n2011-01-01: d\n") == {
        "1": "a",
        "true": "b",
        "null": "c",
        "2011-01-01": "d",
    }


def test_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    assert data(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\n") == {"a": 1, "b": "x\ny\n"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_empty_files(tmp_path: Path, text: str) -> None:
    assert data(tmp_path, text) is None


def test_aliases_stand_for_what_they_name(tmp_path: Path) -> None:
    assert data(tmp_path, "a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "x.yml:2  a\n  the key 'a' stands here twice, first in line 1\n  fix: keep one of the two"),
        ("a:\n\tb: 1\n", "x.yml:2\n  found a tab in the indentation\n  allowed: spaces\n  fix: indent by spaces"),
        (
            "a: 1\n---\nb: 2\n",
            "x.yml:2\n  found a second document\n  found: ---\n  allowed: one document per file\n  fix: split the file",
        ),
        (
            "a: x: y",
            "x.yml:1\n  is no valid YAML: mapping values are not allowed in this context\n"
            f"  found: a: x: y\n  fix: {QUOTES}",
        ),
        (
            "a: [1\nb: 2",
            f"x.yml:2\n  is no valid YAML: did not find expected ',' or ']'\n  found: b: 2\n  fix: {CLOSE}",
        ),
        (
            "a:\n  - b: 1\n    c: 2\n   d: 3\n",
            f"x.yml:4\n  is no valid YAML: did not find expected '-' indicator\n  found: d: 3\n  fix: {INDENT}",
        ),
        (
            "a: 1\nb 2\nc: 3\n",
            f"x.yml:3\n  is no valid YAML: could not find expected ':'\n  found: c: 3\n  fix: {COLON}",
        ),
        (
            'a: 1\nb: "x\nc: 3\n',
            f'x.yml:2\n  is no valid YAML: found unexpected end of stream\n  found: b: "x\n  fix: {QUOTE}',
        ),
        ("a: *x\n", f"x.yml:1\n  is no valid YAML: found undefined alias\n  found: a: *x\n  fix: {QUOTES}"),
        ("ok: 1\na: \x00b", "x.yml:2\n  found a control character\n  allowed: printable text\n  fix: remove it"),
        (
            b"a: 1\nb: \xff\n",
            "x.yml:2\n  found byte 0xff, which is not UTF-8\n  allowed: UTF-8 text\n  fix: save the file as UTF-8",
        ),
        ("a: !!int 5\n", "x.yml:1  a\n  found the tag !!int\n  allowed: values without tags\n  fix: remove !!int"),
        ("a: !x {b: 1}\n", "x.yml:1  a\n  found the tag !x\n  allowed: values without tags\n  fix: remove !x"),
        (
            "? [a, b]\n: 1\n",
            "x.yml:1\n  found a map or list as a key\n  allowed: a text\n  fix: write the key as a text",
        ),
        ("a: &x [*x]", "x.yml:1\n  the file nests too deep, or contains itself by an alias\n  fix: write it flat"),
    ],
)
def test_what_is_told(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert read(tmp_path, text)[1] == [told]


def test_files_that_blow_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "MOST_NODES", 50)
    bomb = "a: &a [1, 1, 1, 1]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n"
    (told,) = read(tmp_path, bomb)[1]
    assert "too large once its aliases are written out" in told


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    problems = Problems()
    assert read_text(tmp_path, "x.yml", problems) is None
    assert problems.errors()[0].text().startswith("x.yml\n  cannot be read: ")


def test_variables(tmp_path: Path) -> None:
    text = "a: ${N}\nb: '${N}'\nc: ${UNSET:-4}\nd: x-${N}-$$\ne: ['${EMPTY:-yes}', $x]\n"
    found = data(tmp_path, text, {"N": "5", "EMPTY": ""})
    assert found == {"a": 5, "b": "5", "c": 4, "d": "x-5-$", "e": ["yes", "$x"]}


def test_unset_variables_are_named_and_never_a_value(tmp_path: Path) -> None:
    document, told = read(tmp_path, "a: ${SECRET}${UNSET}\nb: ${\n", {"SECRET": "hunter2"})
    assert told == [
        "x.yml:1  a\n  found ${SECRET}${UNSET}, which needs the environment variable UNSET, which is not set\n"
        "  allowed: ${VAR} or ${VAR:-default}; $$ stands for one $\n  fix: set UNSET, or give a default: ${UNSET:-…}",
        "x.yml:2  b\n  found ${, which has a ${ that names no variable\n"
        "  allowed: ${VAR} or ${VAR:-default}; $$ stands for one $\n  "
        "fix: close the brace, or write $${ for a plain ${",
    ]
    assert document is not None
    assert document.unfilled == {("a",), ("b",)}


def test_places_and_what_is_written(tmp_path: Path) -> None:
    document, _ = read(
        tmp_path, "a:\n  - b: redis://u:p@h\n    c: {d: 'x', e: }\n  - []\n  - {}\n  - {a: 1, b: 2, c: 3, d: 4, e: 5}\n"
    )
    assert document is not None
    assert document.place(("a", 0, "c", "d")) == ("x.yml", 3)
    assert document.place(("a", 0, "c", "nowhere", 7)) == ("x.yml", 3)
    assert document.place(("a", 9)) == ("x.yml", 1)
    assert document.lines(("a", 0)) == {"b": 2, "c": 3}
    assert document.lines(("a", 1)) == {}
    assert document.written(("a", 0, "b")) == "redis://***@h"
    assert document.written(("a", 0, "c", "d")) == "'x'"
    assert document.written(("a", 0, "c", "e")) == "nothing"
    assert document.written(("a", 0)) == "a map (b, c)"
    assert document.written(("a", 1)) == "an empty list"
    assert document.written(("a", 2)) == "an empty map"
    assert document.written(("a", 3)) == "a map (a, b, c, d, …)"
    assert document.written(("a",)) == "a list of 4"
    assert document.written(("b",)) is None
    assert not document.has(("b",))


def test_an_empty_document_stands_in_line_one() -> None:
    assert Document("x.yml", None, None).place(("a",)) == ("x.yml", 1)


def test_layers(tmp_path: Path) -> None:
    base, _ = read(tmp_path, "a: {b: 1, c: 2}\nd: 3\n")
    over, _ = read(tmp_path, "\n\na: {c: 4, e: 5}\n")
    assert base is not None and over is not None
    over.file = "over.yml"
    both = LayeredDocument(base, over)
    assert both.data == {"a": {"b": 1, "c": 4, "e": 5}, "d": 3}
    assert both.place(("a", "b")) == ("x.yml", 1)
    assert both.place(("a", "c")) == ("over.yml", 3)
    assert both.place(("z",)) == ("over.yml", 3)
    assert (both.written(("a", "c")), both.written(("d",)), both.written(("z",))) == ("4", "3", None)
    assert merged({"a": [1]}, {"a": [2]}) == {"a": [2]}


def test_dotted() -> None:
    assert dotted(("feature_views", 0, "derived", "a b")) == "feature_views[0].derived.'a b'"
    assert dotted(("order_value_*",)) == "order_value_*"
    assert dotted(()) == ""


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), plain, min_size=1, max_size=5))
def test_what_json_says_is_read_alike_and_every_part_knows_its_line(
    tmp_path_factory: Any, value: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "x.yml"
    text = "".join(f"{json.dumps(key)}: {json.dumps(part, ensure_ascii=False)}\n" for key, part in value.items())
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    document = read_document(path, "x.yml", problems)
    assert document is not None
    assert problems.errors() == ()
    assert document.data == value
    assert [document.place((key,))[1] for key in value] == list(range(1, len(value) + 1))


def test_without_the_c_parser_the_nodes_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml._yaml", None)
    spec = importlib.util.spec_from_file_location("slower_yaml_file", yaml_file.__file__)
    assert spec is not None and spec.loader is not None
    slower = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slower)
    assert slower.CParser is None
    text = "a: &x [1, yes, '2', 2011-01-01]\nb: {c: ~, d: *x}\ne: |\n  f\n"
    path = tmp_path / "x.yml"
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    document = slower.read_document(path, "x.yml", problems)
    assert problems.errors() == ()
    assert document.data == data(tmp_path, text)
    assert document.place(("b", "d")) == ("x.yml", 2)
    path.write_text("a: !!int 5\n", encoding="utf-8")
    slower.read_document(path, "x.yml", problems)
    assert [problem.message for problem in problems.errors()] == ["found the tag !!int"]


@pytest.mark.parametrize("text", ["[" * 200_000 + "]" * 200_000, "{a: " * 101, "- " * 200_000, "? " * 200_000])
def test_files_that_nest_too_deep(tmp_path: Path, text: str) -> None:
    told = "x.yml:1\n  the file nests too deep, or contains itself by an alias\n  fix: write it flat"
    assert read(tmp_path, text)[1] == [told]


def test_many_brackets_side_by_side(tmp_path: Path) -> None:
    assert data(tmp_path, f"a: [{'{b: [1]}, ' * 200}]\n") == {"a": [{"b": [1]}] * 200}

"""What `mart explain` prints: a long definition is folded, and rows are read on a narrow terminal too."""

from __future__ import annotations

from typing import Any

import pytest

from feature_mart.cli import command
from feature_mart.cli.versions import _print_explained

LONG = "\n".join(f"line {number}" for number in range(1, 21))
ROW = {"InvoiceNo": "536365", "Description": "WHITE HANGING HEART", "Quantity": 6}


def explained(text: str = LONG, **written: Any) -> dict[str, Any]:
    git = {"git_commit": "efd5aa930b77", "git_dirty": False, **written}
    return {
        "feature": "totals:value",
        "key": {"customer_id": 7},
        "event_timestamp": None,
        "value": "1.5",
        "version": 3,
        "ties": 0,
        "restored_by": [],
        "written_by": {
            "version": 1,
            "timestamp": "2026-11-24T01:20:38Z",
            "run_id": "6e18d5f2ad",
            "definition_hash": "ffaf0c11aa",
            "definition": {"path": "features/totals.sql", "text": text},
            **git,
        },
        "inputs": [
            {"name": "lines", "version": 1, "match": "exact", "why": "its group", "count": 2, "rows": [ROW, ROW]}
        ],
    }


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ({}, "git show efd5aa930b:./features/totals.sql"),
        ({"git_dirty": True}, "--json"),
        ({"git_commit": None}, "--json"),
    ],
)
def test_a_long_definition_is_folded(capsys: pytest.CaptureFixture[str], written: dict[str, Any], where: str) -> None:
    _print_explained(explained(**written))
    printed = capsys.readouterr().out.splitlines()
    assert printed[3:5] == ["definition features/totals.sql:", "  line 1"]
    assert printed[14:18] == [
        "  line 11",
        f"  … 9 more lines: {where}",
        "input lines, version 1: 2 rows, exact:",
        "  its group",
    ]


def test_a_definition_of_a_few_lines_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    _print_explained(explained("\n".join(LONG.splitlines()[:12])))
    assert capsys.readouterr().out.splitlines()[15] == "  line 12"


def test_rows_that_a_table_has_no_room_for_are_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _print_explained(explained())
    assert " 536365      WHITE HANGING HEART   6" in capsys.readouterr().out
    monkeypatch.setattr(command, "_FILE_WIDTH", 40)
    _print_explained(explained())
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  - InvoiceNo=536365, Description=WHITE",
        "    HANGING HEART, Quantity=6",
    ]

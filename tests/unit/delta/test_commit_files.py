"""What a log's files tell: which versions there are, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_mart.delta.commit_files import commit_versions, damage


@pytest.mark.parametrize(
    ("versions", "expected", "said"),
    [
        ((0, 1, 2), [2, 1, 0], None),
        ((3, 4), [4, 3], None),  # what was before stands in a checkpoint
        ((0, 2, 3), None, "00000000000000000001.json is missing between others"),
        ((), None, None),
    ],
)
def test_commits_are_found_by_their_names(
    tmp_path: Path, versions: tuple[int, ...], expected: list[int] | None, said: str | None
) -> None:
    names = [f"{version:020}.json" for version in versions]
    for name in [*names, "_last_checkpoint", "00000000000000000007.checkpoint.parquet", "7.json", ".x.json.tmp"]:
        (tmp_path / name).write_text("{}\n")
    found = commit_versions(tmp_path)
    assert (None if found is None else list(found)) == expected
    assert damage(tmp_path) == said


def test_without_a_folder_nothing_is_found(tmp_path: Path) -> None:
    assert commit_versions(tmp_path / "no") is None
    assert damage(tmp_path / "no") is None


@pytest.mark.parametrize(("content", "said"), [("", "empty"), ('{"add": {', "cut off, or no JSON")])
def test_the_newest_damaged_commit_is_named(tmp_path: Path, content: str, said: str) -> None:
    for version, text in enumerate(["", content, "{}\n"]):
        (tmp_path / f"{version:020}.json").write_text(text)
    assert damage(tmp_path) == f"00000000000000000001.json is {said}"

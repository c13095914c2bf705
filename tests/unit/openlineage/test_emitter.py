"""When OpenLineage is on, and what of an address an event may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_mart.openlineage.emitter import is_configured


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": "http://localhost:5000"}, True),
        ({"OPENLINEAGE_CONFIG": "openlineage.yml"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_URL": "http://localhost:5000", "OPENLINEAGE_DISABLED": "True"}, False),
        ({"OPENLINEAGE_NAMESPACE": "x"}, False),
    ],
)
def test_it_is_off_until_a_transport_is_named(tmp_path: Path, variables: dict[str, str], expected: bool) -> None:
    assert is_configured(variables, tmp_path, tmp_path) is expected


def test_its_own_files_turn_it_on(tmp_path: Path) -> None:
    folder, home = tmp_path / "mart", tmp_path / "home"
    folder.mkdir()
    (home / ".openlineage").mkdir(parents=True)
    (home / ".openlineage" / "openlineage.yml").touch()
    assert is_configured({}, folder, home)
    (folder / "openlineage.yml").touch()
    assert is_configured({}, folder, tmp_path)

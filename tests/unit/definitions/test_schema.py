from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feature_mart.definitions.schema import KINDS, check_schemas, json_schemas, write_schemas

MART = Path(__file__).resolve().parents[3]


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (schema, *schema.get("$defs", {}).values()):
        yield from part.get("properties", {}).items()


def test_every_key_of_every_file_is_explained_by_an_example() -> None:
    for kind, schema in json_schemas().items():
        assert schema["description"], kind
        for key, entry in properties(schema):
            assert entry.get("description"), f"{kind}: {key} has no description"
            assert entry.get("examples"), f"{kind}: {key} has no example"


def test_unknown_keys_are_refused_by_editors_too() -> None:
    for kind, schema in json_schemas().items():
        for part in (schema, *schema.get("$defs", {}).values()):
            assert part["additionalProperties"] is False, kind


def test_defaults_are_written_as_in_a_file() -> None:
    schemas = json_schemas()
    assert schemas["settings"]["properties"]["online_store"]["default"] == "embedded"
    assert schemas["settings"]["properties"]["spark"]["default"] == {"master": "local[*]", "conf": {}}
    assert schemas["pipeline"]["$defs"]["MaterializeEntry"]["properties"]["every"]["default"] == "1d"
    assert "required" not in schemas["settings"]
    assert schemas["sources"]["$defs"]["SourceEntry"]["properties"]["schema"]["examples"]


def test_write_and_check(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "schemas"
    assert check_schemas(folder) == [folder / f"{kind}.schema.json" for kind in KINDS]
    written = write_schemas(folder)
    assert written == [folder / f"{kind}.schema.json" for kind in KINDS]
    assert check_schemas(folder) == []
    assert json.loads(written[0].read_text(encoding="utf-8"))["title"] == "conf/base.yml, conf/<env>.yml"
    written[0].write_text("{}", encoding="utf-8")
    assert check_schemas(folder) == [written[0]]


def test_the_schemas_of_this_repository_are_current() -> None:
    assert check_schemas(MART / "conf" / "schemas") == []

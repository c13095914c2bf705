"""Lineage in each of the forms that it is shown in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from feature_mart.definitions.lineage.chain import Chain
from feature_mart.definitions.lineage.picture import to_svg
from feature_mart.definitions.lineage.text import to_mermaid, to_tree


def _to_json(chain: Chain) -> str:
    return json.dumps(chain.to_dict(), indent=2, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Chain], str]] = {
    "text": to_tree,
    "json": _to_json,
    "mermaid": to_mermaid,
    "svg": to_svg,
}

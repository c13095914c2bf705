"""The reference mart in a folder of its own, so that tests never touch the tables of whoever runs them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference_mart(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Copies the reference mart's files; no data, no tables."""

    def copy() -> Path:
        target = tmp_path_factory.mktemp("mart")
        for folder in ("conf", "metadata", "features", "pipelines", "queries"):
            shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("local.yml"))
        shutil.copytree(ROOT / "tests" / "mart", target / "tests" / "mart")
        return target

    return copy

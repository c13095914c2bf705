"""Datasets of events are named without what opens them."""

from __future__ import annotations

import pytest

from feature_mart.openlineage.facts import DatasetFacts
from feature_mart.runner.openlineage import _located


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/data/marts/retail", DatasetFacts("file", "/data/marts/retail")),
        ("file:///data/retail", DatasetFacts("file", "/data/retail")),
        ("s3a://lake/marts/retail", DatasetFacts("s3://lake", "/marts/retail")),
        ("abfss://mart@store.net/retail", DatasetFacts("abfss://mart@store.net", "/retail")),
        ("https://me:word@host:8443/f.csv?sig=abc", DatasetFacts("https://host:8443", "/f.csv")),
    ],
)
def test_an_address_loses_credentials_and_query(uri: str, expected: DatasetFacts) -> None:
    assert _located(uri) == expected

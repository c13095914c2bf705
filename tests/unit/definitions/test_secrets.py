"""Passwords leave texts that others read, and nothing else does."""

from __future__ import annotations

import pytest

from feature_mart.definitions.secrets import hidden_values, masked_text, secrets_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no driver for jdbc:postgresql://me:word@db:5432/shop", "no driver for jdbc:postgresql://***@db:5432/shop"),
        ("redis://:wo@rd@cache:6379 is gone", "redis://***@cache:6379 is gone"),
        ("jdbc:oracle:thin:scott/tiger@//db:1521/x", "jdbc:oracle:thin:***@//db:1521/x"),
        ("jdbc:postgresql://db/shop?user=me&password=word&ssl=true", "jdbc:postgresql://db/shop?user=me&password=***&ssl=true"),
        ("url=jdbc:sqlserver://db;user=me;Password={a;b};ssl=1", "url=jdbc:sqlserver://db;user=me;Password=***;ssl=1"),
        ("{'password': 'two words', 'user': 'me'}", "{'password': ***, 'user': 'me'}"),
        ("{url=jdbc:mysql://db/x?password=word}", "{url=jdbc:mysql://db/x?password=***"),
        ("trustStorePwd: word", "trustStorePwd: ***"),
        ("https://store/f.csv?sv=2&sig=a%2Fb&se=3", "https://store/f.csv?sv=2&sig=***&se=3"),
        ("fs.s3a.secret.key=word fs.s3a.path=/a", "fs.s3a.secret.key=*** fs.s3a.path=/a"),
        ("fs.azure.account.key.acc.net = word", "fs.azure.account.key.acc.net = ***"),
        ("abfss://container@account.net/t is no table", "abfss://container@account.net/t is no table"),
        ("abfss://me:word@account.net/t", "abfss://***@account.net/t"),
        ("checks passed: 3; passengers=4; design=5; key: a", "checks passed: 3; passengers=4; design=5; key: a"),
        ("write to sales@example.com about s3a://bucket/t", "write to sales@example.com about s3a://bucket/t"),
    ],
)  # fmt: skip
def test_passwords_are_masked_and_nothing_else(text: str, expected: str) -> None:
    assert masked_text(text) == expected


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    assert masked_text("login of me with sesame-42 failed for sesame", ["sesame", "sesame-42"]) == (
        "login of me with *** failed for ***"
    )


def test_of_options_password_like_ones_are_secrets_and_all_may_be_hidden() -> None:
    options = {"url": "jdbc:x:y", "dbtable": "ORDERS", "fetchsize": "10", "password": "pw", "apiKey": "k", "token": ""}
    assert secrets_of(options) == ["pw", "k"]
    assert sorted(hidden_values(options, shown=["DBTABLE"])) == ["jdbc:x:y", "k", "pw"]

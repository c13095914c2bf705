"""Takes passwords out of texts that people or other programs read: addresses, options, the messages of errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "***"
# Of Azure's addresses the container stands before the @.
CONTAINER_FIRST = ("abfs", "abfss", "wasb", "wasbs")
# A shorter value ("10", "USA") would be blotted out of the middle of words.
_SHORTEST = 4

_KEY = (
    r"(?<![\w.-])(?:[\w.-]*(?:pass(?!ed|es|ing|enger|age|ive|port)|pwd|secret|token|credential|signature"
    r"|(?:api|access|account|private)[-._]?key)[\w.-]*|sig)"
)
_SECRET_KEY = re.compile(_KEY, re.IGNORECASE)
_VALUE = r"""(?:"[^"]*"|'[^']*'|\{[^}]*\}|[^\s&;]+)"""
_OPTION = re.compile(rf"""({_KEY}["']?\s*[=:]\s*){_VALUE}""", re.IGNORECASE)
# Oracle's addresses have user and password without the two slashes of a URL.
_ADDRESS = re.compile(r"(?<![\w+.-])(?P<start>(?P<scheme>[\w+.-]+)://|jdbc:oracle:\w+:(?=[^\s@/]*/))(?P<secret>\S*)@")


def masked_url(url: str) -> str:
    """A URL with whatever stands before its ``@`` replaced by ``***``."""
    return re.sub(r"(?<=://).*@", f"{MASK}@", url)


def masked_text(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without ``secrets``, what stands before the ``@`` of URLs, and values of options like ``password=``."""
    # The longest first: of a URL that holds a password nothing is left then.
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _OPTION.sub(rf"\1{MASK}", _ADDRESS.sub(_masked_address, text))


def secrets_of(options: Mapping[str, str]) -> list[str]:
    """The values of password-like options, however short."""
    return [value for key, value in options.items() if value and _SECRET_KEY.fullmatch(key)]


def hidden_values(options: Mapping[str, str], shown: Iterable[str]) -> list[str]:
    """The values of all options but those ``shown``: any may hold a password; of short ones the password-like."""
    named = {name.lower() for name in shown}
    others = [value for key, value in options.items() if key.lower() not in named and len(value) >= _SHORTEST]
    return [*others, *secrets_of(options)]


def _masked_address(found: re.Match[str]) -> str:
    if found["scheme"] in CONTAINER_FIRST and ":" not in found["secret"]:
        return found[0]
    return f"{found['start']}{MASK}@"

"""``${VAR}`` and ``${VAR:-default}`` in the files of conf/ and metadata/."""

from __future__ import annotations

import re
from collections.abc import Mapping

from feature_mart.definitions.problems import Invalid

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
OTHER_VALUE = "give the environment variable another value"
ALLOWED = "${VAR} or ${VAR:-default}; $$ stands for one $"


def has_variables(text: str) -> bool:
    """Whether filling in may change the text."""
    return "$" in text


def is_reference(text: str) -> bool:
    """Whether what is written takes a value from the environment, which then may not be shown."""
    return "${" in text


def names_variable(text: str) -> bool:
    """Whether a text holds ``${VAR}`` or ``${VAR:-default}``."""
    return any(match[1] for match in _REFERENCE.finditer(text))


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with variables of the environment filled in. As in a shell, ``:-`` covers unset and empty ones.

    Raises:
        Invalid: a variable is not set and has no default, or the text is malformed. The message never holds a value.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, default = match[1], match[2]
        if name is None:
            raise Invalid(
                "has a ${ that names no variable", allowed=ALLOWED, fix="close the brace, or write $${ for a plain ${"
            )
        if default is not None:
            return variables.get(name) or default
        if name not in variables:
            raise Invalid(
                f"needs the environment variable {name}, which is not set",
                allowed=ALLOWED,
                fix=f"set {name}, or give a default: ${{{name}:-…}}",
            )
        return variables[name]

    return _REFERENCE.sub(value, text)

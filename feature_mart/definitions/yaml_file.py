"""YAML files as plain data that knows its lines.

The rules are those of YAML 1.2's core schema: only true and false are booleans, dates and times stay text, a colon
makes no number. So ``country: no`` is a text, and nothing has to be undone later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import BaseConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

from feature_mart.definitions.flow_commas import may_be_split, rejoined
from feature_mart.definitions.problems import Invalid, Problem, Problems
from feature_mart.definitions.secrets import masked_url
from feature_mart.definitions.variables import filled, has_variables
from feature_mart.definitions.yaml_syntax import syntax_problem

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML without libyaml: the same nodes, slower
    CParser = None  # type: ignore[assignment,misc]

Location = tuple[str | int, ...]
Data = Any  # None, bool, int, float, str, list and dict of the same; what models take
MOST_NODES = 1_000_000
DEEPEST = 100

_PLAIN = "plain"
_QUOTED = "quoted"
_TAGLESS = (_PLAIN, _QUOTED)
_BRACKET = re.compile(r"[\[\]{}]")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class _Untyped(BaseResolver):
    """Gives each node the name of its kind as its tag, so that an explicit tag can be told and refused."""

    def resolve(self, kind: type[Node], value: object, implicit: object) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit == (True, False) else _QUOTED
        return "sequence" if kind is SequenceNode else "mapping"

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        """Nothing: there are no rules by path, and this is called for every node."""

    def ascend_resolver(self) -> None:
        """Nothing, see `descend_resolver`."""


if CParser is not None:

    class _Composer(CParser, BaseConstructor, _Untyped):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            BaseConstructor.__init__(self)
            BaseResolver.__init__(self)

else:
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(Reader, Scanner, Parser, Composer, BaseConstructor, _Untyped):  # type: ignore[no-redef]
        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)
            BaseConstructor.__init__(self)
            BaseResolver.__init__(self)


class Document:
    """One YAML file: its data, and where each part of it stands."""

    def __init__(self, file: str, root: Node | None, data: Data, unfilled: frozenset[Location] = frozenset()) -> None:
        self.file = file
        self.root = root
        self.data = data
        self.unfilled = unfilled

    def place(self, location: Location) -> tuple[str, int]:
        """File and line of the key or item at ``location``, or of the deepest part of it that exists."""
        line, node = (self.root.start_mark.line + 1 if self.root is not None else 1), self.root
        for step in location:
            found = _child(node, step)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return self.file, line

    def lines(self, location: Location) -> dict[str, int]:
        """The line of each key of the map at ``location``."""
        node = self._node(location)
        pairs = node.value if isinstance(node, MappingNode) else ()
        return {key.value: key.start_mark.line + 1 for key, _ in pairs}

    def has(self, location: Location) -> bool:
        """Whether the file itself says something at ``location``."""
        return self._node(location) is not None

    def written(self, location: Location) -> str | None:
        """What the file says at ``location``, as it is written there; None where it says nothing."""
        node = self._node(location)
        return None if node is None else _written(node)

    def _node(self, location: Location) -> Node | None:
        node = self.root
        for step in location:
            found = _child(node, step)
            if found is None:
                return None
            node = found[1]
        return node


class LayeredDocument(Document):
    """A document laid over another: maps are merged key by key, everything else is replaced."""

    def __init__(self, base: Document, over: Document) -> None:
        super().__init__(over.file, over.root, merged(base.data, over.data), base.unfilled | over.unfilled)
        self.base = base
        self.over = over

    def _owner(self, location: Location) -> Document:
        return self.over if self.over.has(location) or not self.base.has(location) else self.base

    def place(self, location: Location) -> tuple[str, int]:
        """File and line in whichever of the two says it."""
        owner = self._owner(location)
        return super().place(location) if owner is self.over else owner.place(location)

    def written(self, location: Location) -> str | None:
        """What whichever of the two says it has there."""
        owner = self._owner(location)
        return super().written(location) if owner is self.over else owner.written(location)


def merged(base: Data, over: Data) -> Data:
    """``over`` laid over ``base``."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}
    return over


def read_document(
    path: Path, file: str, problems: Problems, variables: Mapping[str, str] | None = None
) -> Document | None:
    """Read a file, telling ``problems`` what is wrong with it; None if it cannot be read at all.

    Args:
        path: where the file lies.
        file: what problems call it: its path relative to the mart's folder.
        problems: takes what is wrong.
        variables: fills in ``${VAR}``; None leaves texts as they are.
    """
    text = read_text(path, file, problems)
    if text is None:
        return None
    conversion = _Conversion(file, problems, variables)
    try:
        if _nests_too_deep(text):
            raise RecursionError
        root = _Composer(text).get_single_node()
        data = None if root is None else conversion.data(root, ())
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError) as error:
        problems.add(syntax_problem(file, text, error))
        return None
    except RecursionError:
        problems.add(
            Problem(file, 1, "", "the file nests too deep, or contains itself by an alias", fix="write it flat")
        )
        return None
    return Document(file, root, data, frozenset(conversion.unfilled))


def _nests_too_deep(text: str) -> bool:
    """Whether the parser in C, which does not look after its stack, might fall over the file."""
    if "- " * DEEPEST in text or "? " * DEEPEST in text:
        return True
    depth = 0
    if text.count("[") + text.count("{") > DEEPEST:
        for match in _BRACKET.finditer(text):
            depth += 1 if match[0] in "[{" else -1
            if depth > DEEPEST:
                return True
    return False


def read_text(path: Path, file: str, problems: Problems) -> str | None:
    """The text of a UTF-8 file, without byte order mark and with plain line ends; None if it cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        problems.add(
            Problem(file, 0, "", f"cannot be read: {error.strerror}", fix="check that it is a file and its permissions")
        )
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        found = f"byte 0x{raw[error.start]:02x}"
        problems.add(
            Problem(
                file, line, "", f"found {found}, which is not UTF-8", found, "UTF-8 text", fix="save the file as UTF-8"
            )
        )
        return None
    return text.replace("\r\n", "\n") if "\r" in text else text


class _Conversion:
    """Nodes to plain data, once per file."""

    def __init__(self, file: str, problems: Problems, variables: Mapping[str, str] | None) -> None:
        self.file = file
        self.problems = problems
        self.variables = variables
        self.count = 0
        self.unfilled: set[Location] = set()

    def problem(
        self, node: Node, location: Location, message: str, found: str = "", allowed: str = "", fix: str = ""
    ) -> None:
        line = node.start_mark.line + 1
        self.problems.add(Problem(self.file, line, dotted(location), message, found, allowed, fix=fix))

    def data(self, node: Node, location: Location) -> Data:
        self.count += 1
        if self.count > MOST_NODES:
            if self.count == MOST_NODES + 1:
                self.problem(
                    node, location, "the file is too large once its aliases are written out", fix="use fewer aliases"
                )
            return None
        if isinstance(node, ScalarNode):
            return self.scalar(node, location)
        if node.tag not in ("mapping", "sequence"):
            self.tag_refused(node, location)
        if isinstance(node, MappingNode):
            return self.mapping(node, location)
        return [self.data(item, (*location, at)) for at, item in enumerate(node.value)]

    def mapping(self, node: MappingNode, location: Location) -> dict[str, Data]:
        result: dict[str, Data] = {}
        pairs = node.value
        if node.flow_style and may_be_split(pairs):
            pairs = rejoined(pairs, partial(self.comma_found, location))
        for key_node, value_node in pairs:
            if not isinstance(key_node, ScalarNode):
                message = "found a map or list as a key"
                self.problem(key_node, location, message, allowed="a text", fix="write the key as a text")
                continue
            key = key_node.value
            if key in result:
                self.problem(
                    key_node,
                    (*location, key),
                    f"the key {key!r} stands here twice, first in line {_line_of_key(node, key)}",
                    found=key,
                    fix="keep one of the two",
                )
            if isinstance(value_node, ScalarNode) and self.is_plain_text(value_node):  # nearly all: no call for each
                result[key] = core_value(value_node.value) if value_node.tag == _PLAIN else value_node.value
            else:
                result[key] = self.data(value_node, (*location, key))
        return result

    def comma_found(self, location: Location, key: Node, whole: str) -> None:
        message = f"found {whole} without quotes: within {{ }} a value ends at its comma"
        self.problem(key, (*location, key.value), message, found=whole, fix=f'write it in quotes: "{whole}"')

    def is_plain_text(self, node: ScalarNode) -> bool:
        """Whether a scalar means what it says: no tag, and no variables to fill in."""
        return node.tag in _TAGLESS and (self.variables is None or not has_variables(node.value))

    def scalar(self, node: ScalarNode, location: Location) -> Data:
        text = node.value
        if node.tag not in _TAGLESS:
            self.tag_refused(node, location)
        if self.variables is not None and has_variables(text):
            try:
                text = filled(text, self.variables)
            except Invalid as wrong:
                found = _written(node)
                self.problem(
                    node,
                    location,
                    f"found {found}, which {wrong.message}",
                    found=found,
                    allowed=wrong.allowed,
                    fix=wrong.fix,
                )
                self.unfilled.add(location)  # told already: nobody should complain about the value again
                return ""
        return core_value(text) if node.tag == _PLAIN else text

    def tag_refused(self, node: Node, location: Location) -> None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        self.problem(
            node, location, f"found the tag {tag}", found=tag, allowed="values without tags", fix=f"remove {tag}"
        )


def core_value(text: str) -> Data:
    """What an unquoted text means by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text):
            return int(text[2:], 8)
        if _HEXADECIMAL.fullmatch(text):
            return int(text[2:], 16)
    except ValueError:  # thousands of digits
        return text
    return float(text) if _FLOAT.fullmatch(text) else text


def dotted(location: Sequence[str | int]) -> str:
    """``feature_views[0].ttl`` for ``("feature_views", 0, "ttl")``."""
    parts: list[str] = []
    for step in location:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            plain = re.fullmatch(r"[\w*-]+", step)
            parts.append(f"{'.' if parts else ''}{step}" if plain else f"{'.' if parts else ''}{step!r}")
    return "".join(parts)


def _line_of_key(node: MappingNode, key: str) -> int:
    """The line on which a key stands first."""
    return next(int(found.start_mark.line) + 1 for found, _ in node.value if found.value == key)


def _child(node: Node | None, step: str | int) -> tuple[Node, Node] | None:
    """The node that says where a step begins, and the node it leads to."""
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == step:
                return key_node, value_node
    elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _written(node: Node) -> str:
    if isinstance(node, ScalarNode):
        text = masked_url(node.value)
        return (text or "nothing") if node.tag == _PLAIN else repr(text)
    if isinstance(node, MappingNode):
        keys = ", ".join(str(key.value) for key, _ in node.value[:4])
        return f"a map ({keys}{', …' if len(node.value) > 4 else ''})" if keys else "an empty map"
    return f"a list of {len(node.value)}" if node.value else "an empty list"

"""Spark's plans as `toJSON` writes them, made into trees.

A tree is a list of nodes, each followed by its children, which its ``num-children`` counts. A field holds the number
of a child, a tree of its own, or a plain value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard


@dataclass(frozen=True)
class PlanNode:
    """A node of a plan or of an expression. ``kind`` is the class's own name, as in ``Project``."""

    kind: str
    fields: Mapping[str, Any]
    children: tuple[PlanNode, ...]

    def tree(self, field: str) -> PlanNode | None:
        """The tree that a field holds, or the child that it numbers."""
        value = self.fields.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return self.children[value]
        return read_tree(value) if is_tree(value) else None

    def trees(self, field: str) -> list[PlanNode]:
        """The trees that a field lists."""
        return [read_tree(value) for value in self.fields.get(field) or () if is_tree(value)]

    @property
    def expression_id(self) -> int:
        """The id by which other expressions refer to this one."""
        return int(self.fields["exprId"]["id"])

    @property
    def name(self) -> str:
        """The name of an attribute or alias."""
        return str(self.fields.get("name", ""))


def is_tree(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a field's value is a tree."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "num-children" in value[0]


def read_tree(nodes: Sequence[Mapping[str, Any]]) -> PlanNode:
    """The tree that a list of nodes describes.

    Raises:
        ValueError: nodes are missing.
    """
    return _read(iter(nodes))


def _read(nodes: Iterator[Mapping[str, Any]]) -> PlanNode:
    node = next(nodes, None)
    if node is None:
        raise ValueError("a node has fewer children than it says")
    children = tuple(_read(nodes) for _ in range(int(node["num-children"])))
    return PlanNode(str(node["class"]).rpartition(".")[2], node, children)

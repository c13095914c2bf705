"""A chain for people to read: as a tree of text, and as Mermaid, which Git hosts and editors draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feature_mart.definitions.lineage.chain import Chain, Links, Node
from feature_mart.definitions.lineage.model import DIRECT, ROWS


def to_tree(chain: Chain) -> str:
    """What each column is made from, what decides the rows, what uses it all, and what is not known."""
    lines: list[str] = []
    for root in chain.roots:
        lines.append(_spoken(root))
        lines += _branches(chain.up, root, "", {root}) or [_without_columns(chain, root)]
    lines += ["", "which rows there are:"]
    for view, uses in chain.rows.items():
        decided = "; ".join(f"{_spoken(column)} ({', '.join(kinds)})" for column, kinds in uses)
        lines.append(f"   {view}: {decided or 'all of its inputs'}")
    lines += ["", "used by:"]
    used = [line for root in chain.roots for line in _used(chain, root)]
    lines += used or ["   (nothing in this mart)"]
    if chain.unresolved:
        lines += ["", "not resolved:"]
        lines += [f"   {_spoken(node)}: {reason}" for node, reasons in chain.unresolved.items() for reason in reasons]
    return "\n".join(lines) + "\n"


def _without_columns(chain: Chain, root: Node) -> str:
    return "   (not known: see below)" if root in chain.unresolved else "   (made from no column)"


def _used(chain: Chain, root: Node) -> list[str]:
    below = _branches(chain.down, root, "   ", {root}, chain)
    if not below:
        return []
    return [f"   {_spoken(root)}", *below]


def _branches(links: Links, node: Node, indent: str, seen: set[Node], chain: Chain | None = None) -> list[str]:
    """The lines below a node; what was drawn once is named only. With a chain, services are drawn as well."""
    lines: list[str] = []
    entries: list[tuple[Node | None, str]] = [
        (other, f"{_spoken(other)}  {', '.join(kinds)}") for other, kinds in links.get(node, ())
    ]
    if chain is not None:
        entries += [(None, f"service {service}") for service in chain.services.get(node, ())]
    for at, (other, text) in enumerate(entries):
        is_last = at == len(entries) - 1
        again = other is not None and other in seen and bool(links.get(other))
        lines.append(f"{indent}{'└─ ' if is_last else '├─ '}{text}{'  (see above)' if again else ''}")
        if other is not None and not again:
            seen.add(other)
            lines += _branches(links, other, indent + ("   " if is_last else "│  "), seen, chain)
    return lines


def _spoken(node: Node) -> str:
    return f"rows of {node.input}" if node.column == ROWS else str(node)


def to_mermaid(chain: Chain) -> str:
    """A flowchart: a box for each source, view and service; dotted arrows for columns that only decide."""
    ids = {str(node): f"c{at}" for at, node in enumerate(chain.types)}
    producers: dict[str, list[Node]] = {}
    for node in chain.types:
        producers.setdefault(node.input, []).append(node)
    lines = ["flowchart LR"]
    for at, (producer, nodes) in enumerate(producers.items()):
        lines.append(f'    subgraph p{at}["{producer}"]')
        lines += [f'        {ids[str(node)]}["{_label(node)}"]' for node in nodes]
        lines.append("    end")
    services = sorted({service for named in chain.services.values() for service in named})
    ids |= {service: f"s{at}" for at, service in enumerate(services)}
    lines += [f'    {ids[service]}(["{service}"])' for service in services]
    lines += _arrows(chain, ids)
    lines += [f"    style {ids[str(root)]} stroke-width:3px" for root in chain.roots if len(chain.roots) == 1]
    return "\n".join(lines) + "\n"


def _arrows(chain: Chain, ids: dict[str, str]) -> Iterator[str]:
    for (start, end), kinds in sorted(chain.edges().items()):
        if not kinds:
            yield f"    {ids[start]} --> {ids[end]}"
        else:
            arrow = "-->" if is_direct(kinds) else "-.->"
            yield f'    {ids[start]} {arrow}|"{", ".join(kinds)}"| {ids[end]}'


def is_direct(kinds: Sequence[str]) -> bool:
    """Whether a value is made from the value that is used; services take features as they are."""
    return not kinds or any(kind in DIRECT for kind in kinds)


def _label(node: Node) -> str:
    return "rows" if node.column == ROWS else node.column.replace('"', "#quot;")

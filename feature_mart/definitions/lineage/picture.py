"""A chain as a picture (SVG): columns of boxes from sources on the left to services on the right.

Drawn here, so that nothing has to be installed: each box stands one column to the right of the last that it is made
from, and within a column near what it is joined to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from feature_mart.definitions.lineage.chain import Chain
from feature_mart.definitions.lineage.text import is_direct

_HEIGHT, _GAP, _BETWEEN, _MARGIN = 34, 12, 90, 20  # pixels
_CHARACTER = 7.3  # width of one character of the font, pixels
_ROUNDS = 4
_FILLS = {
    "source_column": "#e8f1fb",
    "feature": "#e9f7ec",
    "key": "#f4f4f4",
    "rows": "#fdf3e1",
    "feature_service": "#f3eafb",
}
_STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#222} .n{stroke:#888} .s{stroke:#222;stroke-width:2.5}"
)


def to_svg(chain: Chain) -> str:
    """The picture as an SVG document; the same chain gives the same text."""
    types = {str(node): kind for node, kind in chain.types.items()}
    types |= {service: "feature_service" for named in chain.services.values() for service in named}
    edges = chain.edges()
    layers = _layers(sorted(types), list(edges))
    boxes = _places(layers)
    width = max(x + w for x, _, w in boxes.values()) + _MARGIN
    height = max(y for _, y, _ in boxes.values()) + _HEIGHT + _MARGIN
    roots = {str(root) for root in chain.roots}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>Lineage of {escape(chain.subject)}</title>",
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        *(_curve(boxes[start], boxes[end], kinds) for (start, end), kinds in sorted(edges.items())),
        *(_box(name, boxes[name], types[name], name in roots) for name in sorted(types)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Names by their longest way from a source, each layer ordered by where its neighbours stand."""
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        before[end].append(start)
        after[start].append(end)
    depth: dict[str, int] = {}
    waiting = {name: len(before[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    while ready:
        name = ready.pop(0)
        depth[name] = max((depth[other] + 1 for other in before[name]), default=0)
        for other in after[name]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    for turn in range(_ROUNDS):
        ordered = layers if turn % 2 == 0 else layers[::-1]
        near = before if turn % 2 == 0 else after
        for layer in ordered[1:]:
            position = {name: at for other in layers for at, name in enumerate(other)}
            layer.sort(key=lambda name: (_middle(near[name], position, position[name]), name))
    return layers


def _middle(near: Sequence[str], position: Mapping[str, int], own: int) -> float:
    return sum(position[name] for name in near) / len(near) if near else float(own)


def _places(layers: Sequence[Sequence[str]]) -> dict[str, tuple[int, int, int]]:
    """Left, top and width of each box."""
    tallest = max(len(layer) for layer in layers) * (_HEIGHT + _GAP)
    places: dict[str, tuple[int, int, int]] = {}
    x = _MARGIN
    for layer in layers:
        width = round(max(len(name) for name in layer) * _CHARACTER) + 20
        y = _MARGIN + (tallest - len(layer) * (_HEIGHT + _GAP)) // 2
        for name in layer:
            places[name] = (x, y, width)
            y += _HEIGHT + _GAP
        x += width + _BETWEEN
    return places


def _box(name: str, place: tuple[int, int, int], kind: str, is_root: bool) -> str:
    x, y, width = place
    round_ = _HEIGHT // 2 if kind == "feature_service" else 4
    return (
        f'<g><rect class="{"s" if is_root else "n"}" x="{x}" y="{y}" width="{width}" height="{_HEIGHT}" rx="{round_}" '
        f'fill="{_FILLS[kind]}"/><text x="{x + 10}" y="{y + 21}">{escape(name)}</text></g>'
    )


def _curve(start: tuple[int, int, int], end: tuple[int, int, int], kinds: Sequence[str]) -> str:
    x1, y1, x2, y2 = start[0] + start[2], start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    dashes = "" if is_direct(kinds) else ' stroke-dasharray="4 3"'
    said = f"<title>{escape(', '.join(kinds))}</title>" if kinds else ""
    return f'<path d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}" fill="none" stroke="#777"{dashes}>{said}</path>'

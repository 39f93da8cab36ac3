"""Drawing the graph that was recorded: as text, as Mermaid or DOT source, or as a finished SVG. No other program is needed.

The SVG is laid out in layers, as K. Sugiyama, S. Tagawa and M. Toda describe ("Methods for visual understanding of
hierarchical system structures", 1981): every node in the layer above its highest consumer, the nodes of a layer ordered by
where their neighbours stand, and then moved beneath each other as far as the order allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from os.path import basename
from typing import Any

from chainrule.derivatives import history
from chainrule.errors import AutogradError, DtypeError
from chainrule.graph import OUT, Node
from chainrule.tensor import Tensor

FORMATS = ("text", "mermaid", "dot", "svg")
FILL = {"leaf": "#e3f1e7", "op": "#ffffff", "output": "#fdf0d9", "cut": "#eeeeee"}
EDGE = {"leaf": "#2a7f4f", "op": "#1f4e79", "output": "#b9770e", "cut": "#888888"}
TITLE, DETAIL, LINE = 14, 11, 16  # the sizes of letters, and from one line of a box to the next, in pixels
GAP, LAYER, MARGIN = 26, 46, 16  # between boxes side by side, between layers, around the picture


class Drawing(str):
    """The text of a drawing; notebooks show SVG as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str | None:
        return str(self) if self.startswith("<svg") else None


@dataclass
class Box:
    """A node as it is drawn: what stands in it, and the boxes (by number) that it is computed from."""

    kind: str  # "leaf", "op", "output" or "cut"
    title: str
    details: list[str] = field(default_factory=list)
    parents: list[int | None] = field(default_factory=list)  # None: an input without a history

    @property
    def sources(self) -> list[int]:
        """The boxes it is computed from, each once."""
        return list(dict.fromkeys(p for p in self.parents if p is not None))


def draw_graph(outputs: Any, format: str = "svg", *, names: Mapping[str, Tensor] | None = None, limit: int = 100) -> Drawing:
    """The graph that led to `outputs`, a tensor or a sequence of them, as text.

    `format`: "svg", a picture that any browser shows; "mermaid", which GitHub and many editors draw; "dot" for Graphviz;
    "text", a list in the order of the calls, which is the order that backward walks from its end. `names` says what tensors
    are called: `{"w": w}`, or `dict(model.named_parameters())`. Of more than `limit` operations the last are drawn, with a
    note of how many are not.

    Each operation stands with its dtype and shape, with what it keeps for its derivative (or "freed", after backward), and
    with the place where it was called; inputs that require no gradient are not in the graph.

    Raises AutogradError where nothing was recorded, DtypeError for what is no tensor, ValueError for another format.

    >>> import chainrule as cr
    >>> w = cr.tensor(2.0, requires_grad=True)
    >>> print(cr.draw_graph((w * 3).tanh(), "text", names={"w": w}))  # doctest: +ELLIPSIS
    0  w                      float32()
    1  multiply  0, constant  float32()  keeps other  ...
    2  tanh      1            float32()  keeps out    ...
    """
    if format not in FORMATS:
        raise ValueError(f"draw_graph: format={format!r}; it is one of {', '.join(FORMATS)}")
    if limit < 1:
        raise ValueError(f"draw_graph: limit={limit}; at least one operation must be drawn")
    listed = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    for t in listed:
        if not isinstance(t, Tensor):
            raise DtypeError(f"draw_graph: expected tensors, got a {type(t).__name__}")
        if t.node is None:
            raise AutogradError(f"draw_graph: nothing was recorded for an output ({t.dtype}{t.shape}): no input has "
                                "requires_grad=True, or it ran under no_grad")
    called = {t.node: name for name, t in (names or {}).items() if t.node is not None}
    boxes = collect([t.node for t in listed], called, limit)
    return Drawing({"text": as_text, "mermaid": as_mermaid, "dot": as_dot, "svg": as_svg}[format](boxes))


# ---- what is to be drawn

def collect(roots: list[Node], called: dict[Node, str], limit: int) -> list[Box]:
    """The boxes, in the order of the calls: the last `limit` operations, and the leaves that they use."""
    nodes = history(roots, 0)
    computed = [n for n in nodes if n.op is not None]
    shown = set(computed[-limit:]) | {r for r in roots if r.op is None}
    shown |= {p for n in shown for p in n.parents if p is not None and p.op is None}
    number: dict[Node, int] = {}
    boxes = []
    left_out = len(computed) - limit
    if left_out > 0:
        boxes.append(Box("cut", f"{left_out:,} older operation{'s' if left_out > 1 else ''}", ["not drawn"]))
    for node in nodes:
        if node in shown:
            number[node] = len(boxes)
            parents = [None if p is None else number.get(p, 0) for p in node.parents]  # 0: what is not drawn
            boxes.append(box_of(node, node in roots, called.get(node), parents))
    return boxes


def box_of(node: Node, output: bool, name: str | None, parents: list[int | None]) -> Box:
    """A node's box."""
    of_several = node.shape != () and isinstance(node.shape[0], tuple)
    shape = ", ".join(str(s) for s in node.shape) if of_several else str(node.shape)
    size = f"{node.dtype}{shape}"
    if node.op is None:
        return Box("leaf", name or "leaf", [size])
    title = node.op.name if node.op.name != "pick" else f"pick {node.static['index']}"
    kept = keeps(node)
    place = node.place().rpartition(", in ")[0]
    details = [size, *([kept] if kept else []), basename(place)]
    return Box("output" if output else "op", f"{name} = {title}" if name else title, details, parents)


def keeps(node: Node) -> str:
    """What the node keeps for its derivative: its inputs by name, `out`, or a kernel's by-products; "" for nothing."""
    if node.kept is None:
        return "freed"
    plan, op = node.plan, node.op
    keep = () if plan is None else plan.keep
    found = ["out" if i == OUT else (op.inputs[i] if not op.variadic else f"input {i}") if i >= 0 else str(plan.calls[place])
             for place, i in enumerate(keep) if node.kept[place] is not None]
    return "keeps " + ", ".join(found) if found else ""


# ---- as text

def as_text(boxes: list[Box]) -> str:
    """A table: number, op, the numbers of what it was computed from, and the details, in columns."""
    rows = []
    for i, box in enumerate(boxes):
        size, *rest = box.details
        kept = rest[0] if len(rest) > 1 else ""
        parents = ", ".join("constant" if p is None else str(p) for p in box.parents)
        rows.append([str(i), box.title, parents, size, kept, rest[-1] if rest else ""])
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def as_mermaid(boxes: list[Box]) -> str:
    """A Mermaid flowchart: https://mermaid.js.org/syntax/flowchart.html."""
    lines = ["flowchart TD"]
    for i, box in enumerate(boxes):
        label = "<br/>".join("".join(c if c not in '"<>&#`' else f"#{ord(c)};" for c in text) for text in (box.title, *box.details))
        left, right = ('(["', '"])') if box.kind in ("leaf", "cut") else ('["', '"]')
        lines.append(f"    n{i}{left}{label}{right}:::{box.kind}")
    lines += [f"    n{p} --> n{i}" for i, box in enumerate(boxes) for p in box.sources]
    used = sorted({box.kind for box in boxes})
    lines += [f"    classDef {kind} fill:{FILL[kind]},stroke:{EDGE[kind]},color:#222222" for kind in used]
    return "\n".join(lines)


def as_dot(boxes: list[Box]) -> str:
    """Graphviz's language: https://graphviz.org/doc/info/lang.html."""
    lines = ["digraph {", '    node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for i, box in enumerate(boxes):
        label = "\\n".join(text.replace("\\", "\\\\").replace('"', '\\"') for text in (box.title, *box.details))
        lines.append(f'    n{i} [label="{label}", fillcolor="{FILL[box.kind]}", color="{EDGE[box.kind]}"];')
    lines += [f"    n{p} -> n{i};" for i, box in enumerate(boxes) for p in box.sources]
    return "\n".join([*lines, "}"])


# ---- as a picture

@dataclass
class Place:
    """A box in its layer, or (box None) where an edge passes through one."""

    box: Box | None
    layer: int
    width: float = 0.0
    height: float = 0.0
    above: list[int] = field(default_factory=list)  # the places it is joined to in the layer above
    below: list[int] = field(default_factory=list)
    x: float = 0.0  # its middle


def size_of(box: Box) -> tuple[float, float]:
    """Width and height: letters of the title are taken to be 0.62 of their size wide, those of the details 0.6."""
    width = max([0.62 * TITLE * len(box.title), *(0.6 * DETAIL * len(d) for d in box.details)])
    return max(width + 22, 64), LINE * (1 + len(box.details)) + 12


def layered(boxes: list[Box]) -> tuple[list[Place], list[list[int]]]:
    """The boxes and what passes through layers, and for each layer (from the top) its places."""
    depth = [0] * len(boxes)
    for i in range(len(boxes) - 1, -1, -1):  # newest first: when a box's turn comes, all that use it are placed
        for p in boxes[i].sources:
            depth[p] = max(depth[p], depth[i] + 1)
    top = max(depth)
    places = [Place(box, top - d, *size_of(box)) for box, d in zip(boxes, depth, strict=True)]
    layers: list[list[int]] = [[] for _ in range(top + 1)]
    for i, place in enumerate(places):
        layers[place.layer].append(i)
    for i, box in enumerate(boxes):
        for p in box.sources:
            upper = p
            for layer in range(places[p].layer + 1, places[i].layer):
                places.append(Place(None, layer, 8.0))
                layers[layer].append(len(places) - 1)
                join(places, upper, len(places) - 1)
                upper = len(places) - 1
            join(places, upper, i)
    return places, layers


def join(places: list[Place], upper: int, lower: int) -> None:
    """Make neighbours of two places."""
    places[upper].below.append(lower)
    places[lower].above.append(upper)


def order(places: list[Place], layers: list[list[int]]) -> None:
    """Sort every layer by the mean position of the neighbours, down and up in turn, so that few edges cross."""
    position = {i: float(k) for layer in layers for k, i in enumerate(layer)}
    for sweep in range(12):
        down = sweep % 2 == 0
        for layer in layers if down else layers[::-1]:
            middle = {}
            for i in layer:
                joined = places[i].above if down else places[i].below
                middle[i] = sum(position[j] for j in joined) / len(joined) if joined else position[i]
            layer.sort(key=middle.__getitem__)
            position.update({i: float(k) for k, i in enumerate(layer)})


def spread(wanted: list[float], weights: list[float], gaps: list[float]) -> list[float]:
    """The x nearest to those wanted (least squares) with x[k+1] - x[k] >= gaps[k]: pooling of neighbours that collide.

    >>> spread([0.0, 1.0, 9.0], [1.0, 1.0, 1.0], [3.0, 3.0])
    [-1.0, 2.0, 9.0]
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[list[float]] = []  # mean, weight, count: those in a block stand as close as they may
    for target, weight, offset in zip(wanted, weights, offsets, strict=True):
        blocks.append([target - offset, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, total, count = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * total) / (last[1] + total)
            last[1] += total
            last[2] += count
    flat = [mean for mean, _, count in blocks for _ in range(int(count))]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]


def align(places: list[Place], layers: list[list[int]]) -> None:
    """Give each place its x: beneath its neighbours, as far as the order in the layer allows."""
    gaps = [[(places[a].width + places[b].width) / 2 + GAP for a, b in zip(layer, layer[1:], strict=False)] for layer in layers]
    for layer, gap in zip(layers, gaps, strict=True):
        for i, x in zip(layer, spread([0.0] * len(layer), [1.0] * len(layer), gap), strict=True):
            places[i].x = x
    for sweep in range(24):
        down = sweep % 2 == 0
        rows = list(zip(layers, gaps, strict=True))
        for layer, gap in rows if down else rows[::-1]:
            wanted, weights = [], []
            for i in layer:
                joined = (places[i].above if down else places[i].below) or (places[i].below if down else places[i].above)
                wanted.append(sum(places[j].x for j in joined) / len(joined) if joined else places[i].x)
                weights.append(4.0 if places[i].box is None else 1.0)  # long edges are to be straight
            for i, x in zip(layer, spread(wanted, weights, gap), strict=True):
                places[i].x = x


def as_svg(boxes: list[Box]) -> str:
    """An SVG picture; inputs above, results below. Other characters than ASCII are escaped, so any encoding will do."""
    places, layers = layered(boxes)
    order(places, layers)
    align(places, layers)
    left = min(p.x - p.width / 2 for p in places) - MARGIN
    width = max(p.x + p.width / 2 for p in places) + MARGIN - left
    tops, y = [], float(MARGIN)
    for layer in layers:
        tops.append(y)
        y += max(places[i].height for i in layer) + LAYER
    height = y - LAYER + MARGIN
    depth = [max(places[i].height for i in layer) for layer in layers]  # of each layer

    def upper(p: Place) -> float:
        return tops[p.layer] + (0 if p.box is None else (depth[p.layer] - p.height) / 2)

    def lower(p: Place) -> float:
        return tops[p.layer] + (depth[p.layer] if p.box is None else (depth[p.layer] + p.height) / 2)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
             f'height="{height:.0f}" font-family="sans-serif" text-anchor="middle">',
             '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
             '<path d="M0 0 L8 4 L0 8 Z" fill="#777777"/></marker></defs>',
             f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>']
    for start in places[: len(boxes)]:
        for first in start.below:
            x, y = start.x - left, lower(start)
            path, here = [f"M{x:.1f} {y:.1f}"], places[first]
            while True:
                to, end = here.x - left, upper(here)
                path.append(f"C{x:.1f} {(y + end) / 2:.1f} {to:.1f} {(y + end) / 2:.1f} {to:.1f} {end:.1f}")
                x, y = to, lower(here)
                if here.box is not None:
                    break
                path.append(f"L{x:.1f} {y:.1f}")
                here = places[here.below[0]]
            lines.append(f'<path d="{" ".join(path)}" fill="none" stroke="#777777" marker-end="url(#tip)"/>')
    for p, box in zip(places, boxes, strict=False):
        x, y = p.x - left, upper(p)
        round_by = p.height / 2 if box.kind in ("leaf", "cut") else 5
        lines.append(f'<rect x="{x - p.width / 2:.1f}" y="{y:.1f}" width="{p.width:.1f}" height="{p.height:.1f}" '
                     f'rx="{round_by:.0f}" fill="{FILL[box.kind]}" stroke="{EDGE[box.kind]}"/>')
        y += LINE + 4
        lines.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{TITLE}" font-weight="bold" fill="{EDGE[box.kind]}">'
                     f"{escape(box.title)}</text>")
        for detail in box.details:
            y += LINE
            lines.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{DETAIL}" font-family="monospace" fill="#444444">'
                         f"{escape(detail)}</text>")
    return "\n".join([*lines, "</svg>"]).encode("ascii", "xmlcharrefreplace").decode()

"""Drawings of the graph: what they show, that they are well-formed, and that boxes do not lie on one another."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import chainrule as cr
from chainrule import drawing

SVG = "{http://www.w3.org/2000/svg}"


def example():
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    b = cr.tensor(0.5, requires_grad=True)
    y = (w * 3.0 + b).tanh()
    return y, {"w": w, "b": b, "y": y}


def rectangles(svg):
    """(left, top, right, bottom) of every box of a picture, without the background."""
    found = [e.attrib for e in ElementTree.fromstring(svg).iter(SVG + "rect")][1:]
    return [(float(a["x"]), float(a["y"]), float(a["x"]) + float(a["width"]), float(a["y"]) + float(a["height"])) for a in found]


def test_text_is_the_tape_in_the_order_of_the_calls():
    y, names = example()
    rows = [re.split(r"  +", line) for line in cr.draw_graph(y, "text", names=names).splitlines()]
    assert [row[:3] for row in rows] == [
        ["0", "w", "float32(2,)"], ["1", "b", "float32()"], ["2", "multiply", "0, constant"], ["3", "add", "2, 1"],
        ["4", "y = tanh", "3"]]
    assert rows[2][3:5] == ["float32(2,)", "keeps other"] and rows[4][4] == "keeps out"
    assert all(row[-1].startswith("test_drawing.py:") for row in rows[2:])


def test_what_was_freed_is_said():
    y, _ = example()
    total = y.sum()
    total.backward()
    text = cr.draw_graph(total, "text")
    assert "freed" in text and "keeps" not in text


def test_mermaid_and_dot_have_every_node_and_edge():
    y, names = example()
    edges = {("0", "2"), ("2", "3"), ("1", "3"), ("3", "4")}
    mermaid, dot = cr.draw_graph(y, "mermaid", names=names), cr.draw_graph(y, "dot", names=names)
    assert mermaid.startswith("flowchart TD\n") and dot.startswith("digraph {\n") and dot.endswith("}")
    assert set(re.findall(r"n(\d+) --> n(\d+)", mermaid)) == set(re.findall(r"n(\d+) -> n(\d+);", dot)) == edges
    assert len(re.findall(r":::", mermaid)) == len(re.findall(r"label=", dot)) == 5


@pytest.mark.parametrize("format", ["mermaid", "dot", "svg"])
def test_names_are_escaped(format):
    w = cr.tensor(1.0, requires_grad=True)
    drawn = cr.draw_graph(w * 2.0, format, names={'<w> & "ü\\': w})
    if format == "svg":
        assert drawn.isascii()
        assert '<w> & "ü\\' in [e.text for e in ElementTree.fromstring(drawn).iter(SVG + "text")]
    elif format == "dot":
        assert '"<w> & \\"ü\\\\\\nfloat32()"' in drawn
    else:
        assert "#60;w#62; #38; #34;ü\\" in drawn


def test_svg_is_well_formed_and_shows_every_box():
    y, names = example()
    svg = cr.draw_graph(y, names=names)
    texts = [e.text for e in ElementTree.fromstring(svg).iter(SVG + "text")]
    assert {"w", "b", "multiply", "add", "y = tanh", "float32(2,)", "keeps out"} <= set(texts)
    assert len(rectangles(svg)) == 5
    assert svg._repr_svg_() == svg and cr.draw_graph(y, "text")._repr_svg_() is None


def wide_graph(seed):
    """A graph whose operations use random earlier ones."""
    rng = np.random.default_rng(seed)
    values = [cr.tensor(float(i), requires_grad=True) for i in range(4)]
    for _ in range(40):
        a, b = rng.integers(0, len(values), 2)
        values.append(values[a] * values[b])
    return values[-6:]


@pytest.mark.parametrize("seed", range(4))
def test_boxes_do_not_overlap_and_lie_inside(seed):
    svg = cr.draw_graph(wide_graph(seed))
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = rectangles(svg)
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
        for l, t, r, b in boxes[:i]:
            assert right <= l or r <= left or bottom <= t or b <= top


def test_arrows_run_downward():
    boxes = drawing.collect([t.node for t in wide_graph(0)], {}, 100)
    places, _ = drawing.layered(boxes)
    assert all(places[p].layer < places[i].layer for i, box in enumerate(boxes) for p in box.sources)
    assert all(places[i].layer + 1 == places[j].layer for i in range(len(places)) for j in places[i].below)


def test_a_long_graph_is_cut_with_a_note():
    x = cr.tensor(0.1, requires_grad=True)
    y, other = x, cr.tensor(2.0, requires_grad=True)
    for _ in range(3000):
        y = y.sin()
    y = y * other
    text = cr.draw_graph(y, "text", limit=5, names={"x": x, "other": other})
    lines = text.splitlines()
    assert re.fullmatch(r"0 +2,996 older operations +not drawn", lines[0])
    assert len(lines) == 1 + 1 + 5  # the note, `other`, the last five operations; x is far away
    assert "other" in lines[1] and " 0 " in lines[2]
    assert len(rectangles(cr.draw_graph(y, limit=5))) == 7


def test_several_outputs_and_second_derivatives():
    parts = cr.functional.lstm(cr.ones(3, 2, 2), (cr.zeros(2, 4), cr.zeros(2, 4)), cr.ones(16, 2).requires_grad_(), cr.ones(16, 4))
    text = cr.draw_graph(parts[1][0] * 2.0, "text")
    assert "pick 1" in text and "float32(3, 2, 4), (2, 4), (2, 4)" in text
    y, names = example()
    slope, = cr.grad(y.sum(), names["w"], create_graph=True)
    assert "dy/dw = " in cr.draw_graph([y, slope], "text", names={"dy/dw": slope})


def test_a_leaf_alone_can_be_drawn():
    x = cr.tensor(1.0, requires_grad=True)
    assert cr.draw_graph(x, "text", names={"x": x}).split() == ["0", "x", "float32()"]


def test_what_cannot_be_drawn_is_an_error():
    y, _ = example()
    with pytest.raises(cr.AutogradError, match="nothing was recorded"):
        cr.draw_graph(y.detach())
    with pytest.raises(cr.DtypeError, match="got a float"):
        cr.draw_graph([1.0])
    with pytest.raises(ValueError, match="format='png'; it is one of text, mermaid, dot, svg"):
        cr.draw_graph(y, "png")
    with pytest.raises(ValueError, match="limit=0"):
        cr.draw_graph(y, limit=0)

"""What derivatives are at kinks, ties and infinities: the table of docs/conventions.md, row by row.

The expected gradients are torch's, committed; the `peers` test asks torch itself. Where a row says `torch=False`, torch
gives NaN and chainrule on purpose does not.
"""

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.checkout import ROOT

NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Convention:
    """A row: a function of a module (chainrule or torch) and inputs, and the gradients of its sum."""

    name: str
    function: Callable[..., Any]
    inputs: list[list[float]]
    gradients: list[list[float]]
    torch: bool = True


CONVENTIONS = [
    Convention("abs", lambda m, x: m.abs(x), [[0.0, -0.0, -2.0]], [[0.0, 0.0, -1.0]]),
    Convention("sign", lambda m, x: m.sign(x) + m.floor(x) + m.ceil(x) + m.trunc(x) + m.round(x),
               [[0.0, 1.0, 0.5]], [[0.0, 0.0, 0.0]]),
    Convention("relu", lambda m, x: m.relu(x), [[0.0, -0.0, 2.0, -2.0]], [[0.0, 0.0, 1.0, 0.0]]),
    Convention("clamp", lambda m, x: m.clamp(x, 0.0, 1.0), [[0.0, 1.0, 0.5, -1.0, 2.0]], [[1.0, 1.0, 1.0, 0.0, 0.0]]),
    Convention("clamp tensors", lambda m, x, y, z: m.clamp(x, y, z),
               [[0.0, 1.0, -1.0, 2.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]],
               [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
    Convention("clamp crossed", lambda m, x, y, z: m.clamp(x, y, z),
               [[3.0, 0.5], [2.0, 2.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
    Convention("maximum", lambda m, x, y: m.maximum(x, y) + 2 * m.minimum(x, y),
               [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]], [[1.5, 2.0, 1.0], [1.5, 1.0, 2.0]]),
    Convention("maximum nan", lambda m, x, y: m.maximum(x, y), [[NAN, 1.0], [1.0, NAN]], [[1.0, 1.0], [1.0, 1.0]]),
    Convention("fmax", lambda m, x, y: m.fmax(x, y) + 2 * m.fmin(x, y),
               [[1.0, 2.0], [1.0, 3.0]], [[3.0, 2.0], [0.0, 1.0]]),
    Convention("fmax nan", lambda m, x, y: m.fmax(x, y) + 2 * m.fmin(x, y),
               [[NAN, 1.0], [1.0, NAN]], [[0.0, 3.0], [3.0, 0.0]]),
    Convention("where", lambda m, x, y, z: m.where(x > 0, x, y) * z,
               [[1.0, -1.0], [5.0, 6.0], [INF, 3.0]], [[INF, 0.0], [0.0, 3.0], [1.0, 6.0]]),
    Convention("where nan", lambda m, x, y: m.where(x > 0, m.sqrt(x), y),
               [[0.0, 4.0], [1.0, 1.0]], [[NAN, 0.25], [1.0, 0.0]]),
    Convention("pow zero", lambda m, x: x ** 0, [[0.0, 2.0]], [[0.0, 0.0]]),
    Convention("pow at zero", lambda m, x, y: m.pow(x, y),
               [[0.0, 0.0, 0.0, 0.0], [2.0, 1.0, 0.5, 0.0]], [[0.0, 1.0, INF, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    Convention("pow of zero", lambda m, x: 0.0 ** x, [[0.0, 1.0, 2.0]], [[0.0, 0.0, 0.0]]),
    Convention("pow negative", lambda m, x, y: m.pow(x, y), [[-2.0], [3.0]], [[12.0], [NAN]]),
    Convention("sqrt", lambda m, x: m.sqrt(x), [[0.0, 4.0]], [[INF, 0.25]]),
    Convention("rsqrt", lambda m, x: m.rsqrt(x), [[0.0, 4.0]], [[-INF, -0.0625]]),
    Convention("log", lambda m, x: m.log(x), [[0.0, 4.0]], [[INF, 0.25]]),
    Convention("sinc", lambda m, x: m.sinc(x), [[0.0, 0.5]], [[0.0, -1.2732395447351625]]),
    Convention("atan2", lambda m, x, y: m.atan2(x, y), [[0.0, 1.0], [0.0, 2.0]], [[0.0, 0.4], [0.0, -0.2]]),
    Convention("hypot", lambda m, x, y: m.hypot(x, y), [[0.0, 3.0], [0.0, 4.0]], [[0.0, 0.6], [0.0, 0.8]], torch=False),
    Convention("logaddexp", lambda m, x, y: m.logaddexp(x, y),
               [[-INF, 1.0], [-INF, 1.0]], [[0.5, 0.5], [0.5, 0.5]], torch=False),
    Convention("remainder", lambda m, x, y: m.remainder(x, y) + 10 * m.fmod(x, y),
               [[5.0, -5.0], [3.0, 3.0]], [[11.0, 11.0], [-11.0, 12.0]]),
    Convention("div rounded", lambda m, x, y: m.div(x, y, rounding_mode="floor") + m.div(x, y, rounding_mode="trunc"),
               [[5.0], [2.0]], [[0.0], [0.0]]),
    Convention("nan_to_num", lambda m, x: m.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0),
               [[NAN, INF, -INF, 1.0]], [[0.0, 0.0, 0.0, 1.0]]),
    Convention("logit", lambda m, x: m.logit(x, 0.125), [[0.125, 0.0, 0.5, 1.0]], [[9.142857142857142, 0.0, 4.0, 0.0]]),
    Convention("erfinv", lambda m, x: m.erfinv(x), [[0.0, 1.0, -1.0]], [[0.8862269254527579, INF, INF]]),
    Convention("amax", lambda m, x: m.amax(x) + 2 * m.amin(x) + 4 * m.max(x) + 8 * m.min(x),
               [[2.0, 2.0, 1.0, 1.0]], [[2.5, 2.5, 5.0, 5.0]]),
    Convention("max dim", lambda m, x: m.max(x, 0)[0] + 2 * m.min(x, 0)[0],
               [[2.0, 2.0, 1.0, 1.0]], [[1.0, 0.0, 2.0, 0.0]]),
    Convention("max nan", lambda m, x: m.max(x), [[2.0, NAN, 1.0]], [[0.0, 1.0, 0.0]]),
    Convention("sort", lambda m, x: m.sort(x)[0] * m.tensor([1.0, 10.0, 100.0, 1000.0]),
               [[2.0, 1.0, 2.0, 1.0]], [[100.0, 1.0, 1000.0, 10.0]]),
    Convention("cummax", lambda m, x: m.cummax(x, 0)[0], [[1.0, 1.0, 0.0, 2.0]], [[1.0, 2.0, 0.0, 1.0]]),
    Convention("median", lambda m, x: m.median(x), [[2.0, 2.0, 1.0, 3.0]], [[0.5, 0.5, 0.0, 0.0]]),
    Convention("median dim", lambda m, x: m.median(x, 0)[0], [[2.0, 2.0, 1.0, 3.0]], [[1.0, 0.0, 0.0, 0.0]]),
    Convention("prod", lambda m, x: m.prod(x) + m.cumprod(x, 0).sum(), [[2.0, 0.0, 3.0]], [[1.0, 14.0, 0.0]]),
    Convention("prod zeros", lambda m, x: m.prod(x), [[0.0, 0.0, 3.0]], [[0.0, 0.0, 0.0]]),
    Convention("std", lambda m, x: m.std(x), [[1.0, 1.0]], [[0.0, 0.0]]),
    Convention("std one", lambda m, x: m.std(x) + m.var(x), [[1.0]], [[NAN]]),
    Convention("norm", lambda m, x: m.norm(x), [[0.0, 0.0]], [[0.0, 0.0]]),
    Convention("norm 1", lambda m, x: m.norm(x, 1), [[0.0, 2.0, -2.0]], [[0.0, 1.0, -1.0]]),
    Convention("norm inf", lambda m, x: m.norm(x, float("inf")), [[0.0, 2.0, -2.0]], [[0.0, 0.5, -0.5]]),
    Convention("norm half", lambda m, x: m.norm(x, 0.5), [[0.0, 2.0, -2.0]], [[0.0, 2.0, -2.0]]),
    Convention("logsumexp", lambda m, x: m.logsumexp(x, 0), [[-INF, -INF]], [[0.0, 0.0]], torch=False),
    Convention("softmax", lambda m, x: m.softmax(x, 0), [[-INF, -INF]], [[NAN, NAN]]),
    Convention("nansum", lambda m, x: m.nansum(x), [[NAN, 1.0]], [[0.0, 1.0]]),
]
rows = pytest.mark.parametrize("row", CONVENTIONS, ids=lambda row: row.name)


def compare(found: Any, expected: list[list[float]]) -> None:
    for g, e in zip(found, expected, strict=True):
        got = np.zeros(len(e)) if g is None else g.detach().numpy()
        np.testing.assert_allclose(got, e, rtol=1e-12, atol=1e-15)


@rows
@pytest.mark.parametrize("create_graph", [False, True])
def test_convention(row: Convention, create_graph: bool) -> None:
    """The formulas follow the conventions on arrays, and on tensors where the walk is recorded."""
    inputs = [cr.tensor(np.array(v), requires_grad=True) for v in row.inputs]
    with np.errstate(all="ignore"):
        total = row.function(cr, *inputs).sum()
        compare(cr.grad(total, inputs, create_graph=create_graph, allow_unused=True), row.gradients)


@pytest.mark.peers
@pytest.mark.parametrize("row", [r for r in CONVENTIONS if r.torch], ids=lambda row: row.name)
def test_torch_has_the_same(row: Convention) -> None:
    torch = pytest.importorskip("torch")
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in row.inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the standard deviation of one element
        total = row.function(torch, *inputs).sum()
    compare(torch.autograd.grad(total, inputs, allow_unused=True), row.gradients)


def test_the_documented_table_is_this_one() -> None:
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| ([a-z0-9_ ]+) \|.*\| (yes|no).* \|$", text, re.MULTILINE)
    assert documented == [(r.name, "yes" if r.torch else "no") for r in CONVENTIONS]

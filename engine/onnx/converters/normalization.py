"""Normalization and attention."""

import math
from typing import Any

import numpy as np

from chainrule.onnx.graph import Unsupported
from chainrule.onnx.sizes import Size
from chainrule.onnx.table import converter


@converter("layer_norm")
def layer_norm(g: Any, use: Any, x: str, weight: str | None, bias: str | None) -> Any:
    """LayerNormalization."""
    shape = use["normalized_shape"]
    if weight is None:
        weight = g.constant(np.ones(shape, use.dtype))
    return g.op("LayerNormalization", x, weight, bias, axis=-len(shape), epsilon=use["eps"])


@converter("group_norm")
def group_norm(g: Any, use: Any, x: str, weight: str | None, bias: str | None) -> Any:
    """Groups as channels of an instance norm: ONNX's own operator of this opset has a factor for each group, not channel."""
    batch, channels, *positions = use.shapes[0]
    groups = use["num_groups"]
    ones, zeros = g.constant(np.ones(groups, use.dtype)), g.constant(np.zeros(groups, use.dtype))
    if groups == channels and positions:
        return g.op("InstanceNormalization", x, weight or ones, bias or zeros, epsilon=use["eps"])
    total: Any = channels // groups
    for n in positions:
        total = n * total
    grouped = g.reshape(x, (batch, groups, total))
    out = g.reshape(g.op("InstanceNormalization", grouped, ones, zeros, epsilon=use["eps"]), use.shape)
    seen = (channels,) + (1,) * len(positions)
    if weight is not None:
        out = g.op("Mul", out, g.reshape(weight, seen))
    return out if bias is None else g.op("Add", out, g.reshape(bias, seen))


@converter("batch_norm_by_running")
def batch_norm_by_running(g: Any, use: Any, x: str, mean: str, var: str, weight: str | None, bias: str | None) -> Any:
    """BatchNormalization."""
    channels = use.shapes[1]
    ones, zeros = np.ones(channels, use.dtype), np.zeros(channels, use.dtype)
    return g.op("BatchNormalization", x, weight or g.constant(ones), bias or g.constant(zeros), mean, var, epsilon=use["eps"])


@converter("scaled_dot_product_attention")
def attention(g: Any, use: Any, query: str, key: str, value: str, mask: str | None) -> Any:
    """Without a mask, or with the causal one, every query sees a key, and the weights are a plain softmax."""
    if mask is not None or use["dropout_p"] or use["enable_gqa"]:
        raise Unsupported("the definition's ops do this")
    rank, (length, count) = use.rank(1), (use.shapes[0][-2], use.shapes[1][-2])
    if not length or not count:
        raise Unsupported("there are no keys")
    scores = g.op("MatMul", g.op("Mul", query, g.constant(use["scale"], use.dtype)),
                  g.transpose(key, (*range(rank - 2), rank - 1, rank - 2)))
    if use["is_causal"]:
        if isinstance(length, Size) or isinstance(count, Size):
            ones = g.op("Expand", g.constant(np.int64(1)), g.ints(length, count))
            seen = g.cast(g.op("Trilu", ones, upper=0), np.int64, np.bool_)
        else:
            seen = g.constant(np.tri(length, count, dtype=np.bool_))
        scores = g.op("Where", seen, scores, g.constant(-math.inf, use.dtype))
    return g.op("MatMul", g.op("Softmax", scores, axis=-1), value)

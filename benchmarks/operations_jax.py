"""The single operations as jax has them. Images are NHWC, which its convolutions on a CPU are quicker with."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.workloads_jax import cross_entropy

__all__ = ["function_of"]


def function_of(name: str, **options: Any) -> Any:
    """The function(*inputs), or for a layer function(parameters, *inputs), of an operation."""
    return partial(FUNCTIONS[name], **options)


def linear(x: Any, weight: Any, bias: Any, activation: Any) -> Any:
    """With an activation."""
    return activation(x @ weight.T + bias)


def conv2d(x: Any, weight: Any, stride: int) -> Any:
    """NHWC images, OIHW weight, padded by half the kernel."""
    padding = weight.shape[-1] // 2
    return jax.lax.conv_general_dilated(x, weight, (stride, stride), [(padding, padding)] * 2,
                                        dimension_numbers=("NHWC", "OIHW", "NHWC"))


def max_pool(x: Any, kernel: int, stride: int) -> Any:
    """NHWC."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, kernel, kernel, 1), (1, stride, stride, 1), "VALID")


def lstm(p: Any, x: Any) -> Any:
    """All inputs in one product, then a scan over the steps."""
    weight = p["layer.weight_hh_l0"].T

    def step(state: Any, gates: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(gates + h @ weight, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((x.shape[1], weight.shape[0]), x.dtype)
    inputs = x @ p["layer.weight_ih_l0"].T + (p["layer.bias_ih_l0"] + p["layer.bias_hh_l0"])
    return jax.lax.scan(step, (start, start), inputs)[1]


def gru(p: Any, x: Any) -> Any:
    """The reset acts after the product, as in torch."""
    weight, bias = p["layer.weight_hh_l0"].T, p["layer.bias_hh_l0"]

    def step(h: Any, inputs: Any) -> Any:
        (xr, xz, xn), (hr, hz, hn) = (jnp.split(a, 3, axis=-1) for a in (inputs, h @ weight + bias))
        z = jax.nn.sigmoid(xz + hz)
        h = (1 - z) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + z * h
        return h, h

    inputs = x @ p["layer.weight_ih_l0"].T + p["layer.bias_ih_l0"]
    return jax.lax.scan(step, jnp.zeros((x.shape[1], weight.shape[0]), x.dtype), inputs)[1]


def attention(q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False) -> Any:
    """(N, H, T, D) in and out; jax's own function has the heads behind the positions."""
    q, k, v = (jnp.swapaxes(a, 1, 2) for a in (q, k, v))
    mask = None if mask is None else mask[None, None]
    return jnp.swapaxes(jax.nn.dot_product_attention(q, k, v, mask=mask, is_causal=is_causal), 1, 2)


def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    """Over the last axis."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * weight + bias


def batch_norm(x: Any, weight: Any, bias: Any) -> Any:
    """NHWC."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * weight) + bias


FUNCTIONS: dict[str, Any] = {
    "matmul": jnp.matmul, "linear_relu": partial(linear, activation=jax.nn.relu),
    "linear_gelu": partial(linear, activation=partial(jax.nn.gelu, approximate=False)),
    "conv2d": conv2d, "max_pool": max_pool, "lstm": lstm, "gru": gru,
    "attention_plain": attention, "attention_causal": partial(attention, is_causal=True), "attention_masked": attention,
    "layer_norm": layer_norm, "batch_norm": batch_norm, "cross_entropy": cross_entropy,
    "gelu": partial(jax.nn.gelu, approximate=False), "relu": jax.nn.relu, "exp": jnp.exp,
    "embedding": lambda table, index: table[index],
}

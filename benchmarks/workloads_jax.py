"""The workloads as jax has them: plain functions of the parameters, which are a dict under the names of the model's parameters."""

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["loss_of"]


def loss_of(name: str) -> Any:
    """The function loss(parameters, *data) of a workload; "gpt_4" is `gpt` with 4 heads."""
    kind, _, heads = name.rpartition("_")
    if heads.isdigit():
        function: Any = {"gpt": gpt, "translator": translator}[kind]
        return lambda p, *data: function(p, int(heads), *data)
    return {"mlp_mse": mlp_mse, "mlp_cross_entropy": mlp_cross_entropy, "cnn": cnn, "lstm": lstm, "resnet": resnet}[name]


def cross_entropy(logits: Any, classes: Any) -> Any:
    """The mean over the rows."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), classes[:, None], 1).mean()


def linear(p: Any, name: str, x: Any) -> Any:
    """x @ weight.T + bias."""
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def mlp(p: Any, x: Any) -> Any:
    """Linear layers numbered 0, 2, 4 … with ReLU between them."""
    count = len(p) // 2
    for i in range(count):
        x = linear(p, str(2 * i), x)
        x = x if i == count - 1 else jax.nn.relu(x)
    return x


def mlp_mse(p: Any, x: Any, y: Any) -> Any:
    """Mean squared error."""
    return jnp.square(mlp(p, x) - y).mean()


def mlp_cross_entropy(p: Any, x: Any, y: Any) -> Any:
    """A classifier."""
    return cross_entropy(mlp(p, x), y)


def convolution(x: Any, weight: Any, stride: int = 1) -> Any:
    """NHWC images with an OIHW weight, padded to keep the size."""
    padding = weight.shape[-1] // 2
    return jax.lax.conv_general_dilated(x, weight, (stride, stride), [(padding, padding)] * 2,
                                        dimension_numbers=("NHWC", "OIHW", "NHWC"))


def max_pool(x: Any) -> Any:
    """2 × 2, NHWC."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn(p: Any, x: Any, y: Any) -> Any:
    """The images are given as NCHW; NHWC is what XLA's convolutions on a CPU are quicker with."""
    x = x.transpose(0, 2, 3, 1)
    for layer in ("0", "3"):
        x = max_pool(jax.nn.relu(convolution(x, p[f"{layer}.weight"]) + p[f"{layer}.bias"]))
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
    return cross_entropy(linear(p, "9", jax.nn.relu(linear(p, "7", x))), y)


def batch_norm(p: Any, name: str, x: Any) -> Any:
    """With the batch's statistics; the running ones do not enter the loss, and are left out."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"]) + p[f"{name}.bias"]


def resnet(p: Any, x: Any, y: Any) -> Any:
    """NHWC inside."""
    x = jax.nn.relu(batch_norm(p, "1", convolution(x.transpose(0, 2, 3, 1), p["0.weight"])))
    for block in range(3, 12):
        shortcut = p.get(f"{block}.downsample.weight")
        stride = 1 if shortcut is None else 2
        h = jax.nn.relu(batch_norm(p, f"{block}.bn1", convolution(x, p[f"{block}.conv1.weight"], stride)))
        h = batch_norm(p, f"{block}.bn2", convolution(h, p[f"{block}.conv2.weight"]))
        x = jax.nn.relu(h + (x if shortcut is None else convolution(x, shortcut, stride)))
    return cross_entropy(linear(p, "14", x.mean((1, 2))), y)


def lstm_layer(p: Any, layer: int, x: Any) -> Any:
    """x (T, N, I) -> (T, N, H): all inputs in one product, then a scan over the steps."""
    inputs = x @ p[f"lstm.weight_ih_l{layer}"].T + (p[f"lstm.bias_ih_l{layer}"] + p[f"lstm.bias_hh_l{layer}"])
    weight = p[f"lstm.weight_hh_l{layer}"].T

    def step(state: Any, gates: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(gates + h @ weight, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((x.shape[1], weight.shape[0]), x.dtype)
    return jax.lax.scan(step, (start, start), inputs)[1]


def lstm(p: Any, x: Any, y: Any) -> Any:
    """x (N, T, I)."""
    x = lstm_layer(p, 1, lstm_layer(p, 0, x.transpose(1, 0, 2)))
    return cross_entropy(linear(p, "fc", x[-1]), y)


def layer_norm(p: Any, name: str, x: Any) -> Any:
    """Over the last axis."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def gpt(p: Any, heads: int, tokens: Any, following: Any) -> Any:
    """See `workloads.gpt`."""
    n, t = tokens.shape
    x = p["token.weight"][tokens] + p["position.weight"]
    depth = 1 + max(int(name.split(".")[1]) for name in p if name.startswith("blocks."))
    for i in range(depth):
        block = f"blocks.{i}"
        q, k, v = jnp.moveaxis(linear(p, f"{block}.qkv", layer_norm(p, f"{block}.norm1", x)).reshape(n, t, 3, heads, -1), 2, 0)
        attended = jax.nn.dot_product_attention(q, k, v, is_causal=True)  # (N, T, H, D)
        x = x + linear(p, f"{block}.projection", attended.reshape(n, t, -1))
        h = jax.nn.gelu(linear(p, f"{block}.wide", layer_norm(p, f"{block}.norm2", x)), approximate=False)
        x = x + linear(p, f"{block}.narrow", h)
    logits = linear(p, "head", layer_norm(p, "norm", x))
    return cross_entropy(logits.reshape(n * t, -1), following.reshape(-1))


def attention(p: Any, name: str, heads: int, x: Any, memory: Any, is_causal: bool = False) -> Any:
    """Multi-head attention under torch's names: the projections of query, key and value are one matrix."""
    weights = jnp.split(p[f"{name}.in_proj_weight"], 3)
    biases = jnp.split(p[f"{name}.in_proj_bias"], 3)
    q, k, v = ((s @ w.T + b).reshape(*s.shape[:2], heads, -1) for s, w, b in zip((x, memory, memory), weights, biases))
    return linear(p, f"{name}.out_proj", jax.nn.dot_product_attention(q, k, v, is_causal=is_causal).reshape(x.shape))


def feed_forward(p: Any, name: str, x: Any) -> Any:
    """Two linear layers."""
    return linear(p, f"{name}.linear2", jax.nn.relu(linear(p, f"{name}.linear1", x)))


def translator(p: Any, heads: int, source: Any, target: Any, following: Any, mask: Any) -> Any:
    """See `workloads.translator`; the mask is the causal one."""
    x = p["source.weight"][source] + p["position.weight"]
    y = p["target.weight"][target] + p["position.weight"]
    depth = 1 + max(int(name.split(".")[3]) for name in p if name.startswith("transformer.encoder.layers."))
    for i in range(depth):
        layer = f"transformer.encoder.layers.{i}"
        x = layer_norm(p, f"{layer}.norm1", x + attention(p, f"{layer}.self_attn", heads, x, x))
        x = layer_norm(p, f"{layer}.norm2", x + feed_forward(p, layer, x))
    x = layer_norm(p, "transformer.encoder.norm", x)
    for i in range(depth):
        layer = f"transformer.decoder.layers.{i}"
        y = layer_norm(p, f"{layer}.norm1", y + attention(p, f"{layer}.self_attn", heads, y, y, is_causal=True))
        y = layer_norm(p, f"{layer}.norm2", y + attention(p, f"{layer}.multihead_attn", heads, y, x))
        y = layer_norm(p, f"{layer}.norm3", y + feed_forward(p, layer, y))
    logits = linear(p, "head", layer_norm(p, "transformer.decoder.norm", y))
    return cross_entropy(logits.reshape(following.size, -1), following.reshape(-1))

"""Compiling ahead: `python -m chainrule warmup` runs each kernel once, so that none is compiled in the middle of a lesson.

Kernels are compiled when they are first called, for the dtype of that call, and kept on disk (see `kernels/cpu/cache.py`).
Each row below is one computation that calls a family of kernels, at sizes where NumPy no longer serves.
"""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from chainrule import dtypes, layers, optim
from chainrule import functional as F
from chainrule.names import ops
from chainrule.ops.random import randint, randn
from chainrule.tensor import Tensor

__all__ = ["rows", "warmup"]

table: dict[str, Callable[[], Any]] = {}


def row(function: Callable[[], Any]) -> Callable[[], Any]:
    """Decorator: a row of the table; its name is the function's, with spaces. What it returns is differentiated."""
    table[function.__name__.strip("_").replace("_", " ")] = function
    return function


def leaf(*shape: int) -> Tensor:
    """Random numbers of the default dtype that a gradient is wanted of."""
    return randn(*shape, requires_grad=True)


@row
def _linear() -> Any:
    return F.linear(leaf(256, 256), leaf(256, 256), leaf(256)), F.linear(leaf(64, 256), leaf(256, 256), leaf(256))


@row
def _matmul() -> Any:
    return leaf(512, 256) @ leaf(256, 256), leaf(8, 128, 64) @ leaf(8, 64, 128), leaf(8, 128, 64) @ leaf(64, 128)


@row
def _attention() -> Any:
    q, k, v = (leaf(2, 4, 160, 32) for _ in range(3))
    mask = randn(160, 160) > -1
    return (F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(q, k, v, attn_mask=mask))


@row
def _convolution() -> Any:
    return (F.conv2d(leaf(8, 1, 28, 28), leaf(32, 1, 3, 3), leaf(32), padding=1),
            F.conv2d(leaf(8, 32, 28, 28), leaf(64, 32, 3, 3), leaf(64), padding=1),
            F.conv2d(leaf(16, 64, 14, 14), leaf(128, 64, 3, 3), leaf(128), padding=1),
            F.conv2d(leaf(8, 32, 28, 28), leaf(64, 32, 1, 1), leaf(64)),
            F.conv2d(leaf(4, 3, 64, 64), leaf(32, 3, 7, 7), leaf(32), stride=2, padding=3),
            F.conv1d(leaf(4, 32, 256), leaf(32, 32, 3), leaf(32), padding=2, dilation=2))


@row
def _depthwise_convolution() -> Any:
    return F.conv2d(leaf(8, 32, 28, 28), leaf(32, 1, 3, 3), leaf(32), padding=1, groups=32)


@row
def _transposed_convolution() -> Any:
    return F.conv_transpose2d(leaf(8, 32, 14, 14), leaf(32, 16, 4, 4), leaf(16), stride=2, padding=1)


@row
def _pooling() -> Any:
    x = leaf(8, 16, 28, 28)
    return (F.max_pool2d(x, 2), F.max_pool2d(x, 2, return_indices=True)[0], F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 1))


@row
def _lstm() -> Any:
    return layers.LSTM(32, 64)(leaf(8, 64, 32))[0]


@row
def _gru() -> Any:
    return layers.GRU(32, 64)(leaf(8, 64, 32))[0]


@row
def _rnn() -> Any:
    return layers.RNN(32, 64)(leaf(8, 64, 32))[0]


@row
def _normalization() -> Any:
    images = leaf(8, 32, 28, 28)
    return (F.layer_norm(leaf(256, 256), (256,), leaf(256), leaf(256)), F.rms_norm(leaf(256, 256), (256,), leaf(256)),
            layers.BatchNorm1d(256)(leaf(256, 256)), layers.BatchNorm2d(32)(images),
            layers.BatchNorm2d(32).eval()(images), layers.GroupNorm(4, 32)(images))


@row
def _activations() -> Any:
    x = leaf(256, 512)
    return (F.relu(x), F.leaky_relu(x), F.elu(x), F.gelu(x), F.gelu(x, approximate="tanh"), F.silu(x), F.softplus(x), x.sigmoid(),
            x.tanh(), x.exp(), ops.erf(x))


@row
def _softmax_and_losses() -> Any:
    x, y = leaf(256, 512), randint(0, 512, (256,))
    return (F.softmax(x, 1), F.log_softmax(x, 1), F.cross_entropy(x, y), F.mse_loss(x, randn(256, 512)),
            F.nll_loss(F.log_softmax(x, 1), y))


@row
def _connectionist_temporal_classification() -> Any:
    return F.ctc_loss(F.log_softmax(leaf(20, 4, 8), 2), randint(1, 8, (4, 6)), ops.as_tensor([20] * 4), ops.as_tensor([6] * 4))


@row
def _dropout() -> Any:
    return F.dropout(leaf(512, 512), 0.5)


@row
def _embedding() -> Any:
    return F.embedding(randint(0, 1000, (64, 64)), leaf(1000, 128))


@row
def _sums() -> Any:
    x = leaf(512, 512)
    return x.sum(), x.sum(0), x.sum(1), x.mean()


@row
def _optimizers() -> Any:
    rules: list[Any] = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop]
    for rule in rules:
        x = leaf(256, 256)
        x.grad = randn(256, 256)
        optim.clip_grad_norm_([x], 1.0)
        optim.clip_grad_value_([x], 0.5)
        optimizer = rule([x], lr=1e-3)
        optimizer.step()  # makes its averages, by the rule in NumPy
        optimizer.step()


def rows(only: str = "") -> list[str]:
    """The names of the rows that contain `only`.

    >>> rows("lst")
    ['lstm']
    """
    return [name for name in table if only in name]


def _leaves(found: Any) -> Iterator[Tensor]:
    for value in found if isinstance(found, tuple) else (found,):
        if isinstance(value, Tensor):
            yield value


def warmup(names: Iterable[str] | None = None, dtype: Any = None) -> Iterator[tuple[str, float]]:
    """Run the rows of these names (None: all), forward and backward, in this dtype (None: the default float dtype); yields
    each name and how many seconds it took, when it is done.

    >>> [name for name, seconds in warmup(["sums"])]
    ['sums']
    """
    former = dtypes.get_default_dtype()
    for name in table if names is None else names:
        begin = perf_counter()
        dtypes.set_default_dtype(former if dtype is None else dtype)
        try:
            for out in _leaves(table[name]()):
                out.sum().backward(retain_graph=True)
        finally:
            dtypes.set_default_dtype(former)
        yield name, perf_counter() - begin

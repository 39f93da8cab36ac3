"""Single operations, forward and, where somebody trains with them, forward and backward."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from benchmarks.cases import Case, Operation, Update

__all__ = ["OPERATIONS"]

Draw = Callable[[Any], list[Any]]


def normal(*shapes: tuple[int, ...], scale: float = 1.0) -> Draw:
    """Normal float32 arrays."""
    return lambda rng: [rng.standard_normal(shape, dtype=np.float32) * np.float32(scale) for shape in shapes]


def count(*shapes: tuple[int, ...]) -> int:
    """The bytes of float32 arrays of these shapes."""
    return 4 * sum(int(np.prod(shape)) for shape in shapes)


def both(name: str, title: str, flops: float, forward: float, backward: float, run: Any, inputs: Draw, **more: Any) -> list[Case]:
    """The operation forward, and forward and backward; the bytes moved by each pass.

    A backward pass has two products for each one of the forward pass.
    """
    return [Operation(f"operations/{name}", title, flops, forward, run, inputs, **more),
            Operation(f"operations/{name}-training", f"{title}, and back", 3 * flops, forward + backward, run, inputs,
                      training=True, **more)]


# ---- products


def matmul(n: int) -> Operation:
    """Square."""
    return Operation(f"operations/matmul-{n}", f"matmul {n} × {n}", 2.0 * n**3, 3 * count((n, n)),
                     lambda L, F, a, b: L.matmul(a, b), normal((n, n), (n, n)), jax="matmul",
                     numpy=lambda np, a, b: np.matmul(a, b))


def linear(name: str, rows: int, before: int, after: int, activation: str) -> list[Case]:
    """Product, bias and activation."""
    def run(L: Any, F: Any, x: Any, weight: Any, bias: Any) -> Any:
        return getattr(F, activation)(F.linear(x, weight, bias))

    def inputs(rng: Any) -> list[Any]:
        weight = rng.standard_normal((after, before), dtype=np.float32) / np.float32(before**0.5)
        return [rng.standard_normal((rows, before), dtype=np.float32), weight, rng.standard_normal(after, dtype=np.float32)]

    moved = count((rows, before), (after, before), (rows, after))
    return both(f"linear-{name}", f"linear + {activation}, {rows} × {before} → {after}", 2.0 * rows * before * after, moved,
                2 * moved, run, inputs, jax=f"linear_{activation}", fused=True)


# ---- convolution and pooling


def conv2d(name: str, batch: int, before: int, after: int, size: int, kernel: int, stride: int = 1) -> list[Case]:
    """Padded to keep the size, which the stride divides."""
    images, weight = (batch, before, size, size), (after, before, kernel, kernel)
    result = (batch, after, size // stride, size // stride)

    def run(L: Any, F: Any, x: Any, weight: Any) -> Any:
        return F.conv2d(x, weight, stride=stride, padding=kernel // 2)

    def inputs(rng: Any) -> list[Any]:
        drawn = rng.standard_normal(weight, dtype=np.float32) / np.float32((before * kernel * kernel) ** 0.5)
        return [rng.standard_normal(images, dtype=np.float32), drawn]

    moved = count(images, weight, result)
    step = f"/{stride}" if stride > 1 else ""
    title = f"conv2d {kernel}×{kernel}{step}, {before} → {after} channels, {size}×{size}, batch {batch}"
    return both(f"conv2d-{name}", title, 2.0 * int(np.prod(result)) * before * kernel * kernel, moved, 2 * moved, run, inputs,
                jax="conv2d", options={"stride": stride}, images=True)


def max_pool(kernel: int, stride: int, batch: int, channels: int, size: int) -> list[Case]:
    """Without padding."""
    after = (size - kernel) // stride + 1
    moved = count((batch, channels, size, size), (batch, channels, after, after))
    title = f"max_pool2d {kernel}×{kernel}/{stride}, {batch} × {channels} × {size}×{size}"
    return both(f"max-pool-{kernel}x{kernel}", title, 0.0, moved, moved, lambda L, F, x: F.max_pool2d(x, kernel, stride),
                normal((batch, channels, size, size)), jax="max_pool", options={"kernel": kernel, "stride": stride}, images=True)


# ---- recurrence


def recurrent(kind: str, gates: int, steps: int, batch: int, before: int, hidden: int) -> list[Case]:
    """One layer over whole sequences (T, N, I)."""
    def layer(nn: Any) -> Any:
        class Outputs(nn.Module):  # type: ignore[misc, unused-ignore]
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(nn, kind)(before, hidden)

            def forward(self, x: Any) -> Any:
                return self.layer(x)[0]

        return Outputs()

    flops = 2.0 * steps * batch * gates * hidden * (before + hidden)
    return both(f"{kind.lower()}-{hidden}", f"{kind} {before} → {hidden}, {steps} steps, batch {batch}", flops, 0, 0, None,
                normal((steps, batch, before)), layer=layer, jax=kind.lower())


# ---- attention


def attention(shape: tuple[int, int, int, int], kind: str) -> list[Case]:
    """(N, H, T, D); plain, causal, or with a mask that hides a quarter of the keys from each query."""
    n, h, t, d = shape

    def run(L: Any, F: Any, q: Any, k: Any, v: Any, mask: Any = None) -> Any:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=kind == "causal")

    def inputs(rng: Any) -> list[Any]:
        arrays = normal(shape, shape, shape)(rng)
        return [*arrays, rng.random((t, t)) < 0.75] if kind == "masked" else arrays

    flops = 4.0 * n * h * t * t * d / (2 if kind == "causal" else 1)
    return both(f"attention-{t}{'' if kind == 'plain' else '-' + kind}", f"attention {n} × {h} heads × {t} × {d}, {kind}", flops,
                4 * count(shape), 4 * count(shape), run, inputs, jax=f"attention_{kind}")


# ---- one pass over memory


def layer_norm(rows: int, width: int) -> list[Case]:
    """Over the last axis."""
    moved = 2 * count((rows, width))
    return both(f"layer-norm-{rows}x{width}", f"layer_norm {rows} × {width}", 0.0, moved, 1.5 * moved,
                lambda L, F, x, weight, bias: F.layer_norm(x, (width,), weight, bias), normal((rows, width), (width,), (width,)),
                jax="layer_norm", fused=True)


def batch_norm(shape: tuple[int, int, int, int]) -> list[Case]:
    """With the batch's statistics."""
    moved, channels = 2 * count(shape), (shape[1],)
    return both("batch-norm", f"batch_norm {' × '.join(map(str, shape))}", 0.0, moved, 1.5 * moved,
                lambda L, F, x, weight, bias: F.batch_norm(x, None, None, weight, bias, training=True),
                normal(shape, channels, channels), jax="batch_norm", fused=True, images=True)


def cross_entropy(rows: int, classes: int) -> list[Case]:
    """Of logits (rows, classes)."""
    moved = count((rows, classes))
    return both(f"cross-entropy-{rows}x{classes}", f"cross_entropy {rows} × {classes}", 0.0, moved, 2 * moved,
                lambda L, F, x, y: F.cross_entropy(x, y),
                lambda rng: [rng.standard_normal((rows, classes), dtype=np.float32), rng.integers(0, classes, rows)],
                jax="cross_entropy", fused=True)


def elementwise(name: str, size: int) -> list[Case]:
    """gelu, relu or exp."""
    def run(L: Any, F: Any, x: Any) -> Any:
        return x.exp() if name == "exp" else getattr(F, name)(x)

    return both(f"{name}-1e{len(str(size)) - 1}", f"{name}, {size:,} elements", 0.0, 2 * count((size,)), 3 * count((size,)), run,
                normal((size,)), jax=name, fused=True)


def embedding(rows: int, vocabulary: int, width: int) -> list[Case]:
    """Rows taken out of a table; back, their gradients are added into one of its size."""
    moved = 2 * count((rows, width))
    return both("embedding", f"embedding, {rows} of {vocabulary} × {width}", 0.0, moved, 2 * moved + count((vocabulary, width)),
                lambda L, F, table, index: F.embedding(index, table),
                lambda rng: [rng.standard_normal((vocabulary, width), dtype=np.float32), rng.integers(0, vocabulary, rows)],
                jax="embedding")


ATTENTION_SIZES = ((12, 4, 64, 32), (4, 6, 256, 64), (2, 8, 512, 64), (1, 8, 1024, 64), (1, 4, 2048, 128))
ADAM_SHAPES = ((1000, 1000), (1000,), (1000, 1500), (1500,), (1500, 330), (330,), (64, 64, 3, 3), (64,))  # 3 million

OPERATIONS: list[Case] = [
    *(matmul(2**k) for k in range(4, 12)),
    *linear("narrow", 64, 1000, 500, "relu"), *linear("wide", 256, 1024, 1024, "relu"), *linear("gelu", 768, 128, 512, "gelu"),
    *conv2d("first", 64, 1, 32, 28, 3), *conv2d("narrow", 32, 16, 16, 32, 3), *conv2d("middle", 64, 32, 64, 14, 3),
    *conv2d("wide", 8, 256, 256, 14, 3), *conv2d("1x1-narrow", 32, 16, 64, 32, 1), *conv2d("1x1-wide", 8, 256, 256, 14, 1),
    *conv2d("7x7", 4, 3, 64, 224, 7, 2),
    *max_pool(2, 2, 64, 32, 28), *max_pool(3, 2, 8, 64, 111),
    *recurrent("LSTM", 4, 28, 64, 28, 128), *recurrent("LSTM", 4, 64, 32, 256, 256),
    *recurrent("GRU", 3, 28, 64, 28, 128), *recurrent("GRU", 3, 64, 32, 256, 256),
    *(case for shape, kind in product(ATTENTION_SIZES, ("plain", "causal")) for case in attention(shape, kind)),
    *attention(ATTENTION_SIZES[1], "masked"), *attention(ATTENTION_SIZES[3], "masked"),
    *layer_norm(768, 128), *layer_norm(4096, 512), *batch_norm((64, 64, 14, 14)),
    *cross_entropy(256, 10), *cross_entropy(1024, 65), *cross_entropy(256, 10000),
    *(case for name, size in product(("gelu", "relu", "exp"), (10**3, 10**5, 10**7)) for case in elementwise(name, size)),
    *embedding(8192, 10000, 128),
    Update("operations/adam-3e6", "Adam, 3 million parameters", 0.0, 7 * count(*ADAM_SHAPES), shapes=ADAM_SHAPES),
]

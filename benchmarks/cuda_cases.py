"""What is measured on a GPU: kernels and training steps at sizes that fill one, each in the precisions that people train in.

The builders are those of the CPU's cases. `cuda_cases(small=True)` are the same cases at sizes that a test can run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from benchmarks.cases import Case, Operation, Update, Workload
from benchmarks.operations import (
    attention,
    batch_norm,
    both,
    conv2d,
    count,
    cross_entropy,
    elementwise,
    embedding,
    layer_norm,
    matmul,
    normal,
    recurrent,
)
from benchmarks.workloads import (
    ADAM_BYTES,
    convolution_flops,
    gpt_case,
    labelled,
    mlp_case,
    next_token,
    tokens_and_next,
    translation_case,
)
from benchmarks.workloads import cross_entropy as classified

__all__ = ["cuda_cases"]

ALL = ("float32", "tf32", "float16", "bfloat16")
HALF = ("float16", "bfloat16")
BYTES = {"float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}


def each(cases: Iterable[Case], *precisions: str, name: str = "") -> Iterator[Case]:
    """Every case in every precision, under its name (or `name`) and the precision's; an operation moves the less bytes the smaller
    its elements are."""
    for precision in precisions:
        for case in cases:
            group, own = case.name.split("/")
            own = name + ("-training" if own.endswith("-training") else "") if name else own
            moved = case.bytes * BYTES[precision] / 4 if isinstance(case, Operation) else case.bytes
            yield replace(case, name=f"{group}/{own}-{precision}", title=f"{case.title}, {precision}", precision=precision,
                          bytes=moved)


# ---- operations


def product(n: int) -> Operation:
    """Square; by cuBLAS, and by the kernel that is there to be read."""
    return replace(matmul(n), twin=lambda a, b: import_module("chainrule.kernels.cuda.matmul").tiled_matmul(a, b))


def over_rows(kind: str, rows: int, width: int) -> list[Case]:
    """rms_norm, softmax or log_softmax over the last axis."""
    def run(L: Any, F: Any, x: Any, weight: Any = None) -> Any:
        return F.rms_norm(x, (width,), weight, 1e-5) if kind == "rms_norm" else getattr(F, kind)(x, -1)

    moved = 2 * count((rows, width))
    drawn = normal((rows, width), (width,)) if kind == "rms_norm" else normal((rows, width))
    return both(kind.replace("_", "-"), f"{kind} {rows} × {width}", 0.0, moved, 1.5 * moved, run, drawn, fused=True)


def dropout(size: int) -> list[Case]:
    """With probability 0.1; backward, the mask is read or drawn again."""
    moved = 2 * count((size,))
    return both("dropout", f"dropout, {size:,} elements", 0.0, moved, moved, lambda L, F, x: F.dropout(x, 0.1, True),
                normal((size,)), fused=True, drawn=True)


def gpt2_shapes(vocabulary: int, width: int, depth: int, context: int) -> tuple[tuple[int, ...], ...]:
    """Of GPT-2's parameters; the small one has 124 million."""
    block = ((width,), (width,), (3 * width, width), (3 * width,), (width, width), (width,), (width,), (width,),
             (4 * width, width), (4 * width,), (width, 4 * width), (width,))
    return ((vocabulary, width), (context, width), *block * depth, (width,), (width,))


def operations(small: bool) -> Iterator[Case]:
    """Kernels."""
    def pick(full: Any, tiny: Any) -> Any:
        return tiny if small else full

    for n in pick((1024, 2048, 4096, 8192), (24, 40)):
        yield from each([product(n)], *ALL)
    images, side = pick(64, 1), pick(56, 8)
    for name, before, after, size, kernel, stride in (
            ("stem", 3, 64, 4 * side, 7, 2), ("3x3-56", 64, 64, side, 3, 1), ("1x1-56", 64, 256, side, 1, 1),
            ("3x3-28", 128, 128, side // 2, 3, 1), ("3x3-28-strided", 128, 128, side, 3, 2), ("1x1-28", 512, 128, side // 2, 1, 1),
            ("3x3-14", 256, 256, side // 4, 3, 1), ("1x1-14", 256, 1024, side // 4, 1, 1), ("3x3-7", 512, 512, side // 8, 3, 1),
            ("1x1-7", 2048, 512, side // 8, 1, 1)):
        before, after = pick((before, after), (min(before, 6), min(after, 10)))
        yield from each(conv2d(name, images, before, after, size, kernel, stride), "float32", "float16")
    for length in pick((512, 1024, 2048, 4096), (40,)):
        for head in pick((64, 128), (32, 40)):
            shape = (pick(8, 1), pick(16, 2), length, head)
            yield from each(attention(shape, "causal"), *HALF, "float32", name=f"attention-{length}x{head}")
    rows = pick(16384, 9)
    yield from each(layer_norm(rows, pick(1024, 40)), "float32", "bfloat16", name="layer-norm")
    for kind in ("rms_norm", "softmax", "log_softmax"):
        yield from each(over_rows(kind, rows, pick(1024, 40)), "float32", "bfloat16")
    yield from each(batch_norm(pick((64, 256, 56, 56), (2, 3, 4, 4))), "float32", "float16")
    yield from each(cross_entropy(pick(8192, 5), pick(50257, 37)), "float32", "bfloat16", name="cross-entropy")
    elements = pick(10**8, 30000)
    yield from each(elementwise("gelu", elements), "float32", "bfloat16", name="gelu")
    yield from each(dropout(elements), "float32", "bfloat16")
    yield from each(embedding(rows, pick(50257, 30), pick(768, 8)), "float32", "bfloat16")
    shapes = gpt2_shapes(*pick((50257, 768, 12, 1024), (30, 8, 1, 6)))
    yield Update("operations/adam-gpt2", "Adam, GPT-2 small's 124 million parameters", 0.0, 7 * count(*shapes), shapes=shapes)
    for kind, gates in (("LSTM", 4), ("GRU", 3)):
        sizes = pick((64, 32, 1024, 1024), (3, 2, 12, 12))
        yield from each(recurrent(kind, gates, *sizes), "float32", "float16", name=f"{kind.lower()}-1024")


# ---- training steps


def bottlenecks(widths: tuple[int, ...], depths: tuple[int, ...], classes: int) -> Any:
    """ResNet of bottleneck blocks (He et al. 2016), the stride in the 3 × 3 convolution: ResNet-50 with depths 3, 4, 6, 3."""
    def build(nn: Any) -> Any:
        def convolution(before: int, after: int, kernel: int, stride: int = 1) -> Any:
            return nn.Sequential(nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(after))

        class Block(nn.Module):
            def __init__(self, before: int, width: int, stride: int) -> None:
                super().__init__()
                self.narrow, self.middle = convolution(before, width, 1), convolution(width, width, 3, stride)
                self.wide, self.relu = convolution(width, 4 * width, 1), nn.ReLU()
                same = stride == 1 and before == 4 * width
                self.downsample = nn.Identity() if same else convolution(before, 4 * width, 1, stride)

            def forward(self, x: Any) -> Any:
                h = self.relu(self.middle(self.relu(self.narrow(x))))
                return self.relu(self.downsample(x) + self.wide(h))

        blocks, before = [], widths[0]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for j in range(depth):
                blocks.append(Block(before, width, 2 if i and not j else 1))
                before = 4 * width
        return nn.Sequential(convolution(3, widths[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1),
                             nn.Flatten(), nn.Linear(before, classes))

    return build


def resnet_case(batch: int, size: int, widths: tuple[int, ...], depths: tuple[int, ...], classes: int) -> Workload:
    """Images of size × size, which 32 divides."""
    first = convolution_flops(batch, (size // 2) ** 2, 3, widths[0], 7)
    weights, rest, before, pixels = 49 * 3 * widths[0] + 2 * widths[0], 0, widths[0], (size // 4) ** 2
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for j in range(depth):
            after = pixels // 4 if i and not j else pixels
            rest += convolution_flops(batch, pixels, before, width, 1) + convolution_flops(batch, after, width, width, 3)
            rest += convolution_flops(batch, after, width, 4 * width, 1)
            weights += width * before + 9 * width * width + 4 * width * width + 12 * width
            if not j:
                rest += convolution_flops(batch, after, before, 4 * width, 1)
                weights += 4 * width * before + 8 * width
            before, pixels = 4 * width, after
    rest += 2 * batch * before * classes
    weights += (before + 1) * classes
    return Workload("workloads/resnet50", f"ResNet-50, {size}×{size}, batch {batch}", 2.0 * first + 3.0 * rest,
                    ADAM_BYTES * weights, bottlenecks(widths, depths, classes), classified,
                    labelled(batch, 3, size, size, classes=classes))


def lstm_language(vocabulary: int, width: int, depth: int) -> Any:
    """Words to the words that follow: embeddings, LSTM layers, logits."""
    def build(nn: Any) -> Any:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(vocabulary, width)
                self.lstm = nn.LSTM(width, width, num_layers=depth, batch_first=True)
                self.head = nn.Linear(width, vocabulary)

            def forward(self, words: Any) -> Any:
                return self.head(self.lstm(self.embedding(words))[0])

        return Model()

    return build


def lstm_case(batch: int, steps: int, vocabulary: int, width: int, depth: int) -> Workload:
    """Language modelling on `batch` windows of `steps` words."""
    forward = 2.0 * batch * steps * width * (8 * width * depth + vocabulary)
    parameters = depth * (8 * width + 8) * width + (2 * width + 1) * vocabulary
    return Workload("workloads/lstm-1024", f"LSTM language model {depth} × {width}, {steps} words of {vocabulary}, batch {batch}",
                    3 * forward, ADAM_BYTES * parameters, lstm_language(vocabulary, width, depth), next_token,
                    tokens_and_next(batch, steps, vocabulary))


def workloads(small: bool) -> Iterator[Case]:
    """Training steps, of which those in bfloat16 run under autocast."""
    both_ways = ("bfloat16", "float32")
    sizes = (2, 40, 32, 2, 2, 8) if small else (8, 50257, 768, 12, 12, 1024)
    yield from each([gpt_case("gpt2-small", f"GPT-2 small, context {sizes[-1]}, batch {sizes[0]}", *sizes, tied=True)], *both_ways)
    yield from each([resnet_case(2, 16, (4, 8), (1, 2), 7) if small else
                     resnet_case(64, 224, (64, 128, 256, 512), (3, 4, 6, 3), 1000)], "bfloat16", "tf32", "float32")
    yield from each([lstm_case(*((2, 3, 30, 12, 2) if small else (32, 64, 10000, 1024, 2)))], *both_ways)
    layers = (8, 12, 16, 10) if small else (4096, 1024, 4096, 4096, 1000)
    yield from each([mlp_case("mlp", f"MLP {'-'.join(map(str, layers[1:]))}, batch {layers[0]}", *layers)], *both_ways)
    yield from each([translation_case(*((2, 30, 16, 2, 1, 5) if small else (64, 32000, 512, 8, 6, 64)))], *both_ways)


def cuda_cases(small: bool = False) -> list[Case]:
    """All of them in the order in which they are measured."""
    return [*workloads(small), *operations(small)]

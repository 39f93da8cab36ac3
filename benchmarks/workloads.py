"""The training steps that are measured. One source serves chainrule and torch, whose names are the same.

`nn` is the library's module of layers and `F` that of its functions. Nothing is dropped out: the losses of all contenders
are compared.
"""

from math import prod
from typing import Any

import numpy as np

from benchmarks.cases import Workload

__all__ = ["WORKLOADS", "gpt", "mlp"]

ADAM_BYTES = 28  # a float32 parameter: p, gradient and two moments are read, p and the moments are written


# ---- multi-layer perceptrons


def mlp(*sizes: int) -> Any:
    """Linear layers with ReLU between them."""
    def build(nn: Any) -> Any:
        layers: list[Any] = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return build


def mean_squared_error(F: Any, model: Any, x: Any, y: Any) -> Any:
    """Of the model's outputs."""
    return F.mse_loss(model(x), y)


def cross_entropy(F: Any, model: Any, x: Any, y: Any) -> Any:
    """Of the model's logits (N, classes)."""
    return F.cross_entropy(model(x), y)


def mlp_flops(batch: int, *sizes: int) -> float:
    """Three products a layer: forward, weight gradient and, except in the first, input gradient."""
    layers = [2 * batch * a * b for a, b in zip(sizes, sizes[1:])]
    return 3 * sum(layers) - layers[0]


def mlp_parameters(*sizes: int) -> int:
    """Weights and biases."""
    return sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))


def labelled(batch: int, *shape: int, classes: int = 10) -> Any:
    """Normal inputs (batch, *shape) and classes (batch)."""
    def data(rng: Any) -> list[Any]:
        return [rng.standard_normal((batch, *shape), dtype=np.float32), rng.integers(0, classes, batch)]

    return data


def mlp_case(name: str, title: str, batch: int, *sizes: int) -> Workload:
    """A classifier on `batch` samples."""
    return Workload(f"workloads/{name}", title, mlp_flops(batch, *sizes), ADAM_BYTES * mlp_parameters(*sizes), mlp(*sizes),
                    cross_entropy, labelled(batch, sizes[0]), "mlp_cross_entropy", small=True)


# ---- convolutions


def cnn(nn: Any) -> Any:
    """Two convolutions with max pooling, two linear layers."""
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


def convolution_flops(batch: int, pixels: int, inputs: int, outputs: int, kernel: int) -> int:
    """Of one product, counted directly; `pixels` of the output."""
    return 2 * batch * pixels * inputs * outputs * kernel * kernel


def cnn_flops(batch: int) -> float:
    """Of a training step."""
    first = convolution_flops(batch, 28 * 28, 1, 32, 3)
    rest = convolution_flops(batch, 14 * 14, 32, 64, 3) + 2 * batch * (64 * 49 * 128 + 128 * 10)
    return 2 * first + 3 * rest


def resnet(nn: Any) -> Any:
    """ResNet-20 for images of 32 × 32 (He et al. 2016), with 1 × 1 convolutions where the shape changes."""
    class Block(nn.Module):
        def __init__(self, before: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU()
            self.downsample = nn.Conv2d(before, width, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            h = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.downsample(x) + self.bn2(self.conv2(h)))

    blocks = [Block(before, width, 2 if before < width else 1)
              for before, width in [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2]
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet_flops(batch: int) -> float:
    """Of a training step's convolutions."""
    first = convolution_flops(batch, 1024, 3, 16, 3)
    rest = 18 * convolution_flops(batch, 1024, 16, 16, 3)  # half the pixels in each direction, twice the channels
    rest -= convolution_flops(batch, 256, 16, 32, 3) + convolution_flops(batch, 64, 32, 64, 3)  # half the inputs only
    rest += convolution_flops(batch, 256, 16, 32, 1) + convolution_flops(batch, 64, 32, 64, 1)
    return 2 * first + 3 * rest


# ---- recurrence


def lstm(nn: Any) -> Any:
    """Two LSTM layers over the rows of a picture; the last state is classified."""
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 128, num_layers=2, batch_first=True)
            self.fc = nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            output, _ = self.lstm(x)  # (N, 28, 128)
            return self.fc(output[:, -1])

    return Classifier()


def lstm_flops(batch: int, steps: int) -> float:
    """Of a training step; the first layer's inputs need no gradient."""
    first = 2 * batch * steps * 512 * 28
    rest = 2 * batch * steps * 512 * 128 * 3 + 2 * batch * 128 * 10
    return 2 * first + 3 * rest


# ---- Transformers


def gpt(vocabulary: int, width: int, depth: int, heads: int, context: int, tied: bool = False) -> Any:
    """A decoder-only Transformer with the norm in front of each part, GELU, and learned positions. `tied`: logits are products with
    the tokens' embeddings, as in GPT-2."""
    def build(nn: Any) -> Any:
        from importlib import import_module

        F = import_module("torch.nn.functional" if nn.__name__.startswith("torch") else "chainrule.functional")

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
                self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
                self.gelu = nn.GELU()

            def forward(self, x: Any) -> Any:
                n, t, _ = x.shape
                parts = self.qkv(self.norm1(x)).reshape(n, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
                attended = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)  # (N, H, T, D)
                x = x + self.projection(attended.transpose(1, 2).reshape(n, t, width))
                return x + self.narrow(self.gelu(self.wide(self.norm2(x))))

        class GPT(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
                self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
                self.norm = nn.LayerNorm(width)
                if tied:
                    nn.init.normal_(self.token.weight, std=0.02)
                else:
                    self.head = nn.Linear(width, vocabulary)

            def forward(self, tokens: Any) -> Any:
                x = self.token(tokens) + self.position.weight  # (N, T, width)
                x = self.norm(self.blocks(x))
                return F.linear(x, self.token.weight) if tied else self.head(x)

        return GPT()

    return build


def next_token(F: Any, model: Any, tokens: Any, following: Any) -> Any:
    """Cross-entropy of each position's logits with the token that follows it."""
    return F.cross_entropy(model(tokens).flatten(0, 1), following.flatten())


def tokens_and_next(batch: int, context: int, vocabulary: int) -> Any:
    """Two arrays (batch, context)."""
    def data(rng: Any) -> list[Any]:
        text = rng.integers(0, vocabulary, (batch, context + 1))
        return [np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])]

    return data


def gpt_case(name: str, title: str, batch: int, vocabulary: int, width: int, depth: int, heads: int, context: int,
             tied: bool = False) -> Workload:
    """Language modelling on `batch` windows of `context` tokens; of the attention's products the half below the diagonal counts."""
    rows = batch * context
    forward = depth * (2 * rows * 12 * width * width + 2 * rows * context * width) + 2 * rows * width * vocabulary
    parameters = depth * (12 * width * width + 13 * width) + width * (vocabulary + context + 2)
    parameters += 0 if tied else (width + 1) * vocabulary
    return Workload(f"workloads/{name}", title, 3.0 * forward, ADAM_BYTES * parameters,
                    gpt(vocabulary, width, depth, heads, context, tied), next_token, tokens_and_next(batch, context, vocabulary),
                    f"gpt_{heads}")


def translator(vocabulary: int, width: int, heads: int, depth: int, steps: int) -> Any:
    """Encoder and decoder of `depth` layers each (Vaswani et al. 2017) over learned embeddings."""
    def build(nn: Any) -> Any:
        class Translator(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.source, self.target = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
                self.position = nn.Embedding(steps, width)
                self.transformer = nn.Transformer(width, heads, depth, depth, 4 * width, dropout=0.0, batch_first=True)
                self.head = nn.Linear(width, vocabulary)

            def forward(self, source: Any, target: Any, mask: Any) -> Any:
                x, y = self.source(source) + self.position.weight, self.target(target) + self.position.weight
                return self.head(self.transformer(x, y, tgt_mask=mask, tgt_is_causal=True))  # (N, T, vocabulary)

        return Translator()

    return build


def translation(F: Any, model: Any, source: Any, target: Any, following: Any, mask: Any) -> Any:
    """Cross-entropy of the target's next tokens."""
    return F.cross_entropy(model(source, target, mask).flatten(0, 1), following.flatten())


def translation_case(batch: int, vocabulary: int, width: int, heads: int, depth: int, steps: int) -> Workload:
    """Sentences of `steps` tokens to sentences of as many."""
    def data(rng: Any) -> list[Any]:
        source, text = rng.integers(0, vocabulary, (batch, steps)), rng.integers(0, vocabulary, (batch, steps + 1))
        mask = np.triu(np.ones((steps, steps), dtype=bool), 1)  # True: may not be attended
        return [source, np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:]), mask]

    rows = batch * steps
    layers = depth * (12 + 16) * 2 * rows * width * width  # the decoder has a second attention
    attention = depth * (4 + 2 + 4) * rows * steps * width
    parameters = depth * (28 * width * width) + 3 * width * vocabulary
    title = f"Encoder-decoder Transformer {depth} + {depth} × {width}, {steps} tokens, batch {batch}"
    forward = layers + attention + 2 * rows * width * vocabulary
    return Workload("workloads/transformer", title, 3.0 * forward, ADAM_BYTES * parameters,
                    translator(vocabulary, width, heads, depth, steps), translation, data, "translator_4")


def tiny_data(rng: Any) -> list[Any]:
    """Inputs (32, 10) and targets (32, 1)."""
    return [rng.standard_normal((32, n), dtype=np.float32) for n in (10, 1)]


TINY = (10, 10, 5, 1)
DIGIT_PARAMETERS = prod((32, 9)) + 32 + prod((64, 32, 9)) + 64 + 3137 * 128 + 129 * 10
WORKLOADS: list[Workload] = [
    Workload("workloads/mlp-tiny", "Tiny MLP 10-10-5-1, MSE, batch 32", mlp_flops(32, *TINY), ADAM_BYTES * mlp_parameters(*TINY),
             mlp(*TINY), mean_squared_error, tiny_data, "mlp_mse", small=True),
    mlp_case("mlp-small", "MLP 1000-500-10, batch 64", 64, 1000, 500, 10),
    mlp_case("mlp-large", "MLP 784-1024-1024-1024-10, batch 256", 256, 784, 1024, 1024, 1024, 10),
    Workload("workloads/cnn", "CNN conv32-pool-conv64-pool-fc128-fc10, 28×28, batch 64", cnn_flops(64),
             ADAM_BYTES * DIGIT_PARAMETERS, cnn, cross_entropy, labelled(64, 1, 28, 28), "cnn"),
    Workload("workloads/lstm", "LSTM classifier 28→128×2, 28 steps, batch 64", lstm_flops(64, 28),
             ADAM_BYTES * (512 * (28 + 128 * 3 + 4) + 1290), lstm, cross_entropy, labelled(64, 28, 28), "lstm"),
    gpt_case("gpt-small", "GPT 4 layers × 128, context 64, batch 12", 12, 65, 128, 4, 4, 64),
    gpt_case("gpt-large", "GPT 6 layers × 384, context 256, batch 4", 4, 65, 384, 6, 6, 256),
    Workload("workloads/resnet", "ResNet-20, 32×32, batch 32", resnet_flops(32), ADAM_BYTES * 272_000, resnet, cross_entropy,
             labelled(32, 3, 32, 32), "resnet"),
    translation_case(16, 1000, 128, 4, 2, 32),
]

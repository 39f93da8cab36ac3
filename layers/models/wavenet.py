"""WaveNet: a model of raw sound, sample by sample, with dilated causal convolutions."""

import math
from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.errors import DtypeError, ShapeError
from chainrule.graph import no_grad
from chainrule.layers.containers import ModuleList
from chainrule.layers.convolution import Conv1d
from chainrule.layers.embedding import Embedding
from chainrule.layers.module import Module
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["WaveNet", "mu_law_decode", "mu_law_encode"]


def mu_law_encode(wave: Any, classes: int = 256) -> Tensor:
    """Samples from -1 to 1 as classes 0 … classes − 1, finer where it is quiet:

    sign(x) log(1 + μ |x|) / log(1 + μ), from -1 to 1, in `classes` = μ + 1 equal steps (ITU-T G.711).

    >>> import chainrule as cr
    >>> mu_law_encode(cr.tensor([-1.0, -0.01, 0.0, 0.01, 1.0]))
    tensor([  0,  98, 128, 157, 255])
    """
    mu = classes - 1
    x = ops.clamp(ops.as_tensor(wave).detach(), -1.0, 1.0)
    squeezed = ops.sign(x) * ops.log1p(mu * ops.abs(x)) / math.log1p(mu)
    found: Tensor = ((squeezed + 1) / 2 * mu + 0.5).to(np.int64)
    return found


def mu_law_decode(codes: Any, classes: int = 256) -> Tensor:
    """The samples in the middle of the classes: the inverse of `mu_law_encode`, up to the steps.

    >>> import chainrule as cr
    >>> mu_law_decode(cr.tensor([0, 128, 255]))
    tensor([-1.0000e+00,  8.6213e-05,  1.0000e+00])
    """
    mu = classes - 1
    squeezed = 2 * ops.as_tensor(codes).float() / mu - 1
    found: Tensor = ops.sign(squeezed) * ops.expm1(ops.abs(squeezed) * math.log1p(mu)) / mu
    return found


class GatedBlock(Module):
    """One dilated layer: z = tanh(W_f * x) · σ(W_g * x), which goes to the sum of skips and, added to x, to the next layer.

    Both causal convolutions are one, of twice the channels.
    """

    def __init__(self, channels: int, hidden: int, skip: int, kernel_size: int, dilation: int) -> None:
        self.reach = (kernel_size - 1) * dilation  # how many earlier samples it sees
        self.gates = Conv1d(channels, 2 * hidden, kernel_size, dilation=dilation)
        self.residual = Conv1d(hidden, channels, 1)
        self.skip = Conv1d(hidden, skip, 1)

    def forward(self, input: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (N, C, T) and what came before it, (N, C, reach) -> the next layer's x, the skip (N, skip, T), the next past."""
        seen = ops.cat([past, input], 2)  # (N, C, reach + T)
        filters, gates = self.gates(seen).chunk(2, 1)  # (N, hidden, T) each
        z = F.tanh(filters) * F.sigmoid(gates)
        return input + self.residual(z), self.skip(z), seen[:, :, seen.shape[2] - self.reach:]


class WaveNet(Module):
    """p(x_1 … x_T) = Π p(x_t | x_1 … x_(t−1)): classes of samples, each predicted from those before it.

    van den Oord et al. 2016, "WaveNet: a generative model for raw audio", arXiv 1609.03499. `blocks` times `layers` gated
    layers, whose dilation doubles from 1 within a block: the receptive field grows exponentially with depth. `classes`:
    how many values a sample can take, see `mu_law_encode`.

    >>> import chainrule as cr
    >>> model = WaveNet(classes=16, channels=8, layers=3, blocks=2)
    >>> codes = cr.tensor([[3, 1, 4, 1, 5]])
    >>> model(codes).shape, model.receptive_field, model.generate(codes, 2).shape
    ((1, 16, 5), 15, (1, 7))
    """

    def __init__(self, classes: int = 256, channels: int = 32, layers: int = 8, blocks: int = 2, hidden: int | None = None,
                 skip: int | None = None, kernel_size: int = 2) -> None:
        hidden, skip = channels if hidden is None else hidden, 2 * channels if skip is None else skip
        self.classes, self.channels = classes, channels
        self.embedding = Embedding(classes, channels)
        self.layers = ModuleList(GatedBlock(channels, hidden, skip, kernel_size, 2**i)
                                 for _ in range(blocks) for i in range(layers))
        self.hidden = Conv1d(skip, skip, 1)
        self.output = Conv1d(skip, classes, 1)

    @property
    def receptive_field(self) -> int:
        """How many samples, up to the present one, a prediction depends on."""
        return 1 + sum(layer.reach for layer in self.layers if isinstance(layer, GatedBlock))

    def _run(self, codes: Tensor, pasts: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """The logits after each of these samples, and what the layers must remember; silence before the first."""
        if codes.ndim != 2 or codes.dtype.kind not in "iu":
            raise (ShapeError if codes.ndim != 2 else DtypeError)(
                f"WaveNet: the input is {codes.dtype}{codes.shape}, it must be (batch, time) classes; see mu_law_encode")
        x = self.embedding(codes).swapaxes(1, 2)  # (N, C, T)
        total: Any = 0.0
        after = []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, GatedBlock)
            silence = (len(codes), self.channels, layer.reach)
            past = x.new_zeros(silence) if pasts is None else pasts[i]
            x, skip, past = layer(x, past)
            total = total + skip
            after.append(past)
        return self.output(F.relu(self.hidden(F.relu(total)))), after

    def forward(self, input: Tensor) -> Tensor:
        """Classes (N, T) -> logits (N, classes, T): those at time t predict the sample t + 1."""
        return self._run(input, None)[0]

    def generate(self, input: Tensor, steps: int, temperature: float = 1.0, generator: Any = None) -> Tensor:
        """The samples (N, T) continued by `steps` that are drawn one after the other: (N, T + steps).

        Every layer remembers what it will see again, so that a sample costs one column of each layer (Paine et al. 2016,
        "Fast WaveNet generation algorithm", arXiv 1611.09482). `temperature` divides the logits; 0 takes the most likely.
        """
        if temperature < 0:
            raise ValueError(f"generate: temperature={temperature} must not be negative")
        codes = [input]
        with no_grad():
            logits, pasts = self._run(input, None)
            for step in range(steps):
                last = logits[:, :, -1]  # (N, classes)
                if temperature:
                    codes.append(ops.multinomial(F.softmax(last / temperature, 1), 1, generator=generator))
                else:
                    codes.append(last.argmax(1, keepdim=True))
                if step + 1 < steps:
                    logits, pasts = self._run(codes[-1], pasts)
        found: Tensor = ops.cat(codes, 1)
        return found

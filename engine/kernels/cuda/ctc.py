"""The loss of connectionist temporal classification, one block a sequence, in float64 throughout (ctc.cu).

Kept for the backward pass: α, (T, N, 2S + 1), and the losses in float64. Declined, and left to the definition: no elements, and
targets of more than 1535 labels, whose states do not fit in a block's shared memory.
"""

from typing import Any

import cupy
import numpy as np

from chainrule.kernels.cuda.arrays import served
from chainrule.kernels.cuda.launch import FLOATS, HALVES, Kernel, contiguous, instances

_alphas, _gradient = (Kernel("ctc.cu", name, instances(FLOATS + HALVES)) for name in ("ctc_alphas", "ctc_gradient"))
WIDEST = 3 << 10  # states: 96 KiB of shared memory in the gradient's kernel


def _run(kernel: Kernel, *arrays: Any, log_probs: Any, width: int, shared: int) -> None:
    """Launch a kernel with a block for each sequence and, up to 1024, a thread for each state."""
    steps, count, classes = log_probs.shape
    kernel(log_probs.dtype, grid=(count,), block=(min(1024, width + 31 & ~31),), arguments=(
        *map(contiguous, arrays), steps, classes, width), shared=shared)


def ctc_loss(log_probs: Any, states: Any, input_lengths: Any, target_lengths: Any) -> Any:
    """See `chainrule.ops.losses.ctc_loss`. Keeps the αs, and the losses in float64."""
    width = states.shape[1]
    if not log_probs.size or not served(log_probs) or width > WIDEST:
        return NotImplemented
    steps, count, _ = log_probs.shape
    alphas, losses = cupy.empty((steps, count, width), np.float64), cupy.empty(count, np.float64)
    integers = [a.astype(np.int64, copy=False) for a in (states, input_lengths, target_lengths)]
    _run(_alphas, log_probs, *integers, alphas, losses, log_probs=log_probs, width=width, shared=16 * width)
    return losses.astype(log_probs.dtype), {"alphas": alphas, "losses": losses}


def ctc_loss_grad(g: Any, log_probs: Any, states: Any, input_lengths: Any, target_lengths: Any, alphas: Any,
                  losses: Any) -> Any:
    """The gradient of `ctc_loss` by log_probs; the other inputs are integers."""
    width, d = states.shape[1], cupy.zeros(log_probs.shape, log_probs.dtype)
    integers = [a.astype(np.int64, copy=False) for a in (states, input_lengths, target_lengths)]
    _run(_gradient, g, log_probs, *integers, alphas, losses, d, log_probs=log_probs, width=width, shared=32 * width)
    return d, None, None, None

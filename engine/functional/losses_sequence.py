"""The loss of sequences whose alignment is unknown, with torch.nn.functional's signature. `reduction`: see `losses.py`."""

from typing import Any

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.functional.activations import floating
from chainrule.functional.losses import reduction_of
from chainrule.names import ops
from chainrule.ops import losses as rows
from chainrule.ops.devices import constant
from chainrule.ops.losses import reduced
from chainrule.tensor import Tensor

__all__ = ["ctc_loss"]


def _lengths(name: str, given: Any, count: int, most: int, what: str) -> Any:
    """Lengths (N,) as an array, each from 0 to `most`."""
    lengths = ops.as_tensor(given).cpu().data.reshape(-1)
    if lengths.size and lengths.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: {name} are {lengths.dtype}, they must be integers; use .long()")
    if lengths.shape != (count,):
        raise ShapeError(f"ctc_loss: {name} has {lengths.size} entries, there are {count} sequences in log_probs")
    if count and not 0 <= lengths.min() <= lengths.max() <= most:
        raise ShapeError(f"ctc_loss: {name} are {lengths.tolist()}; they lie from 0 to {most}, {what}")
    return lengths.astype(np.int64)


def _with_blanks(targets: Any, lengths: Any, blank: int) -> Any:
    """(N, 2S + 1): a blank before, between and after the labels; targets are (N, S), or all of them in a row."""
    longest = int(lengths.max(initial=0))
    states = np.full((lengths.size, 2 * longest + 1), blank, np.int64)
    filled = np.arange(longest) < lengths[:, None]
    states[:, 1::2][filled] = targets if targets.ndim == 1 else targets[:, :longest][filled]
    return states


def ctc_loss(log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Tensor:
    """-log of the probability that a sequence of T distributions spells its target, summed over all alignments.

    A string of T emitted classes is read by merging repetitions and then removing the class `blank`: with blank "-",
    "aa-ab" reads "aab". The probability of a text is that of all strings that read so, computed by recursion over t.

    log_probs (T, N, C), or (T, C) for one sequence: log_softmax of the logits; past input_lengths (N,) they do not
    count. targets: classes, padded (N, S), or of all sequences in a row, of target_lengths (N,) each. Lengths may be
    tensors or tuples. reduction "mean" divides each loss by its target's length (at least 1) and takes the mean;
    "none" gives (N,), or () for one sequence. A target that does not fit into its input costs inf, which
    `zero_infinity` makes 0; its gradient is 0.

    The gradient is that of the formula. (torch's is that of the loss by logits in front of a log_softmax, handed on as
    it is; behind a log_softmax both are equal.) Raises ShapeError and DtypeError for what does not fit, IndexError for a
    target that is no class, ValueError for one that is the blank. Graves et al. (2006), "Connectionist temporal
    classification: labelling unsegmented sequence data with recurrent neural networks".

    >>> import chainrule as cr
    >>> even = cr.full((2, 1, 2), 0.5).log()  # two steps, blank or "1": of the four strings three read "1"
    >>> ctc_loss(even, cr.tensor([[1]]), (2,), (1,)).exp()
    tensor(1.3333)
    """
    reduction = reduction_of("ctc_loss", reduction)
    x, classes = floating("ctc_loss", log_probs), ops.as_tensor(targets).cpu().data
    single = x.ndim == 2
    if single:
        x = ops.reshape(x, (x.shape[0], 1, x.shape[1]))
    if x.ndim != 3:
        raise ShapeError(f"ctc_loss: log_probs have shape {x.shape}, they need (T, N, C), or (T, C) for one sequence")
    steps, count, size = x.shape
    if not 0 <= blank < size:
        raise IndexError(f"ctc_loss: blank={blank} is no class; log_probs of shape {x.shape} have 0 to {size - 1}")
    if classes.size and classes.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: the targets are {classes.dtype}, they must be integers; use .long()")
    if classes.ndim not in (1, 2) or classes.ndim == 2 and classes.shape[0] != count:
        raise ShapeError(f"ctc_loss: targets of shape {classes.shape} for {count} sequences; they need ({count}, S), or "
                         "one axis with the targets of all sequences in a row")
    padded = classes.ndim == 2
    inputs = _lengths("input_lengths", input_lengths, count, steps, "the steps of log_probs")
    ends = _lengths("target_lengths", target_lengths, count, classes.shape[-1],
                    "the second axis of the targets" if padded else "the number of targets")
    if not padded and ends.sum() != classes.size:
        raise ShapeError(f"ctc_loss: target_lengths {ends.tolist()} sum to {ends.sum()}, there are {classes.size} targets")
    states = _with_blanks(classes, ends, blank)
    labels = states[:, 1::2][np.arange(states.shape[1] // 2) < ends[:, None]]
    if ((labels < 0) | (labels >= size)).any():
        raise IndexError(f"ctc_loss: the targets hold classes from {labels.min()} to {labels.max()}, log_probs have 0 to "
                         f"{size - 1}")
    if (labels == blank).any():
        raise ValueError(f"ctc_loss: the class blank={blank} is among the targets; it separates labels and cannot be one")
    loss = rows.ctc_loss(x, *[constant(a, x) for a in (states, inputs, ends)])
    if zero_infinity:
        loss = ops.where(ops.isposinf(loss), 0, loss)
    if reduction == "mean":
        loss = loss / constant(np.maximum(ends, 1).astype(loss.dtype), loss)
    found: Tensor = ops.reshape(loss, ()) if single and reduction == "none" else reduced(ops, loss, reduction)
    return found

"""The CTC loss on the device against its definition in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule import functional
from tests.cuda import check_fused, cuda, run, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu


def inputs(steps: int, targets: list[list[int]], input_lengths: list[int], classes: int = 5) -> list[Any]:
    """log_probs, states with blanks, and both lengths."""
    longest = max(map(len, targets))
    states = np.zeros((len(targets), 2 * longest + 1), np.int64)
    for n, target in enumerate(targets):
        states[n, 1 : 2 * len(target) : 2] = target
    x = normal(0, steps, len(targets), classes)
    return [x - np.log(np.exp(x).sum(-1, keepdims=True)), states, np.array(input_lengths), np.array([len(t) for t in targets])]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_values_and_gradients(dtype: Any) -> None:
    """Labels that repeat, a class met again later, no label at all, and sequences shorter than the batch."""
    check_fused("ctc_loss", *inputs(7, [[1, 2, 1], [3, 3], [], [4, 2, 3]], [7, 6, 5, 3]), dtype=dtype, factor=10.0)


def test_more_states_than_a_warp_has_threads() -> None:
    target = [1 + (i * i + i // 3) % 6 for i in range(40)]
    check_fused("ctc_loss", *inputs(60, [target, target[:20]], [60, 50], classes=7), dtype=np.float64, factor=100.0)


def test_other_integers_and_strides() -> None:
    x, states, steps, ends = inputs(6, [[1, 2], [2, 2]], [6, 5])
    turned = np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)
    check_fused("ctc_loss", turned, states.astype(np.int32), steps.astype(np.int32), ends, factor=10.0)


def test_what_cannot_be_spelled_has_an_infinite_loss_and_no_gradient() -> None:
    x, *rest = inputs(3, [[1, 1, 1], [1, 2, 1]], [3, 3])
    x = x.astype(np.float32)
    losses, extras = run(cuda().ctc_loss, x, *rest)
    assert np.isposinf(losses[0]) and np.isfinite(losses[1])
    d, *_ = run(cuda().ctc_loss_grad, np.ones(2, np.float32), x, *rest, extras["alphas"], extras["losses"])
    assert not d[:, 0].any() and d[:, 1].any()


def test_not_a_number_stays_in_its_sequence() -> None:
    x, *rest = inputs(5, [[1, 2], [1, 2]], [5, 5])
    x[2, 0, 1] = np.nan
    losses, _ = run(cuda().ctc_loss, x.astype(np.float32), *rest)
    assert np.isnan(losses[0]) and np.isfinite(losses[1])


def test_what_is_left_to_the_definition() -> None:
    empty = to_device(inputs(0, [[1]], [0]))
    assert cuda().ctc_loss(*empty) is NotImplemented
    long = to_device([np.zeros((2, 1, 3)), np.zeros((1, 3073), np.int64), np.array([2]), np.array([1])])
    assert cuda().ctc_loss(*long) is NotImplemented


def test_the_public_function() -> None:
    ends = []
    for device in ("cpu", "cuda"):
        x = cr.tensor(normal(2, 6, 3, 5)).to(device).requires_grad_()
        loss = functional.ctc_loss(x.log_softmax(2), cr.tensor([[1, 2, 2], [3, 1, 1], [2, 4, 4]]), (6, 5, 6), (3, 2, 3))
        loss.backward()
        ends.append((loss.item(), x.grad.cpu().numpy()))
    assert np.isclose(ends[0][0], ends[1][0], rtol=1e-12) and np.allclose(ends[0][1], ends[1][1], rtol=1e-9, atol=1e-12)


def test_shared_memory_that_only_just_needs_asking_for() -> None:
    """1533 states take 48 KiB less 96 bytes in the gradient's kernel, which declares 256 bytes besides."""
    arrays = to_device(inputs(2, [[1] * 766], [2]))
    losses, kept = cuda().ctc_loss(*arrays)
    slope = cuda().ctc_loss_grad(losses * 0 + 1, *arrays, **kept)[0]
    assert np.isinf(losses.get()).all() and slope.shape == arrays[0].shape

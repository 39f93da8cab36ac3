"""lstm, gru and rnn on the device against their definitions in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import chainrule as cr
from chainrule import layers
from tests.cuda import check_fused, cuda, run, to_device, to_host
from tests.kernels import normal

pytestmark = pytest.mark.gpu
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
NAMES = pytest.mark.parametrize("name", GATES)
LENGTHS = np.array([4, 0, 2, 3, 1])
# Of the usual tolerance: 16-bit states are rounded at each of four steps, and so is what is summed over steps and sequences.
FACTOR = {np.float32: 2.0, np.float64: 2.0, np.float16: 4.0, ml_dtypes.bfloat16: 4.0}


def arguments(name: str, steps: int = 4, batch: int = 5, features: int = 3, size: int = 7, states: bool = True,
              biases: bool = True, lengths: Any = None, mask: bool = False) -> list[Any]:
    """All inputs of the op."""
    wide = GATES[name] * size
    found = [normal(0, steps, batch, features)]
    found += [normal(1 + i, batch, size) if states else None for i in range(1 + (name == "lstm"))]
    found += [normal(3, wide, features) / 2, normal(4, wide, size) / 3]
    found += [normal(5 + i, wide) if biases else None for i in range(2)]
    return [*found, lengths, (normal(7, batch, size) > 0) * 2.0 if mask else None]


@NAMES
@pytest.mark.parametrize("dtype", FACTOR)
@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients(name: str, dtype: Any, reverse: bool) -> None:
    check_fused(name, *arguments(name), dtype=dtype, factor=FACTOR[dtype], reverse=reverse)


@NAMES
@pytest.mark.parametrize("options", [
    {"states": False}, {"biases": False}, {"lengths": LENGTHS}, {"lengths": LENGTHS.astype(np.int32), "states": False},
    {"mask": True}, {"mask": True, "lengths": LENGTHS, "biases": False}, {"steps": 1, "batch": 1, "features": 1, "size": 1},
    {"size": 130, "batch": 3, "steps": 2}])
@pytest.mark.parametrize("reverse", [False, True])
def test_all_that_may_be_given(name: str, options: dict[str, Any], reverse: bool) -> None:
    check_fused(name, *arguments(name, **options), factor=3.0, without=("state_mask",), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_rectified(reverse: bool) -> None:
    check_fused("rnn", *arguments("rnn", lengths=LENGTHS), factor=3.0, nonlinearity="relu", reverse=reverse)
    check_fused("rnn", *arguments("rnn"), dtype=np.float16, factor=4.0, nonlinearity="relu")


@NAMES
def test_batches_first_and_transposed_weights(name: str) -> None:
    inputs = arguments(name)
    for i in (0, len(inputs) - 5, len(inputs) - 6):
        inputs[i] = np.ascontiguousarray(np.swapaxes(inputs[i], 0, 1)).swapaxes(0, 1)
    check_fused(name, *inputs, factor=2.0)


@NAMES
@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_past_the_end_does_not_matter(name: str, reverse: bool) -> None:
    inputs = arguments(name, lengths=LENGTHS)
    for n, count in enumerate(LENGTHS):
        inputs[0][count:, n] = np.nan
    check_fused(name, *inputs, factor=3.0, reverse=reverse)


@NAMES
def test_not_a_number_and_infinity_go_on_in_their_own_sequence(name: str) -> None:
    inputs = arguments(name)
    inputs[0][2, 0, 1], inputs[0][1, 3, 0] = np.nan, np.inf
    with np.errstate(all="ignore"):
        output, *_ = check_fused(name, *inputs, factor=3.0, gradients=False)
    assert np.isnan(output[2:, 0]).all() and np.isfinite(output[:, [1, 2, 4]]).all() and np.isfinite(output[:2, 0]).all()


@NAMES
def test_gradients_that_are_not_asked_for(name: str) -> None:
    """None for those; and outputs that were not used have None in the place of their gradient."""
    inputs = [None if a is None else a.astype(np.float32) for a in arguments(name)]
    options = {"nonlinearity": "tanh"} if name == "rnn" else {}
    inputs += [None] * (name == "lstm")
    outputs, *extras = run(getattr(cuda(), name), *inputs, reverse=False, **options) if name != "rnn" else (
        run(cuda().rnn, *inputs, reverse=False, **options),)
    known = {**(extras[0] if extras else {}), **options}
    states = inputs[1:3] if name == "lstm" else inputs[1:2]
    wanted = [False] * len(inputs)
    wanted[3 + (name == "lstm")] = True  # w_hh, by the output alone
    g = [normal(9, *outputs[0].shape).astype(np.float32), *[None] * len(states)]
    w_ih, w_hh = inputs[len(states) + 1 : len(states) + 3]
    given = to_device((g, inputs[0], *states, w_ih, w_hh, None, None, outputs[0]))
    found = to_host(getattr(cuda(), name + "_grad")(*given, **to_device(known), reverse=False, wanted=tuple(wanted)))
    assert [i for i, d in enumerate(found) if d is not None] == [len(states) + 2]
    assert found[len(states) + 2].shape == w_hh.shape and np.abs(found[len(states) + 2]).min() > 0


@NAMES
def test_what_is_left_to_the_definition(name: str) -> None:
    options = {"nonlinearity": "tanh"} if name == "rnn" else {}
    more = [None] * (name == "lstm")

    def declines(*inputs: Any) -> bool:
        return getattr(cuda(), name)(*to_device(inputs), reverse=False, **options) is NotImplemented

    assert declines(*arguments(name, steps=0), *more) and declines(*arguments(name, size=0), *more)
    assert declines(*arguments(name, batch=0), *more)
    if name == "lstm":
        assert declines(*arguments(name), normal(8, 7, 7))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_layers_train_on_the_device(kind: str) -> None:
    """Two layers in both directions, with lengths: the kernels serve, and give the CPU's values and gradients."""
    ends = []
    for device in ("cpu", "cuda"):
        cr.manual_seed(0)
        layer = getattr(layers, kind)(3, 6, num_layers=2, bidirectional=True).to(device)
        x = cr.tensor(normal(1, 4, 5, 3).astype(np.float32)).to(device).requires_grad_()
        output, _ = layer(x, lengths=cr.tensor(LENGTHS).to(device))
        (output * output).sum().backward()
        assert output.device.type == device
        ends.append([output, x.grad, *(p.grad for p in layer.parameters())])
    for one, right in zip(ends[1], ends[0], strict=True):
        np.testing.assert_allclose(one.detach().cpu().numpy(), right.detach().numpy(), rtol=1e-4, atol=1e-5)

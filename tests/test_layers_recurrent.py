"""Recurrent layers beyond the table: variational dropout, lengths, torch's lesser interface, errors."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers

KINDS = pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])


def draw(*shape: int, seed: int = 0) -> Any:
    return cr.tensor(np.random.default_rng(seed).normal(size=shape))


def make(kind: str, *args: Any, **options: Any) -> Any:
    cr.manual_seed(0)
    return getattr(layers, kind)(*args, dtype=cr.float64, **options)


@KINDS
def test_variational_dropout_drops_the_same_at_every_step(kind):
    """With half of everything dropped, what is computed is what some network without those inputs and states computes: of
    all such networks one, and the same one for all steps of a sequence."""
    p, inputs, hidden = 0.5, 2, 2
    layer = make(kind, inputs, hidden, variational_dropout=p)
    x = draw(5, 1, inputs)
    masks = [np.array([a, b], float) / (1 - p) for a in (0, 1) for b in (0, 1)]
    plain = make(kind, inputs, hidden)
    possible = []
    for of_input in masks:
        for of_state in masks:
            with cr.no_grad():
                plain.weight_ih_l0.copy_(layer.weight_ih_l0 * cr.tensor(of_input))
                plain.weight_hh_l0.copy_(layer.weight_hh_l0 * cr.tensor(of_state))
            possible.append(plain(x)[0].data)
    seen = set()
    for _ in range(100):
        output = layer(x)[0].data
        matches = [i for i, other in enumerate(possible) if np.allclose(output, other, atol=1e-12)]
        assert matches, "no single mask of inputs and state explains all steps"
        seen.add(tuple(matches))
    assert len(seen) == len({tuple(np.round(p.ravel(), 9)) for p in possible})  # each call draws anew, and draws them all


@KINDS
def test_variational_dropout_is_for_training_and_each_sequence_has_its_own(kind):
    layer = make(kind, 3, 8, variational_dropout=0.5, batch_first=True)
    x = draw(1, 4, 3).expand(6, 4, 3)
    outputs = layer(x)[0].data
    assert len({tuple(row.ravel()) for row in outputs}) == 6
    layer.eval()
    assert len({tuple(row.ravel()) for row in layer(x)[0].data}) == 1
    np.testing.assert_array_equal(layer(x)[0].data, make(kind, 3, 8, batch_first=True)(x)[0].data)


def test_dropout_between_layers_leaves_the_last_output_whole():
    layer = make("GRU", 3, 50, 2, dropout=1.0)
    output, h_n = layer(draw(4, 2, 3))
    dry = make("GRU", 50, 50)
    dry.load_state_dict({name.replace("_l1", "_l0"): value for name, value in layer.state_dict().items() if "_l1" in name})
    np.testing.assert_allclose(output.data, dry(cr.zeros((4, 2, 50), dtype=cr.float64))[0].data)
    assert output.data.all()
    np.testing.assert_array_equal(h_n[1].data, output[-1].data)


@KINDS
def test_what_lies_beyond_the_lengths_reaches_nothing(kind):
    layer = make(kind, 3, 4, 2, bidirectional=True, batch_first=True)
    x = draw(3, 5, 3)
    x.data[0, 2:] = np.nan
    x.requires_grad_()
    output, last = layer(x, lengths=[2, 5, 0])
    assert not output[0, 2:].data.any() and not output[2].data.any()
    alone, alone_last = layer(x[0, :2].detach())
    np.testing.assert_allclose(output[0, :2].data, alone.data, atol=1e-12)
    for a, b in zip(last if kind == "LSTM" else [last], alone_last if kind == "LSTM" else [alone_last], strict=True):
        np.testing.assert_allclose(a[:, 0].data, b.data, atol=1e-12)
    output.sum().backward()
    assert np.isfinite(x.grad.data).all() and not x.grad.data[0, 2:].any()


def test_what_torch_programs_expect():
    layer = layers.LSTM(3, 4, 2, bias=False, bidirectional=True, proj_size=2)
    layer.flatten_parameters()
    assert [[p.shape for p in group] for group in layer.all_weights] == 2 * [[(16, 3), (16, 2), (2, 4)]] + 2 * [
        [(16, 4), (16, 2), (2, 4)]]
    assert list(layer.state_dict())[:6] == ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse",
                                            "weight_hh_l0_reverse", "weight_hr_l0_reverse"]
    assert layer.extra_repr() == "3, 4, num_layers=2, bias=False, bidirectional=True, proj_size=2"
    assert repr(layers.RNNCell(3, 4, False, "relu")).startswith("RNNCell(3, 4, bias=False, nonlinearity='relu')")
    with pytest.warns(UserWarning, match="LSTM: dropout=0.5 acts between layers, and there is one layer only"):
        layers.LSTM(3, 4, dropout=0.5)


def test_cells_are_one_step_of_their_layers():
    for kind in ("RNN", "LSTM", "GRU"):
        layer, cell = make(kind, 3, 4), make(kind + "Cell", 3, 4)
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
        x, state = draw(5, 2, 3), None
        output, last = layer(x)
        for t in range(5):
            state = cell(x[t], state)
            np.testing.assert_allclose((state[0] if kind == "LSTM" else state).data, output[t].data, atol=1e-12)
        if kind == "LSTM":
            np.testing.assert_allclose(state[1].data, last[1][0].data, atol=1e-12)


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: layers.LSTM(3, 0), ValueError, "LSTM: hidden_size must be at least 1, got 0"),
    (lambda: layers.GRU(3, 2.0), TypeError, "GRU: hidden_size must be an integer"),
    (lambda: layers.GRU(3, 2, 2, dropout=1.5), ValueError, "GRU: dropout=1.5 is the probability"),
    (lambda: layers.GRU(3, 2, variational_dropout=-1), ValueError, "GRU: variational_dropout=-1"),
    (lambda: layers.LSTM(3, 2, proj_size=2), ValueError, "LSTM: proj_size=2 must lie between 0"),
    (lambda: layers.RNN(3, 2, nonlinearity="gelu"), ValueError, "RNN: nonlinearity='gelu'; choose"),
    (lambda: layers.RNNCell(3, 2, nonlinearity="gelu"), ValueError, "RNNCell: nonlinearity='gelu'; choose"),
    (lambda: layers.LSTMCell(0, 2), ValueError, "LSTMCell: input_size must be at least 1"),
    (lambda: layers.LSTM(3, 2)(cr.zeros(4)), cr.ShapeError, r"the input is \(T, N, I\) or \(T, I\).*float32\(4\)"),
    (lambda: layers.LSTM(3, 2, batch_first=True)(cr.zeros(4, 5, 2)), cr.ShapeError,
     r"LSTM: the input float32\(4, 5, 2\) has 2 features in its last axis, input_size is 3"),
    (lambda: layers.LSTM(3, 2)(cr.zeros(4, 5, 3), cr.zeros(1, 5, 2)), TypeError, r"LSTM: hx is the pair \(h0, c0\)"),
    (lambda: layers.GRU(3, 2)(cr.zeros(4, 5, 3), (cr.zeros(1, 5, 2),)), TypeError, "GRU: hx is one tensor, got a tuple of 1"),
    (lambda: layers.LSTM(3, 2, 2)(cr.zeros(4, 5, 3), (cr.zeros(2, 5, 2), cr.zeros(2, 4, 2))), cr.ShapeError,
     r"LSTM: c0 must be of shape \(2, 5, 2\)"),
    (lambda: layers.GRU(3, 2)(cr.zeros(5, 3), cr.zeros(1, 1, 2)), cr.ShapeError, r"GRU: h0 must be of shape \(1, 2\)"),
    (lambda: layers.GRU(3, 2)(cr.zeros(5, 3), lengths=[5]), cr.ShapeError, "GRU: lengths belong to a batch"),
    (lambda: layers.GRUCell(3, 2)(cr.zeros(1, 5, 3)), cr.ShapeError, r"GRUCell: the input is \(N, I\) or"),
    (lambda: layers.GRUCell(3, 2)(cr.zeros(5, 3), cr.zeros(4, 2)), cr.ShapeError, r"h0 must be of shape \(5, 2\)"),
])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()

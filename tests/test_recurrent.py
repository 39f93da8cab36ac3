"""lstm, gru and rnn: the compiled kernels against their definitions, lengths, unusual sizes, and errors."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional
from chainrule.kernels import cpu, reference
from chainrule.tensor import Tensor

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STATES = {"lstm": 2, "gru": 1, "rnn": 1}
KINDS = pytest.mark.parametrize("kind", list(GATES))
# relative to the largest value: sums of a few hundred terms, in another order
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def arrays(kind: str, sizes: tuple[int, int, int, int], dtype: Any = np.float64, *, states: bool = True,
           biases: bool = True, seed: int = 0) -> dict[str, Any]:
    """Random inputs of sizes (T, N, I, H)."""
    steps, batch, features, hidden = sizes
    rng, width = np.random.default_rng(seed), GATES[kind] * hidden

    def draw(*shape: int) -> Any:
        return (0.5 * rng.normal(size=shape)).astype(dtype)

    return {"input": draw(steps, batch, features),
            "states": [draw(batch, hidden) for _ in range(STATES[kind])] if states else [None] * STATES[kind],
            "weights": [draw(width, features), draw(width, hidden), *([draw(width), draw(width)] if biases else [])]}


def call(kind: str, input: Any, states: Any, weights: Any, **options: Any) -> list[Any]:
    """The outputs: output, h_n and, for lstm, c_n."""
    if kind == "lstm":
        output, last = functional.lstm(input, tuple(states), *weights, **options)
        return [output, *last]
    return list(getattr(functional, kind)(input, states[0], *weights, **options))


def answers(kind: str, given: dict[str, Any], used: tuple[int, ...] = (0, 1, 2),
            **options: Any) -> tuple[list[Any], list[Any]]:
    """Outputs, and the gradients of all inputs from those of the outputs in `used`."""
    leaves = {k: [None if a is None else Tensor(a, requires_grad=True) for a in v] if isinstance(v, list)
              else Tensor(v, requires_grad=True) for k, v in given.items()}
    outputs = call(kind, leaves["input"], leaves["states"], leaves["weights"], **options)
    inputs = [t for t in [leaves["input"], *leaves["states"], *leaves["weights"]] if t is not None]
    roots = [o for i, o in enumerate(outputs) if i in used]
    seeds = [Tensor(np.cos(np.arange(o.data.size)).reshape(o.shape).astype(o.dtype)) for o in roots]
    found = cr.grad(roots, inputs, seeds, allow_unused=True)
    return [o.data for o in outputs], [np.zeros(t.shape, t.dtype) if g is None else g.data
                                       for g, t in zip(found, inputs, strict=True)]


def assert_close(ours: Any, theirs: Any, dtype: Any) -> None:
    for a, b in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == dtype
        scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)


def compare(kind: str, given: dict[str, Any], **options: Any) -> None:
    """The kernels against the definition."""
    dtype = given["input"].dtype.type
    with cr.backend("reference"):
        slow = answers(kind, given, **options)
    assert_close(answers(kind, given, **options), slow, dtype)


@KINDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_kernels_compute_their_definition(kind: str, dtype: Any, reverse: bool, ragged: bool) -> None:
    """All options; sizes within one tile of a product, and of several with a rest of rows and of columns: several tasks."""
    for batch, features, hidden in ((5, 3, 5), (70, 35, 37)):
        lengths = np.arange(batch) % 7 if ragged else None  # zeros among them
        for states in (False, True):
            given = arrays(kind, (6, batch, features, hidden), dtype, states=states, biases=not states)
            mask = np.random.default_rng(1).normal(size=(batch, hidden)).astype(dtype) if states else None
            compare(kind, given, lengths=lengths, reverse=reverse, state_mask=mask)


@KINDS
@pytest.mark.parametrize("options", [{}, {"reverse": True, "lengths": np.arange(40) * 7 % 16}])
def test_the_threads_do_not_change_a_bit(kind: str, options: Any) -> None:
    """15 steps of 40 sequences, and weights of more than one block: enough work for several threads in every kernel."""
    given, threads = arrays(kind, (15, 40, 140, 136), np.float32), cr.get_num_threads()
    found = []
    try:
        for count in (1, 2, 2):
            cr.set_num_threads(count)
            found.append(answers(kind, given, **options))
    finally:
        cr.set_num_threads(threads)
    for other in found[1:]:
        for a, b in zip(found[0][0] + found[0][1], other[0] + other[1], strict=True):
            np.testing.assert_array_equal(a, b)
    given = arrays(kind, (15, 40, 140, 136))
    given["weights"] = [w / 5 for w in given["weights"]]  # with larger ones a rounding error grows from step to step
    compare(kind, given, **options)


@KINDS
def test_batches_first_need_no_copy_and_give_the_same(kind: str) -> None:
    """A transposed input, contiguous the other way, is read as it lies: the same bits."""
    given = arrays(kind, (5, 9, 34, 33), np.float32)
    turned = dict(given, input=np.ascontiguousarray(given["input"].transpose(1, 0, 2)).transpose(1, 0, 2))
    for a, b in zip(sum(answers(kind, given), []), sum(answers(kind, turned), []), strict=True):
        np.testing.assert_array_equal(a, b)


@KINDS
def test_the_kernels_are_those_that_run(kind: str) -> None:
    """Nothing above compares the definition with itself: the recorded node is the kernel's own."""
    given = arrays(kind, (2, 3, 4, 5))
    leaf = Tensor(given["input"], requires_grad=True)
    output = call(kind, leaf, given["states"], given["weights"])[0]
    assert output.grad_fn.parents[0].name == kind.capitalize()
    assert getattr(cpu, kind) is not getattr(reference, kind, None)


@KINDS
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 2, 4), (4, 1, 2, 3), (0, 2, 3, 4), (3, 0, 3, 4), (3, 2, 0, 4)])
def test_unusual_sizes(kind: str, sizes: Any) -> None:
    """One of each; no steps (the state stays), no sequences, no features."""
    given = arrays(kind, sizes)
    compare(kind, given)
    outputs, _ = answers(kind, given)
    assert outputs[0].shape == (sizes[0], sizes[1], sizes[3])
    if not sizes[0]:
        np.testing.assert_array_equal(outputs[1], given["states"][0])
        assert not np.shares_memory(outputs[1], given["states"][0])


@KINDS
def test_strided_inputs(kind: str) -> None:
    """Batches first, every second feature, weights stored transposed: the numbers count, not where they lie."""
    given = arrays(kind, (5, 6, 4, 8), np.float32)
    wide = np.repeat(given["input"].transpose(1, 0, 2), 2, axis=2)
    strided = {"input": wide.transpose(1, 0, 2)[:, :, ::2], "states": [np.asfortranarray(s) for s in given["states"]],
               "weights": [np.asfortranarray(w) if w.ndim == 2 else np.repeat(w, 2)[::2] for w in given["weights"]]}
    assert not strided["input"].flags.c_contiguous
    assert_close(answers(kind, strided), answers(kind, given), np.float32)


@KINDS
@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 2)])
def test_outputs_that_are_not_used(kind: str, used: tuple[int, ...]) -> None:
    """The gradient of an output that nobody used is zero."""
    if used == (2,) and kind != "lstm":
        return
    compare(kind, arrays(kind, (4, 3, 2, 5)), used=used)


@KINDS
def test_lengths_are_as_if_the_rest_were_not_there(kind: str) -> None:
    """Each sequence alone, cut to its length, gives the same; NaN beyond the lengths reaches nothing."""
    given, lengths = arrays(kind, (6, 4, 3, 5)), np.array([6, 1, 4, 2])
    given["input"][np.arange(6)[:, None] >= lengths] = np.nan
    for backend in ("cpu", "reference"):
        with cr.backend(backend):
            for reverse in (False, True):
                outputs, gradients = answers(kind, given, lengths=lengths, reverse=reverse)
                assert all(np.isfinite(a).all() for a in outputs + gradients)
                for n, length in enumerate(lengths):
                    one = {"input": given["input"][:length, n : n + 1], "weights": given["weights"],
                           "states": [s[n : n + 1] for s in given["states"]]}
                    alone, _ = answers(kind, one, reverse=reverse)
                    np.testing.assert_allclose(outputs[0][:length, n], alone[0][:, 0], atol=1e-12)
                    assert not outputs[0][length:, n].any() and not gradients[0][length:, n].any()
                    for a, b in zip(outputs[1:], alone[1:], strict=True):
                        np.testing.assert_allclose(a[n], b[0], atol=1e-12)


@KINDS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(kind: str, value: float) -> None:
    """NaN and infinity come out where the definition has them: of the sequence they are in, and of no other."""
    given = arrays(kind, (3, 4, 2, 5))
    given["input"][1, 2, 0] = value
    with np.errstate(invalid="ignore", over="ignore"):
        with cr.backend("reference"):
            slow = answers(kind, given)
        fast = answers(kind, given)
    assert np.isfinite(fast[0][0][:, [0, 1, 3]]).all()
    for a, b in zip(fast[0] + fast[1], slow[0] + slow[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_relu() -> None:
    """The plain network's other nonlinearity, whose derivative at and below zero is zero."""
    given = arrays("rnn", (5, 70, 3, 6))
    compare("rnn", given, nonlinearity="relu")
    compare("rnn", given, nonlinearity="relu", reverse=True, lengths=np.arange(70) % 6)


def test_a_written_output_is_noticed() -> None:
    """The backward pass needs the output; one that was changed in place since would give wrong derivatives."""
    given = arrays("lstm", (3, 2, 4, 5))
    output, _, _ = call("lstm", Tensor(given["input"], requires_grad=True), given["states"], given["weights"])
    with cr.no_grad():
        output[0] = 0.0
    with pytest.raises(cr.AutogradError, match="changed in place"):
        cr.sum(output).backward()


def test_mixed_and_half_precision() -> None:
    """What the kernels decline is computed by the definition: float32 beside float64 gives float64, float16 stays."""
    given = arrays("lstm", (3, 2, 4, 5), np.float32)
    wide = dict(given, weights=[w.astype(np.float64) for w in given["weights"]])
    assert call("lstm", *wide.values())[0].dtype == np.float64
    half = {"input": given["input"].astype(np.float16), "states": [s.astype(np.float16) for s in given["states"]],
            "weights": [w.astype(np.float16) for w in given["weights"]]}
    outputs = call("lstm", *half.values())
    assert outputs[0].dtype == np.float16
    np.testing.assert_allclose(outputs[0].data, call("lstm", *given.values())[0].data, atol=5e-3)


@KINDS
@pytest.mark.parametrize("reverse", [False, True])
def test_a_mask_of_the_state_scales_what_the_weight_sees(kind: str, reverse: bool) -> None:
    """Each sequence is as alone with the columns of w_hh scaled by its own mask, and so are the weights' gradients."""
    given = arrays(kind, (6, 3, 2, 5))
    mask = np.random.default_rng(1).normal(size=(3, 5))
    outputs, gradients = answers(kind, given, used=(0,), state_mask=mask, reverse=reverse)
    seed = np.cos(np.arange(6 * 3 * 5)).reshape(6, 3, 5)
    total = np.zeros_like(given["weights"][1])
    for n in range(3):
        w_ih, w_hh, *biases = given["weights"]
        weight = Tensor(w_hh, requires_grad=True)
        alone = call(kind, given["input"][:, n : n + 1], [s[n : n + 1] for s in given["states"]],
                     [w_ih, weight * Tensor(mask[n]), *biases], reverse=reverse)
        for a, b in zip(outputs, alone, strict=True):
            np.testing.assert_allclose(a[..., n, :], b.data[..., 0, :], atol=1e-12)
        (alone[0] * Tensor(seed[:, n : n + 1])).sum().backward()
        total += weight.grad.data
    np.testing.assert_allclose(gradients[len(given["states"]) + 2], total, atol=1e-12)


def test_errors_say_what_does_not_fit() -> None:
    """Shapes, lengths and names."""
    given = arrays("lstm", (3, 2, 4, 5))
    x, (h, c), weights = given["input"], given["states"], given["weights"]
    with pytest.raises(cr.ShapeError, match=r"lstm: the input is \(T, N, I\).*unsqueeze"):
        functional.lstm(x[:, 0], (h, c), *weights)
    with pytest.raises(cr.ShapeError, match=r"lstm: w_ih must be of shape \(20, 4\)"):
        functional.lstm(x, (h, c), weights[0].T, *weights[1:])
    with pytest.raises(cr.ShapeError, match=r"lstm: w_hh is \(4 \* H, H\)"):
        functional.lstm(x, (h, c), weights[0], weights[1][:-1])
    with pytest.raises(cr.ShapeError, match=r"lstm: c0 must be of shape \(2, 5\)"):
        functional.lstm(x, (h, c[:1]), *weights)
    with pytest.raises(cr.ShapeError, match=r"lstm: state_mask must be of shape \(2, 5\)"):
        functional.lstm(x, (h, c), *weights, state_mask=h[:1])
    with pytest.raises(cr.ShapeError, match=r"lstm: w_hr must be of shape \(5, 5\)"):
        functional.lstm(x, (h, c), *weights, w_hr=weights[1])
    with pytest.raises(cr.ShapeError, match=r"lengths must lie from 0 to 3"):
        functional.lstm(x, (h, c), *weights, lengths=[4, 1])
    with pytest.raises(cr.ShapeError, match=r"lengths must be of shape \(2,\)"):
        functional.lstm(x, (h, c), *weights, lengths=[3])
    with pytest.raises(cr.DtypeError, match="lengths are integers"):
        functional.lstm(x, (h, c), *weights, lengths=[3.0, 1.0])
    with pytest.raises(ValueError, match="choose 'tanh' or 'relu'"):
        functional.rnn(x, None, *arrays("rnn", (3, 2, 4, 5))["weights"], nonlinearity="sigmoid")

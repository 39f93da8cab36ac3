"""Losses, embeddings and normalization where the sample table cannot look: warnings, errors, extremes, kinks, running
statistics."""

import math
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule.functional as F
from chainrule.errors import DtypeError, ShapeError
from chainrule.names import ops
from chainrule.state import state
from chainrule.tensor import Tensor


def tensor(values: Any, dtype: Any = np.float64, requires_grad: bool = True) -> Tensor:
    array = np.array(values, dtype)
    return Tensor(array, requires_grad=requires_grad and array.dtype.kind == "f")


def integers(*values: int) -> Tensor:
    return Tensor(np.array(values))


# ---- shapes that broadcast by mistake


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.kl_div, F.poisson_nll_loss,
                                  F.soft_margin_loss, F.hinge_embedding_loss, F.multilabel_soft_margin_loss])
def test_a_column_against_a_row_warns_naming_both_shapes_and_the_fix(loss):
    column, row = tensor([[0.1], [0.2], [0.3]]), tensor([0.5, 0.2, 0.3])
    with pytest.warns(UserWarning, match=r"\(3, 1\).*\(3,\).*\(3, 3\).*reshape") as caught:
        loss(column, row)
    assert caught[0].filename == __file__, "the warning points at the caller's line"


def test_the_other_losses_warn_or_refuse():
    column, row = tensor([[0.1], [0.2], [0.3]]), tensor([0.5, 0.2, 0.3])
    with pytest.warns(UserWarning, match="gaussian_nll_loss.*differ"):
        F.gaussian_nll_loss(column, row, 1.0)
    with pytest.warns(UserWarning, match="margin_ranking_loss: input1 of shape .* and input2 of shape"):
        F.margin_ranking_loss(column, row, Tensor(np.ones((3, 3))))
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        with pytest.raises(ShapeError, match=r"\(3, 1\).*\(3,\).*must be equal.*unsqueeze"):
            loss(column, row)


def test_equal_shapes_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.mse_loss(tensor([1.0]), tensor([2.0]))


def test_shapes_that_do_not_broadcast_raise():
    with pytest.raises(ShapeError, match=r"mse_loss.*\(2,\).*\(3,\).*axis -1 has sizes 2 and 3"):
        F.mse_loss(tensor([1.0, 2.0]), tensor([1.0, 2.0, 3.0]))


# ---- what is refused, and how it is said


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: F.cross_entropy(tensor(np.zeros((4, 5))), integers(0, 1, 2, 7)), IndexError,
     r"target 7 at position \(3,\) is out of range for 5 classes.*0 to 4.*ignore_index=-100"),
    (lambda: F.cross_entropy(tensor(np.zeros((2, 5))), integers(-1, 1)), IndexError, r"target -1 at position \(0,\)"),
    (lambda: F.nll_loss(tensor(np.zeros((1, 2, 3))), Tensor(np.array([[0, 2, 1]]))), IndexError, r"position \(0, 1\)"),
    (lambda: F.multi_margin_loss(tensor(np.zeros((1, 3))), integers(3)), IndexError, "target 3 .* 3 classes"),
    (lambda: F.cross_entropy(tensor(np.zeros((2, 5))), integers(1)), ShapeError, r"\(1,\).*\(2, 5\).*need.*\(2,\)"),
    (lambda: F.cross_entropy(tensor(np.zeros((2, 5))), Tensor(np.array([[1], [2]]))), ShapeError, "squeeze its last"),
    (lambda: F.cross_entropy(tensor(np.zeros((2, 5))), tensor([0.0, 1.0])), ShapeError, r"target\.long\(\)"),
    (lambda: F.cross_entropy(tensor(np.zeros((2, 5))), integers(0, 1), tensor([1.0])), ShapeError, r"weight.*\(5,\)"),
    (lambda: F.cross_entropy(tensor(np.zeros((2, 5))), integers(0, 1), label_smoothing=1.5), ValueError, "smoothing"),
    (lambda: F.cross_entropy(integers(0, 1), integers(0)), DtypeError, r"int64.*\.float\(\)"),
    (lambda: F.nll_loss(tensor(np.zeros((2, 5))), tensor([0.0, 1.0])), DtypeError, r"class indices.*target\.long\(\)"),
    (lambda: F.binary_cross_entropy(tensor([0.5]), integers(1)), DtypeError, r"int64.*target\.float\(\)"),
    (lambda: F.binary_cross_entropy_with_logits(tensor([0.5]), integers(1)), DtypeError, r"target\.float\(\)"),
    (lambda: F.kl_div(tensor([0.5]), integers(1)), DtypeError, r"target\.float\(\)"),
    (lambda: F.binary_cross_entropy(tensor([1.5]), tensor([1.0])), ValueError, r"1\.5.*with_logits"),
    (lambda: F.mse_loss(tensor([1.5]), tensor([1.0]), reduction="average"), ValueError, "'average'"),
    (lambda: F.gaussian_nll_loss(tensor([1.0]), tensor([1.0]), tensor([-1.0])), ValueError, "negative"),
    (lambda: F.huber_loss(tensor([1.0]), tensor([1.0]), delta=0.0), ValueError, "delta"),
    (lambda: F.embedding(integers(0, 3), tensor(np.zeros((3, 2)))), IndexError, r"index 3 at position \(1,\).* 3 rows"),
    (lambda: F.embedding(tensor([0.0]), tensor(np.zeros((3, 2)))), DtypeError, r"integers; use \.long\(\)"),
    (lambda: F.embedding_bag(integers(0, 1), tensor(np.zeros((3, 2)))), ValueError, "needs offsets"),
    (lambda: F.embedding_bag(integers(0, 1), tensor(np.zeros((3, 2))), integers(1)), ValueError, "begin with 0"),
    (lambda: F.linear(tensor(np.zeros((4, 3))), tensor(np.zeros((3, 2)))), ShapeError, "3 feat.*takes 2.*transpose"),
    (lambda: F.batch_norm(tensor(np.zeros((1, 3))), None, None, training=True), ValueError, "single value"),
    (lambda: F.batch_norm(tensor(np.zeros((2, 3))), None, None), ValueError, "running_mean"),
    (lambda: F.layer_norm(tensor(np.zeros((2, 3))), (4,)), ShapeError, r"\(2, 3\).*\(4,\)"),
    (lambda: F.group_norm(tensor(np.zeros((2, 3))), 2), ValueError, "3 channels.*2 groups"),
    (lambda: F.glu(tensor(np.zeros((2, 3)))), ShapeError, "size 3 along axis 1"),
    (lambda: F.prelu(tensor(np.zeros((2, 3))), tensor([1.0, 2.0])), ShapeError, r"\(2,\).*\(3,\)"),
    (lambda: F.gelu(tensor([1.0]), "sigmoid"), ValueError, "'sigmoid'"),
])
def test_errors_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_torchs_former_arguments_work_with_a_warning():
    for options, reduction in (({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"reduce": 1}, "mean")):
        with pytest.warns(UserWarning, match=f"reduction='{reduction}'"):
            found = F.mse_loss(tensor([1.0, 2.0]), tensor([3.0, 5.0]), **options)
        assert found.tolist() == F.mse_loss(tensor([1.0, 2.0]), tensor([3.0, 5.0]), reduction=reduction).tolist()


def test_softmax_without_an_axis_warns():
    with pytest.warns(UserWarning, match="pass dim.*axis 1") as caught:
        F.softmax(tensor([[1.0, 2.0]]))
    assert caught[0].filename == __file__


# ---- extremes


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_logits_of_ten_thousand(dtype):
    """Values and gradients stay finite and right, without a NumPy warning."""
    logits = tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]], dtype)
    loss = F.cross_entropy(logits, integers(0, 0), reduction="none")
    assert loss.dtype == dtype and loss.tolist() == pytest.approx([0.0, 2e4], rel=1e-3)
    loss.sum().backward()
    assert logits.grad is not None and logits.grad.tolist() == [[0.0, 0.0, 0.0], [-1.0, 1.0, 0.0]]
    x = tensor([1e4, 1e4, -1e4, -1e4], dtype)
    loss = F.binary_cross_entropy_with_logits(x, tensor([0.0, 1.0, 0.0, 1.0], dtype, False), reduction="none")
    assert loss.tolist() == pytest.approx([1e4, 0.0, 0.0, 1e4])
    loss.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 0.0, 0.0, -1.0]


def test_the_tail_of_a_confident_logit_is_not_lost():
    for logit, label in ((20.0, 1.0), (-20.0, 0.0)):
        loss = F.binary_cross_entropy_with_logits(tensor([logit], np.float32), tensor([label], np.float32))
        assert loss.item() == pytest.approx(math.log1p(math.exp(-20.0)), rel=1e-6)


@pytest.mark.parametrize("norm", [
    lambda x: F.layer_norm(x, (4,)), lambda x: F.rms_norm(x, (4,)), lambda x: F.group_norm(x, 1),
    lambda x: F.batch_norm(x.T, None, None, training=True)])
def test_normalizing_large_float16_values(norm):
    x = np.array([[1000.0, -3000.0, 2000.0, 500.0]])
    half, exact = norm(tensor(x, np.float16)), norm(tensor(x))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half.data, exact.data, rtol=2e-3)


def test_binary_cross_entropy_at_certainty():
    x = tensor([0.0, 1.0, 0.0, 1.0])
    loss = F.binary_cross_entropy(x, tensor([0.0, 1.0, 1.0, 0.0], requires_grad=False), reduction="none")
    assert loss.tolist() == [0.0, 0.0, 100.0, 100.0]
    loss.sum().backward()
    assert x.grad is not None and x.grad.tolist() == pytest.approx([0.0, 0.0, -1e12, 1e12])


def test_an_ignored_row_may_be_infinite():
    logits = tensor([[1.0, 2.0], [-math.inf, -math.inf]])
    log_probabilities = F.nll_loss(logits, integers(1, -100))
    assert log_probabilities.item() == -2.0
    log_probabilities.backward()
    assert logits.grad is not None and logits.grad.tolist() == [[0.0, -1.0], [0.0, 0.0]]


# ---- kinks: the derivative is torch's


@pytest.mark.parametrize(("function", "points", "slopes"), [
    (F.relu, [0.0], [0.0]),
    (F.relu6, [0.0, 6.0], [0.0, 0.0]),
    (F.hardtanh, [-1.0, 1.0], [0.0, 0.0]),
    (F.leaky_relu, [0.0], [0.01]),
    (F.hardshrink, [-0.5, 0.5], [0.0, 0.0]),
    (F.softshrink, [-0.5, 0.5], [0.0, 0.0]),
    (F.hardsigmoid, [-3.0, 3.0], [0.0, 0.0]),
    (F.hardswish, [-3.0, 3.0], [0.0, 1.0]),
    (lambda x: F.threshold(x, 1.0, 5.0), [1.0], [0.0]),
    (lambda x: F.elu(x, 0.5), [0.0], [0.5]),
    (F.celu, [0.0], [1.0]),
    (F.softsign, [0.0], [1.0]),
    (lambda x: F.l1_loss(x, x.detach() * 0, reduction="sum"), [0.0], [0.0]),
    (lambda x: F.smooth_l1_loss(x, x.detach() * 0, reduction="sum"), [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]),
    (lambda x: F.huber_loss(x, x.detach() * 0, reduction="sum", delta=2.0), [-2.0, 0.0, 2.0], [-2.0, 0.0, 2.0]),
    (lambda x: F.hinge_embedding_loss(x, x.detach() * 0 - 1, reduction="sum"), [1.0], [-1.0]),
])
def test_derivatives_at_kinks(function, points, slopes):
    x = tensor(points)
    function(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == pytest.approx(slopes)


# ---- state


def test_running_statistics_follow_the_batch():
    x = np.random.default_rng(0).normal(2.0, 3.0, (6, 2, 5))
    mean, variance = tensor([1.0, 1.0], requires_grad=False), tensor([4.0, 4.0], requires_grad=False)
    F.batch_norm(tensor(x), mean, variance, training=True, momentum=0.25)
    np.testing.assert_allclose(mean.data, 0.75 + 0.25 * x.mean((0, 2)))
    np.testing.assert_allclose(variance.data, 3.0 + 0.25 * x.var((0, 2), ddof=1))
    before = mean.data.copy(), variance.data.copy()
    F.batch_norm(tensor(x), mean, variance, training=False)
    state.recomputing = True
    try:
        F.batch_norm(tensor(x), mean, variance, training=True)
    finally:
        state.recomputing = False
    assert (mean.data == before[0]).all() and (variance.data == before[1]).all()


def test_running_statistics_of_instances_are_averaged():
    x = np.random.default_rng(0).normal(2.0, 3.0, (6, 2, 5))
    mean, variance = tensor([0.0, 0.0], requires_grad=False), tensor([1.0, 1.0], requires_grad=False)
    out = F.instance_norm(tensor(x), mean, variance, momentum=0.5)
    np.testing.assert_allclose(out.data, F.instance_norm(tensor(x)).data)
    np.testing.assert_allclose(mean.data, 0.5 * x.mean((0, 2)))
    np.testing.assert_allclose(variance.data, 0.5 + 0.5 * x.var(2, ddof=1).mean(0))


def test_the_padding_row_gets_no_gradient_and_repeats_add_up():
    weight = tensor(np.zeros((4, 2)))
    F.embedding(integers(1, 2, 1, 3), weight, padding_idx=-1).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [1.0, 1.0], [0.0, 0.0]]


def test_gradients_by_frequency():
    weight = tensor(np.zeros((3, 1)))
    F.embedding(integers(1, 2, 1, 1), weight, scale_grad_by_freq=True).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[0.0], [pytest.approx(1.0)], [1.0]]


def test_max_norm_scales_the_rows_looked_up_in_place():
    weight = tensor([[3.0, 4.0], [30.0, 40.0], [0.3, 0.4]])
    F.embedding(integers(0, 2), weight, max_norm=1.0)
    np.testing.assert_allclose(weight.data, [[0.6, 0.8], [30.0, 40.0], [0.3, 0.4]], rtol=1e-6)


def test_an_empty_bag_gives_zeros():
    weight = tensor([[1.0, 2.0], [3.0, 4.0]])
    for mode in ("sum", "mean", "max"):
        out = F.embedding_bag(integers(0, 1), weight, integers(0, 0, 2), mode=mode)
        assert out[0].tolist() == [0.0, 0.0] and out[2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("function", "in_place"), [
    (F.relu, F.relu_), (F.hardtanh, F.hardtanh_), (F.leaky_relu, F.leaky_relu_), (F.elu, F.elu_),
    (F.mish, lambda x: F.mish(x, inplace=True)), (F.hardswish, lambda x: F.hardswish(x, inplace=True))])
def test_in_place_activations_write_and_record(function, in_place):
    x, twin = tensor([-1.0, 0.5, 2.0]), tensor([-1.0, 0.5, 2.0])
    expected = function(twin)
    expected.sum().backward()
    written = x * 1
    assert in_place(written) is written and written.tolist() == expected.tolist()
    written.sum().backward()
    assert x.grad is not None and twin.grad is not None and x.grad.tolist() == twin.grad.tolist()


def test_a_draw_from_categories():
    logits = tensor([[0.0, 1000.0, 0.0], [0.0, 0.0, 1000.0]])
    assert F.gumbel_softmax(logits).data.sum(1) == pytest.approx([1.0, 1.0])
    hard = F.gumbel_softmax(logits, hard=True)
    assert hard.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    ops.sum(hard * tensor([1.0, 2.0, 3.0])).backward()
    assert logits.grad is not None


def test_random_slopes_lie_in_their_range():
    x = tensor(np.full(1000, -1.0))
    y = F.rrelu(x, 0.25, 0.5, training=True)
    assert -0.5 <= y.data.min() < -0.45 and -0.3 < y.data.max() <= -0.25
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, -y.data)

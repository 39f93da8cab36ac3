"""gradcheck, gradgradcheck and check_gradient: what they accept, what they catch, and how they say it."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr


def leaf(*values: float, dtype: Any = cr.float64) -> cr.Tensor:
    return cr.tensor(list(values), dtype=dtype, requires_grad=True)


def scaled_exp(factor: float) -> cr.Op:
    """exp with a derivative that is wrong by a factor."""
    return cr.Op("scaled_exp", forward=lambda xp, x: xp.exp(x), x=lambda xp, g, out: factor * g * out)


# ---- what the message says


def test_the_message_names_input_element_both_values_and_their_ratio() -> None:
    wrong = scaled_exp(2.0)
    with pytest.raises(cr.GradcheckError) as caught:
        cr.gradcheck(lambda a, b: a.sum() + wrong(b), (leaf(1.0), cr.tensor([[0.0, 1.0]], dtype=cr.float64, requires_grad=True)))
    text = str(caught.value)
    assert "output 0 with respect to input 1 is wrong in 2 of 4 elements" in text
    worst = text.splitlines()[1]
    assert "input 1[0, 1], output 0[0, 1]" in worst
    assert "analytic 5.43656366" in worst and "numeric 2.71828" in worst and "ratio 2" in worst
    assert "input 1[0, 0], output 0[0, 0]: analytic 2, numeric 1" in text.splitlines()[2]


def test_at_most_five_elements_are_listed_worst_first() -> None:
    with pytest.raises(cr.GradcheckError) as caught:
        cr.gradcheck(scaled_exp(3.0), (leaf(*np.linspace(0, 2, 9)),))
    lines = str(caught.value).splitlines()
    assert len(lines) == 6 and "wrong in 9 of 81" in lines[0]
    assert [line.split(",")[0].strip() for line in lines[1:3]] == ["input 0[8]", "input 0[7]"]


def test_a_numeric_zero_has_no_ratio() -> None:
    op = cr.Op("constant", forward=lambda xp, x: xp.zeros_like(x), x=lambda xp, g: g)
    with pytest.raises(cr.GradcheckError, match="analytic 1, numeric 0, ratio undefined"):
        cr.gradcheck(op, (leaf(1.0),))


def test_a_kink_is_pointed_out() -> None:
    with pytest.raises(cr.GradcheckError, match="slope is 0 on the left and 1 on the right: a kink"):
        cr.gradcheck(cr.relu, (leaf(0.0, 1.0),))


def test_a_wrong_gradient_away_from_kinks_is_not_called_one() -> None:
    with pytest.raises(cr.GradcheckError) as caught:
        cr.gradcheck(scaled_exp(1.1), (leaf(0.3),))
    assert "kink" not in str(caught.value)


def test_returning_instead_of_raising() -> None:
    assert cr.gradcheck(scaled_exp(1.1), (leaf(0.3),), raise_exception=False) is False
    assert cr.gradcheck(scaled_exp(1.0), (leaf(0.3),), raise_exception=False) is True


# ---- what it catches


@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0, 1 + 1e-7])
def test_a_wrong_factor_is_caught(factor: float) -> None:
    """Also one of 1e-7: the complex step sees what central differences cannot."""
    with pytest.raises(cr.GradcheckError):
        cr.gradcheck(scaled_exp(factor), (leaf(0.3, -0.4),))


def test_central_differences_alone_pass_what_the_complex_step_catches() -> None:
    wrong = scaled_exp(1 + 1e-7)
    assert cr.gradcheck(wrong, (leaf(0.3),), complex_step=False)
    assert not cr.gradcheck(wrong, (leaf(0.3),), complex_step=True, raise_exception=False)


def test_the_complex_step_does_not_judge_what_is_not_analytic() -> None:
    """|x| of a complex number is real: for x|x| the complex step gives |x| where 2|x| is right, and a formula of |x| as
    wrong as that must not pass on its word."""
    assert cr.gradcheck(lambda x: x * x.abs(), (leaf(0.5, -2.0),))
    wrong = cr.Op("wrong_abs", forward=lambda xp, x: xp.abs(x), x=lambda xp, g, x: g * 0)
    with pytest.raises(cr.GradcheckError):
        cr.gradcheck(lambda x: x * wrong(x), (leaf(0.5, -2.0),))
    with pytest.raises(cr.GradcheckError):
        cr.gradcheck(wrong, (leaf(0.5, -2.0),), complex_step=True)  # stays real: central differences judge


def test_outputs_that_do_not_depend_on_an_input() -> None:
    """They stay real while another moves along the imaginary axis."""
    x, y = leaf(0.5, 2.0), leaf(1.5)
    for step in (None, True, False):
        assert cr.gradcheck(lambda x, y: (x * x, y.exp(), cr.ones(3, dtype=cr.float64)), (x, y), complex_step=step)
        assert cr.gradcheck(lambda x, y: x.sin(), (x, y), complex_step=step)


def test_a_detached_path_is_caught() -> None:
    for step in (None, True):
        with pytest.raises(cr.GradcheckError, match="analytic 0.5"):
            cr.gradcheck(lambda x: x * x.detach(), (leaf(0.5),), complex_step=step)


def test_fast_mode_catches_and_passes() -> None:
    x = cr.tensor(np.random.default_rng(0).normal(size=(7, 5)), requires_grad=True)
    assert cr.gradcheck(lambda x: (x.exp() @ x.mT, x.sum()), (x,), fast_mode=True)
    for factor in (1.01, -1.0, 0.0):
        with pytest.raises(cr.GradcheckError, match="along a random direction of input 0: analytic .*, numeric .*, ratio"):
            cr.gradcheck(scaled_exp(factor), (x,), fast_mode=True)


def test_a_formula_that_ignores_strides_is_caught() -> None:
    """A derivative that reads memory in the order it lies in, right for contiguous inputs only."""
    def derivative(xp: Any, g: Any, x: Any) -> Any:
        in_memory = x.ravel(order="K").reshape(x.shape) if xp is not cr.names.ops else x
        return 2 * g * in_memory

    square = cr.Op("careless_square", forward=lambda xp, x: x * x, x=derivative)
    x = cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=cr.float64, requires_grad=True)
    assert cr.gradcheck(square, (x,), check_strides=False)
    with pytest.raises(cr.GradcheckError, match="when the inputs are not contiguous"):
        cr.gradcheck(square, (x,))


def test_a_forward_that_ignores_strides_is_caught() -> None:
    """With the derivative right, and the values wrong where the input is not contiguous."""
    careless = cr.Op("careless", forward=lambda xp, x: x.ravel(order="K").reshape(x.shape) ** 2,
                     x=lambda xp, g, out: 2 * g * xp.sqrt(out))
    x = cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=cr.float64, requires_grad=True)
    assert cr.gradcheck(careless, (x,), check_strides=False)
    with pytest.raises(cr.GradcheckError, match="when the inputs are not contiguous"):
        cr.gradcheck(careless, (x,))


def test_an_output_that_ignores_strides_though_its_gradient_does_not() -> None:
    careless = cr.Op("careless_copy", forward=lambda xp, x: x.ravel(order="K").reshape(x.shape), x=lambda xp, g: g)
    x = cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=cr.float64, requires_grad=True)
    with pytest.raises(cr.GradcheckError, match="another value when the inputs are not contiguous"):
        cr.gradcheck(careless, (x,))


def test_a_gradient_of_the_wrong_shape_is_an_error_of_the_op() -> None:
    bad = cr.Op("bad_shape", forward=lambda xp, x: xp.sum(x), x=lambda xp, g: g)
    with pytest.raises(cr.ShapeError, match="bad_shape: the derivative formula of input 0 gave shape"):
        cr.gradcheck(bad, (leaf(1.0, 2.0),))


def test_only_inputs_that_require_gradients_are_checked() -> None:
    right_in_a = cr.Op("half_right", forward=lambda xp, a, b: a * b, a=lambda xp, g, b: g * b, b=lambda xp, g, a: g)
    constant = cr.tensor([2.0, 3.0], dtype=cr.float64)
    assert cr.gradcheck(right_in_a, (leaf(0.5, 0.7), constant))
    assert not cr.gradcheck(right_in_a, (leaf(0.5, 0.7), leaf(2.0, 3.0)), raise_exception=False)


# ---- what it says of bad questions


def test_float32_warns_and_still_checks() -> None:
    with pytest.warns(UserWarning, match="input 0 is float32; finite differences need float64"):
        assert cr.gradcheck(cr.exp, (leaf(0.3, -0.4, dtype=cr.float32),))
    with pytest.warns(UserWarning, match="float32"), pytest.raises(cr.GradcheckError):
        cr.gradcheck(scaled_exp(1.5), (leaf(0.3, -0.4, dtype=cr.float32),), complex_step=False)


def test_float16_with_its_own_step() -> None:
    """One step for every dtype would give zeros here."""
    with pytest.warns(UserWarning, match="float16"):
        assert cr.gradcheck(lambda x: x * x, (leaf(0.5, 2.0, dtype=cr.float16),), complex_step=False)


def test_a_function_that_is_not_deterministic_is_reported() -> None:
    draws = iter(np.arange(1.0, 100.0))
    with pytest.raises(cr.AutogradError, match=r"not deterministic: output 0 differs from one run to the next \(by up to 0.5"):
        cr.gradcheck(lambda x: x * next(draws), (leaf(0.5),))
    with pytest.raises(cr.AutogradError, match="not deterministic"):
        cr.gradcheck(lambda x: cr.functional.dropout(x, 0.5), (leaf(*np.linspace(1, 2, 64)),))
    jitter = iter(np.arange(1.0, 100.0) * 1e-14)
    assert cr.gradcheck(lambda x: x + next(jitter), (leaf(0.5),), nondet_tol=1e-10)


def test_nothing_to_check() -> None:
    with pytest.raises(cr.AutogradError, match="no input requires a gradient"):
        cr.gradcheck(cr.exp, (cr.tensor([1.0]),))
    with pytest.raises(cr.AutogradError, match="no output depends on an input that requires a gradient"):
        cr.gradcheck(lambda x: x.detach() * 2, (leaf(1.0),))
    with pytest.raises(cr.DtypeError, match="returned a float; it must return tensors"):
        cr.gradcheck(lambda x: 1.0, (leaf(1.0),))


def test_complex_step_on_demand_needs_a_function_that_takes_complex_arguments() -> None:
    with pytest.raises(cr.AutogradError, match="does not take complex arguments"):
        cr.gradcheck(cr.floor, (leaf(0.5),), complex_step=True)


def test_empty_and_single_inputs() -> None:
    assert cr.gradcheck(lambda x: x * 2, (cr.zeros(0, 3, dtype=cr.float64, requires_grad=True),))
    assert cr.gradcheck(lambda x: x.exp(), cr.tensor(0.5, dtype=cr.float64, requires_grad=True))


def test_steps_follow_the_scale_of_the_input() -> None:
    """At 1e6 a step of 1e-6 would drown in rounding."""
    assert cr.gradcheck(lambda x: x.sqrt(), (leaf(1e6, 1e-2),), complex_step=False)
    assert cr.gradcheck(lambda x: x * x, (leaf(1e6),), complex_step=False)


def test_gradcheck_leaves_no_gradients_and_no_changes_behind() -> None:
    x = leaf(0.5, 1.5)
    cr.gradcheck(lambda x: x.exp(), (x,))
    assert x.grad is None and x.tolist() == [0.5, 1.5]
    with cr.no_grad():
        assert cr.gradcheck(lambda x: x.exp(), (x,))


# ---- second order


def test_gradgradcheck_passes_and_takes_output_gradients() -> None:
    x, y = leaf(0.5, 1.5), leaf(0.3, -0.2)
    assert cr.gradgradcheck(lambda x, y: (x * y.sin(), x.exp()), (x, y))
    assert cr.gradgradcheck(lambda x: x.sin(), (x,), leaf(2.0, 3.0))


def test_third_order() -> None:
    """The check of the second derivative of a derivative."""
    def first(x: cr.Tensor) -> cr.Tensor:
        return cr.grad((x.sin() * x * x).sum(), x, create_graph=True)[0]

    x = leaf(0.5, 1.5)
    assert cr.gradgradcheck(lambda x: first(x if x.requires_grad else x.detach().requires_grad_()), (x,))


# ---- gradients written by hand


def test_check_gradient_accepts_and_catches() -> None:
    a, b = np.array([0.5, -2.0]), np.array([[1.0], [3.0]])
    assert cr.check_gradient(lambda a, b: np.sum(a * b), lambda a, b: (np.full(2, b.sum()), np.full((2, 1), a.sum())), a, b)
    with pytest.raises(cr.GradcheckError, match=r"input 0\[1\], output 0: analytic 6, numeric 12.*, ratio 0.5"):
        cr.check_gradient(lambda x: np.sum(x**3), lambda x: np.array([3 * x[0] ** 2, 6.0]), np.array([1.0, 2.0]))
    with pytest.raises(cr.ShapeError, match=r"the gradient of input 0 has shape \(1,\), the input \(2,\)"):
        cr.check_gradient(lambda x: np.sum(x), lambda x: np.ones(1), np.ones(2))
    with pytest.raises(cr.ShapeError, match="1 inputs but 2 gradients"):
        cr.check_gradient(lambda x: np.sum(x), lambda x: (x, x), np.ones(2))
    with pytest.raises(cr.ShapeError, match=r"f must return one number, it returned shape \(2,\)"):
        cr.check_gradient(lambda x: x, lambda x: x, np.ones(2))


def test_check_gradient_takes_integers_and_leaves_the_arrays_alone() -> None:
    a = np.array([1, 2])
    assert cr.check_gradient(lambda x: np.sum(x**2), lambda x: 2 * x, a)
    assert a.dtype.kind == "i" and a.tolist() == [1, 2]

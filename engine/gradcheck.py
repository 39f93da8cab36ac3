"""Checking gradients by numbers: is what backward computes the derivative of what forward computes?

Analytic Jacobians come from one backward walk per output element, numeric ones from evaluating the function beside each
input element. Two ways to do the latter:

- *central differences*, (f(x + h) - f(x - h)) / 2h. The error is that of the Taylor series, about h²f'''/6, plus that of
  the subtraction, about ε|f|/h; both are smallest near h = ε^(1/3), where roughly two thirds of the digits are right.
- the *complex step*, Im f(x + ih) / h, for functions that are analytic: nothing is subtracted, h can be 1e-30 and the
  derivative is right to the last digits (Squire & Trapp, "Using complex variables to estimate derivatives of real
  functions", SIAM Review 40(1), 1998).
"""

import warnings
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.derivatives import grad, gradients
from chainrule.errors import AutogradError, DtypeError, ShapeError
from chainrule.graph import enable_grad, no_grad
from chainrule.tensor import Tensor

COMPLEX_STEP = 1e-30
# By the bytes of a number: the rounding error of central differences is about ε^(2/3), 4e-11, 2e-5 and 1e-2
TOLERANCES = {8: (1e-5, 1e-3), 4: (1e-3, 1e-2), 2: (5e-2, 1e-1)}


class GradcheckError(AutogradError):
    """An analytic gradient that differs from the numeric one."""


def step_for(x: Any, eps: float | None = None) -> Any:
    """The step of central differences beside each element of x: eps (by default the cube root of the dtype's precision)
    times max(1, |x|)."""
    if eps is None:
        eps = float(np.finfo(x.dtype).eps) ** (1 / 3)
    return eps * np.maximum(1, np.abs(x))


def outputs_of(function: Any, arguments: Any) -> tuple[Tensor, ...]:
    """What the function returns, as a tuple of tensors."""
    result = function(*arguments)
    found = result if isinstance(result, tuple | list) else (result,)
    for t in found:
        if not isinstance(t, Tensor):
            raise DtypeError(f"gradcheck: the function returned a {type(t).__name__}; it must return tensors")
    return tuple(found)


def evaluate(function: Any, inputs: Any, position: int, array: Any) -> list[Any]:
    """The outputs' arrays where input `position` is `array`."""
    arguments = [Tensor(array) if i == position else t.detach() if isinstance(t, Tensor) else t for i, t in enumerate(inputs)]
    with no_grad():
        return [np.array(o.data) for o in outputs_of(function, arguments)]


def difference(function: Any, inputs: Any, position: int, direction: Any, h: Any) -> list[Any]:
    """Central differences of all outputs as input `position` moves along `direction`, scaled by the step h."""
    x = inputs[position].data
    up, down = x + (h * direction).astype(x.dtype), x - (h * direction).astype(x.dtype)
    wide = np.float64 if x.dtype != np.float64 else x.dtype
    plus, minus = evaluate(function, inputs, position, up), evaluate(function, inputs, position, down)
    return [(p.astype(wide) - m.astype(wide)) / (2 * h) for p, m in zip(plus, minus, strict=True)]


def complex_difference(function: Any, inputs: Any, position: int, direction: Any) -> list[Any] | None:
    """Im f(x + ih·direction) / h of all outputs; None where the function does not take complex arguments. An output that
    stays real does not depend on the input, or is not analytic (|x|): NaN, which says that this way cannot tell."""
    array = inputs[position].data.astype(np.complex128) + 1j * COMPLEX_STEP * direction
    try:
        with warnings.catch_warnings(), kernels.backend("reference"):
            warnings.simplefilter("ignore")
            values = evaluate(function, inputs, position, array)
    except Exception:
        return None
    return [v.imag / COMPLEX_STEP if v.dtype.kind == "c" else np.full(v.shape, np.nan) for v in values]


def numeric_jacobians(function: Any, inputs: Any, position: int, count: int, eps: float | None, complex_step: bool) -> Any:
    """For each output an array (output elements, input elements); None where the complex step is not possible."""
    x = inputs[position].data
    h = step_for(x, eps)
    columns: list[list[Any]] = [[] for _ in range(count)]
    for index in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[index] = 1
        found = (complex_difference(function, inputs, position, direction) if complex_step else
                 difference(function, inputs, position, direction, float(h[index])))
        if found is None:
            return None
        for column, value in zip(columns, found, strict=True):
            column.append(value.reshape(-1))
    return [np.stack(c, axis=1) if c else None for c in columns]


def analytic_jacobians(output: Tensor, inputs: list[Tensor]) -> list[Any]:
    """For each input an array (output elements, input elements), by one walk per output element."""
    found = [np.zeros((output.numel(), t.numel())) for t in inputs]
    for row in range(output.numel()):
        seed = np.zeros(output.shape, output.dtype)
        seed.reshape(-1)[row] = 1
        answers = gradients([(output.node, seed)], [t.node for t in inputs], create_graph=False, retain_graph=True)
        for jacobian, t, answer in zip(found, inputs, answers, strict=True):
            if answer is not None:
                if answer.shape != t.shape or answer.dtype != t.dtype:
                    raise GradcheckError(f"gradcheck: the gradient of a {t.dtype}{t.shape} input is {answer.dtype}{answer.shape}")
                jacobian[row] = answer.reshape(-1)
    return found


def report(name: str, i: int, j: int, shapes: tuple[Any, Any], analytic: Any, numeric: Any, wrong: Any, note: str) -> str:
    """The error text: how many elements are wrong, and the worst, by input, element, analytic, numeric and ratio."""
    gap = np.where(wrong, np.abs(analytic - numeric), -1)
    gap = np.where(np.isnan(gap), np.inf, gap)
    lines = [f"{name}: the gradient of output {i} with respect to input {j} is wrong in {int(wrong.sum())} of {wrong.size} elements"
             f"{note}; the worst:"]
    for flat in np.argsort(gap, axis=None)[::-1][: min(5, int(wrong.sum()))]:
        o, x = np.unravel_index(flat, wrong.shape)
        a, n = float(analytic[o, x]), float(numeric[o, x])
        ratio = f"{a / n:.6g}" if n else "undefined"
        where = f"input {j}{_index(x, shapes[1])}, output {i}{_index(o, shapes[0])}"
        lines.append(f"  {where}: analytic {a:.9g}, numeric {n:.9g}, ratio {ratio}")
    return "\n".join(lines)


def _index(flat: Any, shape: tuple[int, ...]) -> str:
    return "" if not shape else "[" + ", ".join(str(int(i)) for i in np.unravel_index(flat, shape)) + "]"


def tolerances(dtype: Any, atol: float | None, rtol: float | None) -> tuple[float, float]:
    """How far analytic and central differences may differ: absolutely, and relatively."""
    absolute, relative = TOLERANCES[np.dtype(dtype).itemsize]
    return (absolute if atol is None else atol), (relative if rtol is None else rtol)


def strided(array: Any) -> Any:
    """The same values in memory with gaps, its last two axes swapped: what kernels must cope with."""
    wide = np.zeros((*array.shape[:-2], *array.shape[:-3:-1], 2), array.dtype)[..., 0]
    view = np.swapaxes(wide, -1, -2) if array.ndim > 1 else wide
    view[...] = array
    return view


def gradcheck(func: Any, inputs: Any, *, eps: float | None = None, atol: float | None = None, rtol: float | None = None,
              raise_exception: bool = True, nondet_tol: float = 0.0, fast_mode: bool = False,
              complex_step: bool | None = None, check_strides: bool = True, check_forward_ad: bool = False) -> bool:
    """Check the gradients of `func` at `inputs` against numbers; True where all agree.

    `func(*inputs)` returns a tensor or a tuple of them; those inputs that require a gradient are checked, in every element
    of every output (`fast_mode`: in one random direction, for large inputs). float64 is needed for a sharp check: below
    it a warning says so. Values should be generic: away from kinks, and not 0 or 1 throughout.

    `eps`: the step; chosen by dtype and scale unless given. `complex_step`: use it instead of central differences; None lets
    it judge, since it is sharper, where central differences confirm it: of a function that is not analytic (|x|) it may
    give a wrong derivative. `check_strides`: once more with non-contiguous inputs. `nondet_tol`: how far two runs may
    differ. `check_forward_ad`: the Jacobian-vector product too.

    Raises GradcheckError (or returns False, with `raise_exception=False`) that names input, element, analytic, numeric and
    their ratio; AutogradError where no input requires a gradient or two runs differ.

    >>> import chainrule as cr
    >>> x = cr.tensor([0.3, -1.2], dtype=cr.float64, requires_grad=True)
    >>> cr.gradcheck(lambda x: (x.exp() * x).sum(), (x,))
    True
    """
    try:
        func, inputs = _from_the_host(func, (inputs,) if isinstance(inputs, Tensor) else tuple(inputs))
        _gradcheck(func, inputs, eps, atol, rtol, nondet_tol, fast_mode,
                   complex_step, check_strides, check_forward_ad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _leaves(inputs: tuple[Any, ...], layout: Any = np.array) -> list[Any]:
    """Fresh leaves with the inputs' values; what needs no gradient stays as it is."""
    return [Tensor(layout(t.data), requires_grad=True) if isinstance(t, Tensor) and t.requires_grad else t for t in inputs]


def _from_the_host(func: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """For inputs on a GPU: the function as one of tensors on the CPU, where it is checked, and those inputs."""
    where = [t.device if isinstance(t, Tensor) else None for t in inputs]
    if all(device is None or device == "cpu" for device in where):
        return func, inputs

    def moved(*arguments: Any) -> tuple[Tensor, ...]:
        found = outputs_of(func, [a if d is None else a.to(d) for a, d in zip(arguments, where, strict=True)])
        return tuple(t.cpu() for t in found)

    return moved, tuple(t if d is None else t.detach().cpu().requires_grad_(t.requires_grad)
                        for t, d in zip(inputs, where, strict=True))


def _gradcheck(func: Any, inputs: tuple[Any, ...], eps: Any, atol: Any, rtol: Any, nondet_tol: float, fast_mode: bool,
               complex_step: bool | None, check_strides: bool, check_forward_ad: bool) -> None:
    wanted = [j for j, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]
    if not wanted:
        raise AutogradError("gradcheck: no input requires a gradient; make one with requires_grad=True")
    for j in wanted:
        if inputs[j].dtype != np.float64:
            warnings.warn(f"gradcheck: input {j} is {inputs[j].dtype}; finite differences need float64 to be sharp: use "
                          ".double(), or wide tolerances", UserWarning, stacklevel=4)
    with enable_grad():
        leaves = _leaves(inputs)
        outputs = outputs_of(func, leaves)
        again = outputs_of(func, _leaves(inputs))
    for i, (a, b) in enumerate(zip(outputs, again, strict=True)):
        if a.shape != b.shape or not np.all((np.abs(a.data - b.data) <= nondet_tol) | (a.data == b.data)
                                            | (np.isnan(a.data) & np.isnan(b.data))):
            raise AutogradError(f"gradcheck: the function is not deterministic: output {i} differs from one run to the next (by up "
                                f"to {np.max(np.abs(a.data - b.data)):.3g}). Seed its randomness inside, or set nondet_tol")
    checked = [i for i, o in enumerate(outputs) if o.node is not None]
    if not checked:
        raise AutogradError("gradcheck: no output depends on an input that requires a gradient (is it detached inside?)")
    if fast_mode:
        _check_direction(func, inputs, leaves, outputs, checked, wanted, eps, atol, rtol)
        return
    analytic = {i: analytic_jacobians(outputs[i], [leaves[j] for j in wanted]) for i in checked}
    for position, j in enumerate(wanted):
        if not inputs[j].numel():
            continue
        sharp: Any = None if complex_step is False else numeric_jacobians(func, inputs, j, len(outputs), eps, True)
        if complex_step and sharp is None:
            raise AutogradError("gradcheck: complex_step=True, but the function does not take complex arguments")
        central: Any = None
        for i in checked:
            a = analytic[i][position]
            if not a.size:
                continue
            tells = sharp is not None and not np.isnan(sharp[i]).all()
            absolute, relative = tolerances(inputs[j].dtype, atol, rtol)
            if not (complex_step and tells):
                central = central or numeric_jacobians(func, inputs, j, len(outputs), eps, False)
                tells = tells and bool(np.all(close(sharp[i], central[i], absolute, relative)))  # else it is not analytic
            numeric = sharp[i] if tells else central[i]
            if tells and inputs[j].dtype == np.float64:
                largest = np.abs(numeric).max(initial=1, where=np.isfinite(numeric))
                absolute, relative = 1e-10 * largest if atol is None else atol, 1e-8 if rtol is None else rtol
            wrong = ~close(a, numeric, absolute, relative)
            if wrong.any():
                note = kink_note(func, inputs, j, i, a, numeric, wrong, eps)
                raise GradcheckError(report("gradcheck", i, j, (outputs[i].shape, inputs[j].shape), a, numeric, wrong, note))
    if check_strides:
        _check_strides(func, inputs, outputs, wanted, checked, analytic)
    if check_forward_ad:
        _check_forward(func, leaves, checked, wanted, analytic)


def close(a: Any, n: Any, atol: float, rtol: float) -> Any:
    """Where analytic a and numeric n agree; two NaN or the same infinity agree."""
    with np.errstate(invalid="ignore"):
        return (np.abs(a - n) <= atol + rtol * np.abs(n)) | (a == n) | (np.isnan(a) & np.isnan(n))


def kink_note(func: Any, inputs: Any, j: int, i: int, analytic: Any, numeric: Any, wrong: Any, eps: Any) -> str:
    """A hint where the function's two one-sided slopes differ at the worst element: a kink, or a step that is too wide."""
    o, x = np.unravel_index(np.argmax(np.where(wrong, np.abs(analytic - numeric), -1)), wrong.shape)
    array = inputs[j].data
    h = float(step_for(array, eps).reshape(-1)[x])
    direction = np.zeros(array.size)
    direction[x] = h
    direction = direction.reshape(array.shape).astype(array.dtype)
    here, up, down = (evaluate(func, inputs, j, array + s * direction)[i].reshape(-1)[o] for s in (0, 1, -1))
    right, left = (up - here) / h, (here - down) / h
    if abs(right - left) > 0.1 * max(abs(right), abs(left)) and abs(right - left) > 1e-3:
        return f" (there its slope is {left:.4g} on the left and {right:.4g} on the right: a kink? move the input away from it)"
    return ""


def _check_direction(func: Any, inputs: Any, leaves: Any, outputs: Any, checked: Any, wanted: Any, eps: Any, atol: Any,
                     rtol: Any) -> None:
    """Fast mode: vᵀJu for one random u per input and v per output."""
    rng = np.random.default_rng(0)
    v = [rng.normal(size=o.shape) for o in outputs]
    answers = gradients([(outputs[i].node, v[i].astype(outputs[i].dtype)) for i in checked], [leaves[j].node for j in wanted],
                        create_graph=False, retain_graph=False)
    for j, answer in zip(wanted, answers, strict=True):
        x = inputs[j].data
        u = rng.normal(size=x.shape)
        h = float(step_for(x, eps).max(initial=0))
        numeric = sum(float((d * v[i]).sum()) for i, d in enumerate(difference(func, inputs, j, u, h)) if i in checked)
        analytic = 0.0 if answer is None else float((answer.astype(np.float64) * u).sum())
        absolute, relative = tolerances(x.dtype, atol, rtol)
        scale = np.sqrt(max(x.size, 1))
        if not abs(analytic - numeric) <= absolute * scale + relative * abs(numeric):
            ratio = f"{analytic / numeric:.6g}" if numeric else "undefined"
            raise GradcheckError(f"gradcheck (fast_mode): along a random direction of input {j}: analytic {analytic:.9g}, numeric "
                                 f"{numeric:.9g}, ratio {ratio}. Run without fast_mode to see which element")


def _check_strides(func: Any, inputs: Any, contiguous: Any, wanted: Any, checked: Any, analytic: Any) -> None:
    with enable_grad():
        leaves = _leaves(inputs, strided)
        outputs = outputs_of(func, leaves)
    for i in checked:
        eps = float(np.finfo(outputs[i].dtype).eps)
        if not np.all(close(outputs[i].data, contiguous[i].data, 1e3 * eps, 1e4 * eps)):
            raise GradcheckError(f"gradcheck: output {i} has another value when the inputs are not contiguous")
        for j, a, b in zip(wanted, analytic[i], analytic_jacobians(outputs[i], [leaves[j] for j in wanted]), strict=True):
            eps = float(np.finfo(inputs[j].dtype).eps)
            wrong = ~close(b, a, 1e3 * eps, 1e4 * eps)
            if wrong.any():
                shapes = outputs[i].shape, inputs[j].shape
                raise GradcheckError(report("gradcheck", i, j, shapes, b, a, wrong, " when the inputs are not contiguous"))


def _check_forward(func: Any, leaves: Any, checked: Any, wanted: Any, analytic: Any) -> None:
    from chainrule.transforms import jvp

    rng = np.random.default_rng(1)
    tangents = [rng.normal(size=leaves[j].shape).astype(leaves[j].dtype) for j in wanted]

    def restricted(*moving: Any) -> Any:
        arguments = list(leaves)
        for j, t in zip(wanted, moving, strict=True):
            arguments[j] = t
        return outputs_of(func, arguments)

    _, pushed = jvp(restricted, tuple(leaves[j] for j in wanted), tuple(Tensor(t) for t in tangents))
    for i in checked:
        expected = sum(a @ t.reshape(-1) for a, t in zip(analytic[i], tangents, strict=True))
        eps = float(np.finfo(leaves[wanted[0]].dtype).eps)
        got = pushed[i].data.reshape(-1)
        wrong = ~close(got, expected, 1e3 * eps, 1e5 * eps)
        if wrong.any():
            k = int(np.argmax(wrong))
            raise GradcheckError(f"gradcheck: forward mode differs from reverse mode at output {i}, element {k}: {got[k]:.9g} "
                                 f"against {expected[k]:.9g}")


def gradgradcheck(func: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> bool:
    """Check second derivatives: gradcheck of the function (inputs, output gradients) → input gradients.

    `grad_outputs`: the output gradients, random unless given; further arguments as for `gradcheck`.

    >>> import chainrule as cr
    >>> x = cr.tensor([0.3, -1.2], dtype=cr.float64, requires_grad=True)
    >>> cr.gradgradcheck(lambda x: x.sin() * x, (x,))
    True
    """
    func, inputs = _from_the_host(func, (inputs,) if isinstance(inputs, Tensor) else tuple(inputs))
    wanted = [j for j, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]
    with enable_grad():
        outputs = [o for o in outputs_of(func, _leaves(inputs))]
    checked = [i for i, o in enumerate(outputs) if o.node is not None]
    if grad_outputs is None:
        rng = np.random.default_rng(2)
        given = [Tensor(rng.normal(size=outputs[i].shape).astype(outputs[i].dtype), requires_grad=True) for i in checked]
    else:
        given = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def first(*arguments: Any) -> tuple[Tensor, ...]:
        xs, gs = list(arguments[: len(inputs)]), arguments[len(inputs) :]
        with enable_grad():
            for j in wanted:
                if xs[j].node is None and xs[j].dtype.kind == "f":
                    xs[j] = xs[j].detach().requires_grad_()
            made = outputs_of(func, xs)
            found = grad([made[i] for i in checked], [xs[j] for j in wanted], list(gs), create_graph=True, allow_unused=True)
        return tuple(f if f is not None else Tensor(np.zeros(xs[j].shape, xs[j].dtype)) for j, f in zip(wanted, found, strict=True))

    options.setdefault("complex_step", False)
    return gradcheck(first, (*inputs, *given), **options)


def check_gradient(f: Any, gradient: Any, *arrays: Any, eps: float | None = None, atol: float | None = None,
                   rtol: float | None = None) -> bool:
    """Check a gradient written by hand in NumPy: `f(*arrays)` is a number, `gradient(*arrays)` its gradient, an array (a
    tuple for several inputs). Raises GradcheckError as `gradcheck` does, ShapeError where a gradient has another shape.

    >>> import numpy as np, chainrule as cr
    >>> cr.check_gradient(lambda x: np.sum(x**3), lambda x: 3 * x**2, np.array([0.5, 2.0]))
    True
    """
    points = [np.array(a, dtype=np.float64) for a in arrays]
    given = gradient(*points)
    given = given if isinstance(given, tuple | list) else (given,)
    if len(given) != len(points):
        raise ShapeError(f"check_gradient: {len(points)} inputs but {len(given)} gradients")

    def lifted(*tensors: Tensor) -> Tensor:
        value = np.asarray(f(*[t.data for t in tensors]))
        if value.size != 1:
            raise ShapeError(f"check_gradient: f must return one number, it returned shape {value.shape}")
        return Tensor(value.reshape(()))

    inputs = [Tensor(p) for p in points]
    for j, (p, a) in enumerate(zip(points, given, strict=True)):
        a = np.asarray(a, dtype=np.float64)
        if a.shape != p.shape:
            raise ShapeError(f"check_gradient: the gradient of input {j} has shape {a.shape}, the input {p.shape}")
        numeric = numeric_jacobians(lifted, inputs, j, 1, eps, False)[0]
        wrong = ~close(a.reshape(1, -1), numeric, *tolerances(p.dtype, atol, rtol))
        if wrong.any():
            raise GradcheckError(report("check_gradient", 0, j, ((), p.shape), a.reshape(1, -1), numeric, wrong, ""))
    return True

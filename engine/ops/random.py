"""Random tensors and random masks. What is drawn is a pure function of a key; see `chainrule.random`."""

from typing import Any

import numpy as np

from chainrule import cuda, dtypes
from chainrule.dtypes import REAL
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.ops.creation import float_dtype, sizes_of
from chainrule.ops.devices import check_device
from chainrule.random import Generator, key_of, namespace
from chainrule.registry import public
from chainrule.state import again
from chainrule.tensor import Tensor

__all__ = ["bernoulli", "multinomial", "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like",
           "randperm"]

# The mask is computed from the key, so nothing is kept; and a mask is its own adjoint.
_dropout = Op("dropout", "input times `scale` where a mask drawn from `key` keeps it (probability 1 - p), 0 elsewhere.",
              word="linear",
              input=lambda xp, g, key, p, scale, shape: xp.dropout(g, key=key, p=p, scale=scale, shape=shape))

# ---- new tensors


@public
@again
def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """Draws from the uniform distribution on [0, 1), of a shape given as numbers or one tuple.

    `dtype`: a float dtype, else the default. `generator`: the source, else the default one. Raises DtypeError for
    integers.

    >>> import chainrule as cr
    >>> cr.rand(2, 3, generator=cr.random.Generator(0)).shape
    (2, 3)
    """
    device = check_device("rand", device)
    with cuda.device(device):
        array = namespace(device).random_uniform(key_of(generator), sizes_of("rand", size), float_dtype("rand", dtype))
    return Tensor(array, requires_grad)


@public
@again
def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
          requires_grad: bool = False) -> Tensor:
    """Draws from the standard normal distribution, of a shape given as numbers or one tuple. Arguments as `rand`.

    >>> import chainrule as cr
    >>> cr.randn(4, dtype=cr.float64, generator=cr.random.Generator(0)).dtype
    dtype('float64')
    """
    device = check_device("randn", device)
    with cuda.device(device):
        array = namespace(device).random_normal(key_of(generator), sizes_of("randn", size), float_dtype("randn", dtype))
    return Tensor(array, requires_grad)


@public
@again
def randint(low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
            device: Any = None, requires_grad: bool = False) -> Tensor:
    """Integers of [low, high), each as likely, int64 unless given: `randint(low, high, size)` or `randint(high, size)`.

    Raises ValueError where the interval is empty.

    >>> import chainrule as cr
    >>> cr.randint(5, 6, (3,))
    tensor([5, 5, 5])
    """
    if size is None and isinstance(high, tuple | list):
        high, size = None, high
    if high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint: pass the shape, as in randint(0, 10, (2, 3))")
    low, high = low.__index__(), high.__index__()
    if low >= high:
        raise ValueError(f"randint({low}, {high}): there is no integer of at least {low} below {high}")
    device = check_device("randint", device)
    with cuda.device(device):
        array = namespace(device).random_integers(key_of(generator), sizes_of("randint", (size,)), low, high)
        array = array.astype(dtypes.int64 if dtype is None else dtypes.as_dtype(dtype))
    return Tensor(array, requires_grad)


def _like(draw: Any, input: Any, dtype: Any, options: dict[str, Any]) -> Tensor:
    input = ops.as_tensor(input)
    options = {"device": input.device, **options}
    found: Tensor = draw(input.shape, dtype=input.dtype if dtype is None else dtype, **options)
    return found


@public
def rand_like(input: Any, dtype: Any = None, **options: Any) -> Tensor:
    """`rand` with the shape and dtype of `input`.

    >>> import chainrule as cr
    >>> cr.rand_like(cr.zeros(2, 3)).shape
    (2, 3)
    """
    return _like(rand, input, dtype, options)


@public
def randn_like(input: Any, dtype: Any = None, **options: Any) -> Tensor:
    """`randn` with the shape and dtype of `input`.

    >>> import chainrule as cr
    >>> cr.randn_like(cr.zeros(2, 3)).shape
    (2, 3)
    """
    return _like(randn, input, dtype, options)


@public
def randint_like(input: Any, low: int, high: int | None = None, dtype: Any = None, **options: Any) -> Tensor:
    """`randint` with the shape and dtype of `input`.

    >>> import chainrule as cr
    >>> cr.randint_like(cr.zeros(2), 5, 6)
    tensor([5., 5.])
    """
    return _like(lambda shape, **o: randint(low, high, shape, **o), input, dtype, options)


@public
@again
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 … n - 1 in random order, int64 unless given.

    >>> import chainrule as cr
    >>> sorted(cr.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    device = check_device("randperm", device)
    with cuda.device(device):
        draws = namespace(device).random_integers(key_of(generator), sizes_of("randperm", (n,)), 0, 2**64)
        order = np.argsort(draws, kind="stable")
        return Tensor(order.astype(dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)))


@public
@again
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
           device: Any = None, requires_grad: bool = False) -> Tensor:
    """Draws from normal distributions N(mean, std**2).

    Numbers with a `size`, or tensors of means and standard deviations, which broadcast and give the shape and dtype.
    Nothing is recorded: use `mean + std * randn_like(mean)` for gradients. Raises ValueError for a negative std.

    >>> import chainrule as cr
    >>> cr.normal(0.0, 1.0, (2, 3)).shape, cr.normal(cr.zeros(4), 0.5).shape
    ((2, 3), (4,))
    """
    tensors = [ops.as_tensor(t) for t in (mean, std) if hasattr(t, "ndim")]
    mean, std = (t._data if isinstance(t, Tensor) else t for t in (mean, std))
    if device is None and tensors:
        device = tensors[0].device
    if np.any(np.less(std, 0)):
        raise ValueError("normal: a standard deviation is negative")
    if size is None and not tensors:
        raise TypeError("normal: pass the shape, as in normal(0.0, 1.0, (2, 3))")
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std)) if size is None else sizes_of("normal", (size,))
    found = np.result_type(*[t.dtype for t in tensors]) if dtype is None and tensors else dtype
    found = float_dtype("normal", found)
    device = check_device("normal", device)
    with cuda.device(device):
        draws = namespace(device).random_normal(key_of(generator), shape, found)
        return Tensor((mean + std * draws).astype(found, copy=False), requires_grad)


@public
@again
def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with probability `input` (elementwise; or everywhere p, where given), else 0; of the input's shape and dtype.

    Nothing is recorded. Raises ValueError for probabilities outside [0, 1], DtypeError for integer ones.

    >>> import chainrule as cr
    >>> cr.bernoulli(cr.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    input = ops.as_tensor(input)
    data = input._data
    if p is None and data.dtype.kind not in REAL:
        raise DtypeError(f"bernoulli({describe(data)}): probabilities are floats; pass p for a tensor of another dtype")
    chance = data if p is None else np.float64(p)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ValueError(f"bernoulli({describe(data)}): probabilities lie between 0 and 1")
    draws = namespace(input.device).random_uniform(key_of(generator), data.shape, np.float64)
    return Tensor((draws < chance).astype(data.dtype))


@public
@again
def multinomial(input: Any, num_samples: int, replacement: bool = False, *,
                generator: Generator | None = None) -> Tensor:
    """Indices of categories, drawn with probabilities proportional to the weights (K) or, row by row, (B, K).

    -> int64 (num_samples) or (B, num_samples). Without `replacement` each category is drawn at most once. Raises
    ValueError for weights that are negative, not finite or all 0, and where there are too few categories.

    >>> import chainrule as cr
    >>> cr.multinomial(cr.tensor([0.0, 3.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    input = ops.as_tensor(input)
    data, draw = input._data, namespace(input.device).random_uniform
    if data.ndim not in (1, 2) or data.dtype.kind not in REAL or num_samples < 1:
        raise ShapeError(f"multinomial({describe(data)}, num_samples={num_samples}): takes float weights (K) or (B, "
                         "K) and at "
                         "least one sample")
    weights = np.atleast_2d(data).astype(np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(1) <= 0).any():
        raise ValueError(f"multinomial({describe(data)}): weights must be finite, at least 0, and in each row one "
                         "above 0")
    key, rows = key_of(generator), len(weights)
    if replacement:
        ends = np.cumsum(weights, axis=1)
        at = draw(key, (rows, num_samples), np.float64) * ends[:, -1:]
        out = np.stack([np.searchsorted(e, a, side="right") for e, a in zip(ends, at, strict=True)]) if rows else at
    else:
        if rows and (np.count_nonzero(weights, axis=1) < num_samples).any():
            raise ValueError(f"multinomial({describe(data)}, num_samples={num_samples}): a row has fewer weights "
                             "above 0 than "
                             "samples; pass replacement=True")
        # a race: category k arrives at a time exponential with rate w_k; the first arrivals are the sample
        times = -np.log1p(-draw(key, weights.shape, np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            arrival = np.where(weights > 0, times / weights, np.inf)
        out = np.argsort(arrival, axis=1, kind="stable")[:, :num_samples]
    return Tensor(out.astype(np.int64).reshape(data.shape[:-1] + (num_samples,)))


# ---- in place: the methods normal_, uniform_, bernoulli_

@public
def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with draws from N(mean, std**2); see `Tensor.normal_`."""
    if std < 0:
        raise ValueError(f"normal_(std={std}): a standard deviation is not negative")
    found: Tensor = ops.write_into(input, _normal_draws(input, mean, std, generator))
    return found


@again
def _normal_draws(like: Tensor, mean: float, std: float, generator: Generator | None) -> Tensor:
    dtype = float_dtype("normal_", like.dtype)
    return Tensor(mean + std * namespace(like.device).random_normal(key_of(generator), like.shape, dtype))


@public
def uniform_(input: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with draws from the uniform distribution on [low, high); see `Tensor.uniform_`."""
    if not low <= high:
        raise ValueError(f"uniform_({low}, {high}): the interval is empty")
    found: Tensor = ops.write_into(input, _uniform_draws(input, low, high, generator))
    return found


@again
def _uniform_draws(like: Tensor, low: float, high: float, generator: Generator | None) -> Tensor:
    dtype = float_dtype("uniform_", like.dtype)
    draws = namespace(like.device).random_uniform(key_of(generator), like.shape, dtype)
    below = np.nextafter(dtype.type(high), dtype.type(low))  # rounding may reach high
    return Tensor(np.minimum(low + (high - low) * draws, below))


@public
def bernoulli_(input: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with 1 with probability p (a number, or a tensor of them), else 0; see `Tensor.bernoulli_`."""
    chance = p if isinstance(p, Tensor) else ops.full((), float(p), np.float64, device=input.device)
    draws = bernoulli(ops.expand(chance.detach(), input.shape), generator=generator)
    found: Tensor = ops.write_into(input, draws)
    return found

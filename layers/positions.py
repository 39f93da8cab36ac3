"""Positions: attention alone does not see in which order its inputs come, so the inputs have to say where they stand."""

from typing import Any

import numpy as np

from chainrule import dtypes
from chainrule.errors import ShapeError, describe
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.linear import empty
from chainrule.layers.module import Parameter
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["LearnedPositions", "RotaryPositions", "SinusoidalPositions"]


def angles(start: int, stop: int, pairs: int, base: float) -> Any:
    """position · base^(-i / pairs), an array (stop - start, pairs): pair i turns ever more slowly, from one radian per
    position down to about 1 / base."""
    return np.outer(np.arange(start, stop), base ** (-np.arange(pairs) / pairs))


class AddedPositions(Configured):
    """What the positions share that are vectors added to the inputs: a table (max_length, features), the row for each
    position."""

    max_length: int
    features: int
    batch_first: bool

    def _add(self, input: Tensor, table: Tensor, offset: int) -> Tensor:
        name, axis = type(self).__name__, -2 if self.batch_first or input.ndim == 2 else 0
        layout = "(N, length, features)" if self.batch_first else "(length, N, features)"
        if input.ndim not in (2, 3) or input.shape[-1] != self.features:
            raise ShapeError(f"{name}: the input is {describe(input)}, it must be {layout} or (length, features) with "
                             f"{self.features} features")
        length = input.shape[axis]
        if not 0 <= offset <= self.max_length - length:
            raise ShapeError(f"{name}: positions {offset} to {offset + length - 1}, of an input {describe(input)}, do "
                             f"not lie within max_length={self.max_length}; its positions run along axis "
                             f"{axis % input.ndim} of {layout}, see batch_first")
        rows = table[offset: offset + length].to(input.dtype)  # (L, E)
        return input + (rows if axis == -2 else rows.unsqueeze(1))


class SinusoidalPositions(AddedPositions):
    """x + table, whose rows are sines and cosines of the position at frequencies that fall geometrically:

        table[position, 2i] = sin(position / base^(2i / features)),  table[position, 2i + 1] = cos(the same)

    Vaswani et al. 2017, "Attention is all you need", section 3.5. x (L, N, features), with `batch_first`
    (N, L, features), or (L, features). Nothing is learned or saved. Raises ValueError for an odd number of features,
    ShapeError for positions beyond `max_length`.

    >>> import chainrule as cr
    >>> SinusoidalPositions(2)(cr.zeros(3, 2))
    tensor([[ 0.    ,  1.    ],
            [ 0.8415,  0.5403],
            [ 0.9093, -0.4161]])
    """

    table: Tensor

    def __init__(self, features: int, max_length: int = 5000, base: float = 10000.0, batch_first: bool = False,
                 dtype: Any = None) -> None:
        if features % 2:
            raise ValueError(f"SinusoidalPositions: features={features} must be even, half are sines, half cosines")
        self.features, self.max_length, self.base, self.batch_first = features, max_length, base, batch_first
        turned = angles(0, max_length, features // 2, base)
        table = np.stack((np.sin(turned), np.cos(turned)), axis=-1).reshape(max_length, features)
        self.register_buffer("table", ops.as_tensor(table.astype(dtypes.get_default_dtype() if dtype is None else dtype)),
                             persistent=False)

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        """input plus the rows of its positions, which begin at `offset`."""
        return self._add(input, self.table, offset)


class LearnedPositions(AddedPositions):
    """x + weight[position]: a vector for each position, learned as the rest. weight (max_length, features).

    Gehring et al. 2017, "Convolutional sequence to sequence learning"; BERT and GPT-2 do the same. x as for
    SinusoidalPositions. The vectors start normal with the standard deviation `std`. Raises ShapeError for positions
    beyond `max_length`: there is no vector for them.

    >>> import chainrule as cr
    >>> LearnedPositions(4, max_length=10, batch_first=True)(cr.zeros(2, 10, 4)).shape
    (2, 10, 4)
    """

    weight: Parameter

    def __init__(self, features: int, max_length: int, std: float = 0.02, batch_first: bool = False,
                 device: Any = None, dtype: Any = None) -> None:
        self.features, self.max_length, self.std, self.batch_first = features, max_length, std, batch_first
        self.weight = empty(max_length, features, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew."""
        init.normal_(self.weight, std=self.std)

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        """input plus the vectors of its positions, which begin at `offset`."""
        return self._add(input, self.weight, offset)


class RotaryPositions(Configured):
    """Turns each pair of features of queries and keys by an angle that grows with the position:

        (a, b) → (a cos φ − b sin φ, a sin φ + b cos φ)    with φ = position · base^(-2i / features) for pair i

    Su et al. 2021, "RoFormer: enhanced Transformer with rotary position embedding". The scalar product of a turned query
    with a turned key depends on how far apart they stand, not on where. For queries and keys (…, L, features) of
    every layer, after the projection into heads and before attention; values are not turned. Pairs are neighbours,
    features 2i and 2i + 1, as in the paper, or with `interleaved=False` features i and i + features / 2, as in GPT-NeoX
    and Llama. Nothing is learned. Raises ValueError for an odd number of features.

    >>> import chainrule as cr
    >>> rotary = RotaryPositions(2)
    >>> x = cr.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> near, far = rotary(x), rotary(x, offset=100)
    >>> cr.allclose(near[0] @ near[1], far[0] @ far[1], atol=1e-5), cr.allclose(near[1, 0], cr.cos(cr.tensor(1.0)))
    (True, True)
    """

    def __init__(self, features: int, base: float = 10000.0, interleaved: bool = True) -> None:
        if features % 2:
            raise ValueError(f"RotaryPositions: features={features} must be even, they are turned in pairs")
        self.features, self.base, self.interleaved = features, base, interleaved

    def forward(self, input: Tensor, offset: int = 0) -> Tensor:
        """input (…, L, features) turned, position by position, from `offset` on. Raises ShapeError for another shape."""
        if input.ndim < 2 or input.shape[-1] != self.features:
            raise ShapeError(f"RotaryPositions: the input is {describe(input)}, it must be (..., length, "
                             f"{self.features})")
        turned = angles(offset, offset + input.shape[-2], self.features // 2, self.base)  # (L, features / 2)
        cos, sin = (ops.constant(f(turned).astype(input.dtype), input) for f in (np.cos, np.sin))
        half = self.features // 2
        axis, shape = (-1, (half, 2)) if self.interleaved else (-2, (2, half))  # of the pair, among the features
        a, b = input.reshape(*input.shape[:-1], *shape).unbind(axis)  # (..., L, features / 2) each
        found: Tensor = ops.stack((a * cos - b * sin, a * sin + b * cos), dim=axis)
        return found.reshape(input.shape)

"""Fully connected layers, and the layers that change nothing but the shape."""

import math
from typing import Any

from chainrule import functional as F
from chainrule.arguments import check_sizes
from chainrule.layers import initializers as init
from chainrule.layers.configured import Configured
from chainrule.layers.module import Module, Parameter
from chainrule.names import ops
from chainrule.tensor import Tensor

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


def empty(*shape: int, device: Any, dtype: Any) -> Parameter:
    """A parameter of this shape that `reset_parameters` is about to fill; the default dtype unless given."""
    data = ops.zeros(shape, dtype=dtype, device=device)
    return Parameter(data)


class Linear(Configured):
    """y = x Wᵀ + b over the last axis.

    x (…, in_features), W (out_features, in_features), b (out_features), y (…, out_features).

    Both start uniform on ±1/√in_features. Raises ShapeError where the input's last axis is not in_features.

    >>> import chainrule as cr
    >>> layer = Linear(3, 2)
    >>> layer(cr.tensor([[1.0, 2.0, 3.0]])).shape, layer.weight.shape
    ((1, 2), (2, 3))
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        check_sizes("Linear", 0, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = empty(out_features, in_features, device=device, dtype=dtype)
        self.bias = empty(out_features, device=device, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """x (…, in_features) -> (…, out_features)."""
        return F.linear(input, self.weight, self.bias)


class Bilinear(Configured):
    """y_k = Σ_ij x1_i W_kij x2_j + b_k over the last axes.

    x1 (…, in1_features), x2 (…, in2_features) with equal leading axes, W (out_features, in1_features, in2_features),
    b (out_features), y (…, out_features). Both start uniform on ±1/√in1_features. Raises ShapeError where the inputs do
    not fit.

    >>> import chainrule as cr
    >>> layer = Bilinear(2, 3, 4)
    >>> layer(cr.ones(5, 2), cr.ones(5, 3)).shape, layer.weight.shape
    ((5, 4), (4, 2, 3))
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        check_sizes("Bilinear", 1, in1_features=in1_features)
        check_sizes("Bilinear", 0, in2_features=in2_features, out_features=out_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = empty(out_features, in1_features, in2_features, device=device, dtype=dtype)
        self.bias = empty(out_features, device=device, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """x1 (…, in1_features), x2 (…, in2_features) -> (…, out_features)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

class Identity(Module):
    """The input itself. Arguments are ignored, so that it can stand in for any layer.

    >>> Identity(64, anything=1)(5)
    5
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        """input."""
        return input


class Flatten(Configured):
    """The axes from start_dim to end_dim as one: (N, C, H, W) -> (N, C·H·W) by default.

    >>> import chainrule as cr
    >>> Flatten()(cr.tensor([[[1.0], [2.0]]])).shape
    (1, 2)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """input with those axes merged."""
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(Configured):
    """One axis as several: the inverse of Flatten. One of the sizes may be -1, what is left over.

    Raises ShapeError where the sizes do not multiply to the axis'.

    >>> import chainrule as cr
    >>> Unflatten(1, (2, -1))(cr.zeros(3, 8)).shape
    (3, 2, 4)
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """input with that axis divided."""
        return input.unflatten(self.dim, self.unflattened_size)

"""Looking up rows of a table, and its adjoint, adding rows up: both linear, each the derivative of the other."""

from typing import Any

from chainrule.graph import Op

__all__: list[str] = []


def _scaled(xp: Any, g: Any, input: Any, weight_shape: tuple[int, ...], scale: Any) -> Any:
    if scale is not None:
        g = g * xp.reshape(scale, scale.shape + (1,) * (len(weight_shape) - 1))
    return xp.embedding_adjoint(input, g, rows=weight_shape[0])


# scale: None, or for each index a factor by which the gradient of its row is multiplied (0 for padding)
embedding = Op("embedding", "weight[input], whose gradient is multiplied by `scale`.", promotes=False,
               input=None,
               weight=lambda xp, g, input, weight_shape, scale: _scaled(xp, g, input, weight_shape, scale))
embedding_adjoint = Op("embedding_adjoint", "The sums of the rows of g that have the same index.", promotes=False,
                       input=None,
                       g=lambda xp, g, input: xp.embedding(input, g, scale=None))

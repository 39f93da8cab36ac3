"""Products of matrices and vectors."""

from typing import Any

from chainrule.errors import ShapeError
from chainrule.graph import Op
from chainrule.names import ops
from chainrule.registry import public
from chainrule.tensor import Tensor

# (..., M, K) @ (..., K, N) -> (..., M, N); leading axes broadcast, so the walk sums the gradients back over them
_matmul = Op("matmul", word="bilinear", broadcasts=True,
             input=lambda xp, g, other: xp.matmul(g, xp.matrix_transpose(other)),
             other=lambda xp, g, input: xp.matmul(xp.matrix_transpose(input), g))


@public
def matmul(input: Any, other: Any) -> Tensor:
    """The matrix product input @ other: out[..., i, j] = Σ_k input[..., i, k] other[..., k, j].

    Leading axes broadcast; a 1-D operand is a row (left) or a column (right) whose axis then disappears. Raises
    ShapeError where the inner sizes differ or an operand is 0-d.

    >>> import chainrule as cr
    >>> cr.tensor([[1.0, 2.0], [3.0, 4.0]]) @ cr.tensor([1.0, 1.0])
    tensor([3., 7.])
    """
    input, other = ops.as_tensor(input), ops.as_tensor(other)
    a, b = input.ndim, other.ndim
    if a >= 2 and b >= 2:
        return _matmul(input, other)
    if not a or not b:
        raise ShapeError(f"matmul: shapes {input.shape} and {other.shape}: a 0-d tensor has no rows; use * for scaling")
    left = ops.reshape(input, (1, -1)) if a == 1 else input
    right = ops.reshape(other, (-1, 1)) if b == 1 else other
    out = _matmul(left, right)
    shape = out.shape[:-2] + (() if a == 1 else out.shape[-2:-1]) + (() if b == 1 else out.shape[-1:])
    found: Tensor = ops.reshape(out, shape)
    return found

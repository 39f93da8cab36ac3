"""Padding layers, in one to three spatial dimensions."""

from typing import Any, ClassVar

from chainrule import functional as F
from chainrule.arguments import tuple_of
from chainrule.errors import ShapeError
from chainrule.layers.configured import Configured
from chainrule.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "ReflectionPad1d",
    "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d",
    "ZeroPad3d",
]


class Pad(Configured):
    """Makes the last `rank` axes longer. `padding`: one width for all sides, or (before, after) of the last axis, then of
    the one before it, and so on; negative widths cut off.

    Takes (N, C, *S) or (C, *S). Raises ShapeError for another number of axes, and where a width exceeds what is there.
    """

    rank: ClassVar[int]
    mode: ClassVar[str] = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        self.padding = tuple_of(type(self).__name__, "padding", padding, 2 * self.rank)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *S) or (C, *S) -> the same with longer S."""
        if input.ndim not in (self.rank + 1, self.rank + 2) and self.mode != "constant":
            raise ShapeError(f"{type(self).__name__}: the input has shape {input.shape}, it must have {self.rank + 2} axes, "
                             f"(batch, channels, *sizes), or {self.rank + 1}, without the batch")
        return F.pad(input, self.padding, self.mode, self.value)


class ConstantPad(Pad):
    """Fills with a value, whatever the axes before the padded ones."""

    value: float

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value


class ConstantPad1d(ConstantPad):
    """`value` before and after the last axis. `padding`: a width for both, or (left, right).

    >>> import chainrule as cr
    >>> ConstantPad1d((1, 2), 9.0)(cr.tensor([[1.0, 2.0]]))
    tensor([[9., 1., 2., 9., 9.]])
    """

    rank = 1


class ConstantPad2d(ConstantPad):
    """`value` around the last two axes. `padding`: a width for all sides, or (left, right, top, bottom).

    >>> import chainrule as cr
    >>> ConstantPad2d((1, 0, 0, 1), 9.0)(cr.tensor([[[1.0]]])).tolist()
    [[[9.0, 1.0], [9.0, 9.0]]]
    """

    rank = 2


class ConstantPad3d(ConstantPad):
    """`value` around the last three axes. `padding`: a width, or (left, right, top, bottom, front, back).

    >>> import chainrule as cr
    >>> ConstantPad3d(1, 9.0)(cr.zeros(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3


class ZeroPad1d(Pad):
    """Zeros before and after the last axis. `padding`: a width for both, or (left, right).

    >>> import chainrule as cr
    >>> ZeroPad1d(1)(cr.tensor([[1.0, 2.0]]))
    tensor([[0., 1., 2., 0.]])
    """

    rank = 1


class ZeroPad2d(Pad):
    """Zeros around the last two axes. `padding`: a width for all sides, or (left, right, top, bottom).

    >>> import chainrule as cr
    >>> ZeroPad2d((1, 0, 0, 1))(cr.tensor([[[1.0]]])).tolist()
    [[[0.0, 1.0], [0.0, 0.0]]]
    """

    rank = 2


class ZeroPad3d(Pad):
    """Zeros around the last three axes. `padding`: a width, or (left, right, top, bottom, front, back).

    >>> import chainrule as cr
    >>> ZeroPad3d(1)(cr.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank = 3


class ReflectionPad1d(Pad):
    """The last axis mirrored at its ends, which are not repeated; at most its length less 1.

    >>> import chainrule as cr
    >>> ReflectionPad1d(2)(cr.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    rank, mode = 1, "reflect"


class ReflectionPad2d(Pad):
    """As ReflectionPad1d, around the last two axes. `padding`: a width, or (left, right, top, bottom).

    >>> import chainrule as cr
    >>> ReflectionPad2d((1, 0, 1, 0))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[[4.0, 3.0, 4.0], [2.0, 1.0, 2.0], [4.0, 3.0, 4.0]]]
    """

    rank, mode = 2, "reflect"


class ReflectionPad3d(Pad):
    """As ReflectionPad1d, around the last three axes. `padding`: a width, or (left, right, top, bottom, front, back).

    >>> import chainrule as cr
    >>> ReflectionPad3d(1)(cr.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank, mode = 3, "reflect"


class ReplicationPad1d(Pad):
    """The first and last elements of the last axis repeated.

    >>> import chainrule as cr
    >>> ReplicationPad1d((2, 1))(cr.tensor([[1.0, 2.0]]))
    tensor([[1., 1., 1., 2., 2.]])
    """

    rank, mode = 1, "replicate"


class ReplicationPad2d(Pad):
    """As ReplicationPad1d, around the last two axes. `padding`: a width, or (left, right, top, bottom).

    >>> import chainrule as cr
    >>> ReplicationPad2d((1, 0, 0, 1))(cr.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]]]
    """

    rank, mode = 2, "replicate"


class ReplicationPad3d(Pad):
    """As ReplicationPad1d, around the last three axes. `padding`: a width, or (left, right, top, bottom, front, back).

    >>> import chainrule as cr
    >>> ReplicationPad3d(1)(cr.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank, mode = 3, "replicate"


class CircularPad1d(Pad):
    """The last axis continued from its other end; at most its length.

    >>> import chainrule as cr
    >>> CircularPad1d(1)(cr.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    rank, mode = 1, "circular"


class CircularPad2d(Pad):
    """As CircularPad1d, around the last two axes. `padding`: a width, or (left, right, top, bottom).

    >>> import chainrule as cr
    >>> CircularPad2d((1, 0, 0, 1))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[[2.0, 1.0, 2.0], [4.0, 3.0, 4.0], [2.0, 1.0, 2.0]]]
    """

    rank, mode = 2, "circular"


class CircularPad3d(Pad):
    """As CircularPad1d, around the last three axes. `padding`: a width, or (left, right, top, bottom, front, back).

    >>> import chainrule as cr
    >>> CircularPad3d(1)(cr.ones(1, 2, 3, 4)).shape
    (1, 4, 5, 6)
    """

    rank, mode = 3, "circular"

"""Tensor's methods for shapes."""

from typing import TYPE_CHECKING, Any

from chainrule.methods.typed import Axis, ops

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


class Shapes:
    """Each calls the op of its name."""

    __slots__ = ()

    def reshape(self, *shape: Any) -> "Tensor":
        """See `chainrule.reshape`."""
        return ops.reshape(self, *shape)

    def view(self, *shape: Any) -> "Tensor":
        """See `chainrule.view`."""
        return ops.view(self, *shape)

    def view_as(self, other: Any) -> "Tensor":
        """See `chainrule.view_as`."""
        return ops.view_as(self, other)

    def reshape_as(self, other: Any) -> "Tensor":
        """See `chainrule.reshape_as`."""
        return ops.reshape_as(self, other)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        """See `chainrule.flatten`."""
        return ops.flatten(self, start_dim, end_dim)

    def unflatten(self, dim: int, sizes: Any) -> "Tensor":
        """See `chainrule.unflatten`."""
        return ops.unflatten(self, dim, sizes)

    def ravel(self) -> "Tensor":
        """See `chainrule.ravel`."""
        return ops.ravel(self)

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """See `chainrule.transpose`."""
        return ops.transpose(self, dim0, dim1)

    def swapaxes(self, axis0: int, axis1: int) -> "Tensor":
        """See `chainrule.transpose`."""
        return ops.transpose(self, axis0, axis1)

    def swapdims(self, dim0: int, dim1: int) -> "Tensor":
        """See `chainrule.transpose`."""
        return ops.transpose(self, dim0, dim1)

    def permute(self, *dims: Any) -> "Tensor":
        """See `chainrule.permute`."""
        return ops.permute(self, *dims)

    def movedim(self, source: Any, destination: Any) -> "Tensor":
        """See `chainrule.movedim`."""
        return ops.movedim(self, source, destination)

    def moveaxis(self, source: Any, destination: Any) -> "Tensor":
        """See `chainrule.movedim`."""
        return ops.movedim(self, source, destination)

    def t(self) -> "Tensor":
        """See `chainrule.t`."""
        return ops.t(self)

    def squeeze(self, dim: Axis = None, **named: Any) -> "Tensor":
        """See `chainrule.squeeze`."""
        return ops.squeeze(self, dim, **named)

    def unsqueeze(self, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.unsqueeze`."""
        return ops.unsqueeze(self, dim, **named)

    def expand(self, *shape: Any) -> "Tensor":
        """See `chainrule.expand`."""
        return ops.expand(self, *shape)

    def expand_as(self, other: Any) -> "Tensor":
        """See `chainrule.expand_as`."""
        return ops.expand_as(self, other)

    def broadcast_to(self, shape: Any) -> "Tensor":
        """See `chainrule.broadcast_to`."""
        return ops.broadcast_to(self, shape)

    def split(self, split_size: Any, dim: int | None = None, **named: Any) -> "tuple[Tensor, ...]":
        """See `chainrule.split`."""
        parts: Any = ops.split(self, split_size, dim, **named)
        return tuple(parts)

    def chunk(self, chunks: int, dim: int | None = None, **named: Any) -> "tuple[Tensor, ...]":
        """See `chainrule.chunk`."""
        parts: Any = ops.chunk(self, chunks, dim, **named)
        return tuple(parts)

    def unbind(self, dim: int | None = None, **named: Any) -> "tuple[Tensor, ...]":
        """See `chainrule.unbind`."""
        parts: Any = ops.unbind(self, dim, **named)
        return tuple(parts)

    def repeat(self, *sizes: Any) -> "Tensor":
        """See `chainrule.repeat`."""
        return ops.repeat(self, *sizes)

    def tile(self, *sizes: Any) -> "Tensor":
        """See `chainrule.tile`."""
        return ops.tile(self, *sizes)

    def repeat_interleave(self, repeats: Any, dim: int | None = None, **named: Any) -> "Tensor":
        """See `chainrule.repeat_interleave`."""
        return ops.repeat_interleave(self, repeats, dim, **named)

    def flip(self, *dims: Any) -> "Tensor":
        """See `chainrule.flip`."""
        return ops.flip(self, *dims)

    def roll(self, shifts: Any, dims: Any = None, **named: Any) -> "Tensor":
        """See `chainrule.roll`."""
        return ops.roll(self, shifts, dims, **named)

    def narrow(self, dim: int, start: int, length: int) -> "Tensor":
        """See `chainrule.narrow`."""
        return ops.narrow(self, dim, start, length)

    def select(self, dim: int, index: int) -> "Tensor":
        """See `chainrule.select`."""
        return ops.select(self, dim, index)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> "Tensor":
        """See `chainrule.diagonal`."""
        return ops.diagonal(self, offset, dim1, dim2)

    def diag(self, diagonal: int = 0) -> "Tensor":
        """See `chainrule.diag`."""
        return ops.diag(self, diagonal)

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> "Tensor":
        """See `chainrule.diag_embed`."""
        return ops.diag_embed(self, offset, dim1, dim2)

    def tril(self, diagonal: int = 0) -> "Tensor":
        """See `chainrule.tril`."""
        return ops.tril(self, diagonal)

    def triu(self, diagonal: int = 0) -> "Tensor":
        """See `chainrule.triu`."""
        return ops.triu(self, diagonal)

    def contiguous(self) -> "Tensor":
        """See `chainrule.contiguous`."""
        return ops.contiguous(self)

    def clone(self) -> "Tensor":
        """See `chainrule.clone`."""
        return ops.clone(self)

    def unfold(self, dimension: int, size: int, step: int) -> "Tensor":
        """See `chainrule.unfold_windows`."""
        return ops.unfold_windows(self, dimension, size, step)

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return ops.reverse_axes(self)

    @property
    def mT(self) -> "Tensor":
        """The last two axes swapped."""
        return ops.matrix_transpose(self)

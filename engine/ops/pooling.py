"""Pooling and windows as columns: rows over normalised arguments, for `chainrule.functional`.

Maximum pooling chooses, unrecorded, and then takes, recorded: the positions of the maxima come from a row without
derivatives, and `take_from_planes` has `add_to_planes` for an adjoint. Average pooling and unfold are linear, each with
its adjoint for a row; so derivatives of any order stay among these.
"""

from typing import Any

from chainrule.fused import fused, register
from chainrule.graph import Op

__all__: list[str] = []

max_pool_indices = Op("max_pool_indices", "Where each window's maximum lies: flat positions in the spatial axes.",
                      input=None)
adaptive_max_pool_indices = Op("adaptive_max_pool_indices",
                               "As max_pool_indices, for windows that divide the input evenly.", input=None)

# input (N, C, *S), indices (N, C, *out) -> (N, C, *out)
take_from_planes = Op("take_from_planes", "Of every (batch, channel) plane the elements at flat positions.",
                      input=lambda xp, g, indices, input_shape: xp.add_to_planes(g, indices, size=input_shape[2:]),
                      indices=None)
# input (N, C, *out), indices (N, C, *out) -> (N, C, *size)
add_to_planes = Op("add_to_planes", "Planes of zeros with every element added at its flat position.",
                   input=lambda xp, g, indices: xp.take_from_planes(g, indices),
                   indices=None)



@register
@fused
def max_pool(xp: Any, x: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    """The maximum of each window of x (N, C, *S): chosen, then taken."""
    indices = xp.max_pool_indices(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return xp.take_from_planes(x, indices)


# input (N, C, *S) -> (N, C, *out)
average_pool = Op(
    "average_pool", "The mean of each window.", word="linear",
    input=lambda xp, g, input_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor:
    xp.average_pool_transpose(g, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                              count_include_pad=count_include_pad, divisor=divisor, size=input_shape[2:]))
# input (N, C, *out) -> (N, C, *size)
average_pool_transpose = Op(
    "average_pool_transpose", "Each element spread evenly over its window, the adjoint of average_pool.", word="linear",
    input=lambda xp, g, kernel, stride, padding, ceil_mode, count_include_pad, divisor:
    xp.average_pool(g, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                    count_include_pad=count_include_pad, divisor=divisor))

# input (N, C, *S) -> (N, C * prod(kernel), L)
unfold = Op("unfold", "Windows as columns.", word="linear",
            input=lambda xp, g, input_shape, kernel, dilation, padding, stride: xp.fold(
                g, size=input_shape[2:], kernel=kernel, dilation=dilation, padding=padding, stride=stride))
# columns (N, C * prod(kernel), L) -> (N, C, *size)
fold = Op("fold", "Columns added up where their windows lay, the adjoint of unfold.", word="linear",
          columns=lambda xp, g, kernel, dilation, padding, stride: xp.unfold(
              g, kernel=kernel, dilation=dilation, padding=padding, stride=stride))

# input (*lead, n, *rest) -> (*lead, m, *rest): along one axis, a sparse matrix (see kernels.reference.resampling)
resample = Op("resample", "Along one axis, weighted sums of elements.", word="linear",
              input=lambda xp, g, axis, taps: xp.resample(g, axis=axis, taps=taps.transposed()))

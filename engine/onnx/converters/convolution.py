"""Matrix products and convolutions."""

from typing import Any

from chainrule.onnx.table import converter


@converter("matmul")
def matmul(g: Any, use: Any, a: str, b: str) -> Any:
    """MatMul."""
    return g.op("MatMul", a, b)


@converter("linear")
def linear(g: Any, use: Any, x: str, weight: str, bias: str | None) -> Any:
    """Gemm for a matrix, MatMul with the transposed weight and Add for more axes."""
    if use.rank() == use.rank(1) == 2:
        return g.op("Gemm", x, weight, bias, transB=1)
    out = g.op("MatMul", x, g.op("Transpose", weight, perm=(*range(use.rank(1) - 2), use.rank(1) - 1, use.rank(1) - 2)))
    return out if bias is None else g.op("Add", out, bias)


@converter("convolution")
def convolution(g: Any, use: Any, x: str, weight: str) -> Any:
    """Conv."""
    return g.op("Conv", x, weight, strides=use["stride"], pads=use["padding"] * 2, dilations=use["dilation"], group=use["groups"])


@converter("convolution_transpose")
def convolution_transpose(g: Any, use: Any, x: str, weight: str) -> Any:
    """ConvTranspose, its output_padding from the size that is asked for."""
    stride, padding, dilation = use["stride"], use["padding"], use["dilation"]
    least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in
             zip(use.shapes[0][2:], stride, padding, dilation, use.shapes[1][2:], strict=True)]
    extra = use.fixed(tuple(n - usual for n, usual in zip(use["size"], least, strict=True)), "output_padding")
    return g.op("ConvTranspose", x, weight, strides=stride, pads=padding * 2, dilations=dilation, group=use["groups"],
                output_padding=extra if any(extra) else None)

"""Activations. Inputs keep away from the kinks, whose derivatives docs/conventions.md has."""

from tests.layer_samples.table import layer
from tests.samples.table import away, normal

X = away(3, 4, points=(-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0), gap=0.02) * 2
SHARED = ["ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Sigmoid", "LogSigmoid", "Tanh", "Tanhshrink", "Softsign",
          "ReLU", "ReLU6", "Hardtanh", "LeakyReLU", "Hardshrink", "Softshrink", "Hardsigmoid", "Hardswish"]

LAYERS = [
    *(layer(name, inputs=[X]) for name in SHARED),
    layer("ELU", 0.7, inputs=[X], label="alpha"),
    layer("CELU", alpha=0.7, inputs=[X], label="alpha"),
    layer("GELU", approximate="tanh", inputs=[X], label="tanh"),
    layer("Softplus", 2.0, 1.5, inputs=[X], label="threshold"),
    layer("Hardtanh", -0.3, 1.3, inputs=[X], label="ends"),
    layer("LeakyReLU", 0.3, inputs=[X], label="slope"),
    layer("Hardshrink", 0.8, inputs=[X], label="lambda"),
    layer("Softshrink", lambd=0.8, inputs=[X], label="lambda"),
    layer("Threshold", 0.3, -2.0, inputs=[X]),
    layer("PReLU", inputs=[X]),
    layer("PReLU", 3, init=0.1, inputs=[normal(2, 3, 4)], label="channels"),
    layer("RReLU", train=False, inputs=[X]),
    layer("RReLU", 0.1, 0.7, train=False, inputs=[X], label="bounds"),
    layer("RReLU", torch=None, inputs=[X], label="training"),
    layer("Softmax", 1, inputs=[X]),
    layer("Softmax", dim=0, inputs=[X], label="dim"),
    layer("Softmin", 1, inputs=[X]),
    layer("LogSoftmax", 1, inputs=[X]),
    layer("LogSoftmax", dim=-2, inputs=[X], label="dim"),
    layer("Softmax2d", inputs=[normal(2, 3, 2, 2)]),
    layer("Softmax2d", inputs=[normal(3, 2, 2)], label="unbatched"),
    layer("GLU", inputs=[normal(3, 4)]),
    layer("GLU", 1, inputs=[normal(3, 4, 2)], label="dim"),
]

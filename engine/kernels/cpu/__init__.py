"""The cpu backend: the reference overlaid with numba kernels, each imported when first asked for.

`WHERE` names the file of every kernel; a name that is not in it is served by the reference backend (and there, by NumPy).
Importing this package imports neither numba nor a kernel: that happens when one is first asked for, after which the
look-up is that of an ordinary module attribute.
"""

import sys
from importlib import import_module
from typing import Any

from chainrule.kernels import reference
from chainrule.kernels.namespace import Namespace

WHERE = {
    # activations
    "elu": "activations",
    "elu_grad": "activations",
    "gelu": "activations",
    "gelu_grad": "activations",
    "leaky_relu": "activations",
    "leaky_relu_grad": "activations",
    "relu": "activations",
    "relu_grad": "activations",
    "silu": "activations",
    "silu_grad": "activations",
    "softplus": "activations",
    "softplus_grad": "activations",
    # attention
    "scaled_dot_product_attention": "attention",
    "scaled_dot_product_attention_grad": "attention",
    # convolution
    "affine_convolution": "convolution",
    "affine_convolution_grad": "convolution",
    "convolution": "convolution",
    "convolution_transpose": "convolution",
    "convolution_weight": "convolution",
    # ctc
    "ctc_loss": "ctc",
    "ctc_loss_grad": "ctc",
    # elementwise
    "erf": "elementwise",
    "exp": "elementwise",
    "sigmoid": "elementwise",
    "sigmoid_grad": "elementwise",
    "tanh": "elementwise",
    "tanh_grad": "elementwise",
    # embedding
    "embedding": "embedding",
    "embedding_adjoint": "embedding",
    # linear
    "linear": "linear",
    "linear_grad": "linear",
    "linear_accumulate": "linear",
    # losses
    "cross_entropy": "losses",
    "cross_entropy_grad": "losses",
    "squared_error": "losses",
    "squared_error_grad": "losses",
    # matmul
    "matmul": "matmul",
    # normalization
    "batch_norm": "channels",
    "batch_norm_by_running": "channels",
    "batch_norm_by_running_grad": "channels",
    "batch_norm_grad": "channels",
    "group_norm": "channels",
    "group_norm_grad": "channels",
    "layer_norm": "normalization",
    "layer_norm_grad": "normalization",
    "rms_norm": "normalization",
    "rms_norm_grad": "normalization",
    # optimizers
    "adam_step": "optimizers",
    "rmsprop_step": "optimizers",
    "scale_and_clamp": "optimizers",
    "sgd_step": "optimizers",
    "sum_of_squares": "optimizers",
    # maxima
    "max_pool": "maxima",
    "max_pool_grad": "maxima",
    # pooling
    "add_to_planes": "pooling",
    "average_pool": "pooling",
    "average_pool_transpose": "pooling",
    "max_pool_indices": "pooling",
    "take_from_planes": "pooling",
    # random
    "dropout": "random",
    "philox": "random",
    "random_integers": "random",
    "random_normal": "random",
    "random_uniform": "random",
    # recurrent
    "gru": "gru",
    "gru_grad": "gru",
    "lstm": "lstm",
    "lstm_grad": "lstm",
    "rnn": "rnn",
    "rnn_grad": "rnn",
    # reductions
    "mean": "reductions",
    "sum": "reductions",
    # softmax
    "log_softmax": "softmax",
    "log_softmax_grad": "softmax",
    "softmax": "softmax",
    "softmax_grad": "softmax",
}


def __getattr__(name: str) -> Any:
    """The kernel of that name, from its own file or from the reference backend; AttributeError where there is none."""
    if name in WHERE:
        found = getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
    else:
        found = getattr(reference, name)
    globals()[name] = found
    return found


sys.modules[__name__].__class__ = Namespace

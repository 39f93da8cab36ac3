"""The cuda backend: CuPy for every op, overlaid with CUDA C++ kernels, each compiled when it is first used.

`WHERE` names the file of every kernel. A name that is not in it is served by the reference backend's own function, run
over CuPy (see `definitions.py`), or else by CuPy's function of that name. The kernels' sources are the `.cu` files beside
this one; `launch.py` alone compiles and launches them. Importing this package imports CuPy.
"""

import sys
from importlib import import_module
from typing import Any

from chainrule.kernels.cuda import definitions
from chainrule.kernels.namespace import Namespace

WHERE = {
    # attention
    "scaled_dot_product_attention": "attention",
    "scaled_dot_product_attention_grad": "attention",
    # channels
    "batch_norm": "channels",
    "batch_norm_by_running": "channels",
    "batch_norm_by_running_grad": "channels",
    "batch_norm_grad": "channels",
    "group_norm": "channels",
    "group_norm_grad": "channels",
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
    "elu": "elementwise",
    "elu_grad": "elementwise",
    "erf": "elementwise",
    "erf_grad": "elementwise",
    "erfc": "elementwise",
    "erfc_grad": "elementwise",
    "exp": "elementwise",
    "gelu": "elementwise",
    "gelu_grad": "elementwise",
    "leaky_relu": "elementwise",
    "leaky_relu_grad": "elementwise",
    "relu": "elementwise",
    "relu_grad": "elementwise",
    "sigmoid": "elementwise",
    "sigmoid_grad": "elementwise",
    "silu": "elementwise",
    "silu_grad": "elementwise",
    "softplus": "elementwise",
    "softplus_grad": "elementwise",
    "tanh": "elementwise",
    "tanh_grad": "elementwise",
    # embedding
    "embedding": "embedding",
    "embedding_adjoint": "embedding",
    # indexing
    "add_along_axis": "indexing",
    "add_at": "indexing",
    "add_to_planes": "indexing",
    "getitem_adjoint": "indexing",
    "take_adjoint": "indexing",
    # linear
    "linear": "linear",
    "linear_grad": "linear",
    # losses
    "cross_entropy": "losses",
    "cross_entropy_grad": "losses",
    "squared_error": "losses",
    "squared_error_grad": "losses",
    # matmul
    "matmul": "matmul",
    # normalization
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
    # random
    "dropout": "random",
    "philox": "random",
    "random_integers": "random",
    "random_normal": "random",
    "random_uniform": "random",
    # pooling
    "adaptive_max_pool_indices": "pooling",
    "average_pool": "pooling",
    "average_pool_transpose": "pooling",
    "max_pool": "pooling",
    "max_pool_grad": "pooling",
    "max_pool_indices": "pooling",
    # recurrent
    "gru": "recurrent",
    "gru_grad": "recurrent",
    "lstm": "recurrent",
    "lstm_grad": "recurrent",
    "rnn": "recurrent",
    "rnn_grad": "recurrent",
    # reductions
    "mean": "reductions",
    "sum": "reductions",
    # resample
    "resample": "resample",
    # scans
    "cummax_indices": "scans",
    # softmax
    "log_softmax": "softmax",
    "log_softmax_grad": "softmax",
    "softmax": "softmax",
    "softmax_grad": "softmax",
}


def __getattr__(name: str) -> Any:
    """The kernel of that name, from its own file, or the definition over CuPy; AttributeError where there is none."""
    if name in WHERE:
        found = getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
    else:
        found = definitions.find(name)
    globals()[name] = found
    return found


sys.modules[__name__].__class__ = Namespace

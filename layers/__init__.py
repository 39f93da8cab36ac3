"""Layers: modules with parameters, built from the ops; named and shaped as torch.nn's."""

from chainrule.layers import initializers as init
from chainrule.layers.activations import ReLU
from chainrule.layers.containers import ModuleDict, ModuleList, Sequential
from chainrule.layers.convolution import Conv2d
from chainrule.layers.dropout import Dropout
from chainrule.layers.linear import Flatten, Identity, Linear
from chainrule.layers.losses import CrossEntropyLoss, MSELoss
from chainrule.layers.module import Module, Parameter
from chainrule.layers.pooling import MaxPool2d
from chainrule.layers.stateless import functional_call

__all__ = ["Conv2d", "CrossEntropyLoss", "Dropout", "Flatten", "Identity", "Linear", "MSELoss", "MaxPool2d", "Module",
           "ModuleDict", "ModuleList", "Parameter", "ReLU", "Sequential", "functional_call", "init"]

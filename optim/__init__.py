"""Optimizers, named as torch.optim's."""

from chainrule.optim.adam import Adam
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.sgd import SGD

__all__ = ["Adam", "Optimizer", "SGD"]

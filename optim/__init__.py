"""Optimizers, named as torch.optim's, one per file."""

from chainrule.optim.adam import *
from chainrule.optim.optimizer import *
from chainrule.optim.sgd import *

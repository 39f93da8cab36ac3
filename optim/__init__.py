"""Optimizers, named as torch.optim's, one per file; schedules of their learning rates in `lr_scheduler`, the training loop
in `training`."""

from chainrule.optim import lr_scheduler, training
from chainrule.optim.adagrad import *
from chainrule.optim.adam import *
from chainrule.optim.adamw import *
from chainrule.optim.clipping import *
from chainrule.optim.optimizer import *
from chainrule.optim.rmsprop import *
from chainrule.optim.sgd import *

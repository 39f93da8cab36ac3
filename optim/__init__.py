"""Optimizers, named as torch.optim's, one per file; schedules of their learning rates in `lr_scheduler`, averages of models
(torch's `swa_utils`) in `averaging`, the training loop in `training`."""

from chainrule.optim import averaging as swa_utils
from chainrule.optim import lr_scheduler, training
from chainrule.optim.adadelta import *
from chainrule.optim.adagrad import *
from chainrule.optim.adam import *
from chainrule.optim.adamax import *
from chainrule.optim.adamw import *
from chainrule.optim.asgd import *
from chainrule.optim.averaging import *
from chainrule.optim.clipping import *
from chainrule.optim.lbfgs import *
from chainrule.optim.muon import *
from chainrule.optim.nadam import *
from chainrule.optim.optimizer import *
from chainrule.optim.radam import *
from chainrule.optim.rmsprop import *
from chainrule.optim.rprop import *
from chainrule.optim.sgd import *

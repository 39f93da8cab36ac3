"""The training loop, and what goes with it: metrics, early stopping, checkpoints, logs."""

from chainrule.optim.training.callbacks import *
from chainrule.optim.training.checkpoints import *
from chainrule.optim.training.logs import *
from chainrule.optim.training.loop import *
from chainrule.optim.training.metrics import *
from chainrule.optim.training.rates import *
from chainrule.optim.training.run import *

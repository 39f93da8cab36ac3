"""Schedules of the learning rate, named as torch.optim.lr_scheduler's, one family per file."""

from chainrule.optim.lr_scheduler.combined import *
from chainrule.optim.lr_scheduler.cycles import *
from chainrule.optim.lr_scheduler.factors import *
from chainrule.optim.lr_scheduler.functions import *
from chainrule.optim.lr_scheduler.plateau import *
from chainrule.optim.lr_scheduler.scheduler import *

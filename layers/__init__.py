"""Layers: modules with parameters, built from the ops; named and shaped as torch.nn's, one family per file."""

from chainrule.layers import initializers, models, utils
from chainrule.layers.activations import *
from chainrule.layers.attention import *
from chainrule.layers.attention_additive import *
from chainrule.layers.containers import *
from chainrule.layers.convolution import *
from chainrule.layers.dropout import *
from chainrule.layers.embedding import *
from chainrule.layers.linear import *
from chainrule.layers.losses import *
from chainrule.layers.losses_classification import *
from chainrule.layers.losses_ranking import *
from chainrule.layers.module import *
from chainrule.layers.normalization import *
from chainrule.layers.padding import *
from chainrule.layers.pooling import *
from chainrule.layers.positions import *
from chainrule.layers.recurrent import *
from chainrule.layers.recurrent_cells import *
from chainrule.layers.similarity import *
from chainrule.layers.softmax import *
from chainrule.layers.stateless import *
from chainrule.layers.transformer import *
from chainrule.layers.variational import *
from chainrule.layers.vision import *

init = initializers

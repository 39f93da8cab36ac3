"""Named architectures, built from the layers, each with its paper."""

from chainrule.layers.models.bert import *
from chainrule.layers.models.decoding import *
from chainrule.layers.models.gpt2 import *
from chainrule.layers.models.hugging_face import *
from chainrule.layers.models.transformer import *

"""Reference architectures, readable and built from the layers, each with its paper."""

from chainrule.layers.models.seq2seq import *

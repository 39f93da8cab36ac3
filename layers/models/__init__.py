"""Models: readable reference architectures built from the layers, each with its paper; one per file."""

from chainrule.layers.models.bert import *
from chainrule.layers.models.dcgan import *
from chainrule.layers.models.decoding import *
from chainrule.layers.models.deepfm import *
from chainrule.layers.models.gpt2 import *
from chainrule.layers.models.hugging_face import *
from chainrule.layers.models.lenet import *
from chainrule.layers.models.resnet import *
from chainrule.layers.models.seq2seq import *
from chainrule.layers.models.transformer import *
from chainrule.layers.models.vgg import *
from chainrule.layers.models.wavenet import *

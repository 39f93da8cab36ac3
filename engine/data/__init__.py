"""Data: sets of examples and the loader that serves them in batches; readers of files, tokenizers, augmentation."""

from chainrule.data import augmentation
from chainrule.data.bytepairs import *
from chainrule.data.collation import *
from chainrule.data.datasets import *
from chainrule.data.digits import *
from chainrule.data.download import *
from chainrule.data.loader import *
from chainrule.data.pictures import *
from chainrule.data.readers import *
from chainrule.data.samplers import *
from chainrule.data.sequences import *
from chainrule.data.tokenizers import *

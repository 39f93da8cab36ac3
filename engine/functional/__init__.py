"""The names and signatures of torch.nn.functional, one family per file.

>>> import chainrule as cr
>>> from chainrule import functional as F
>>> F.relu(cr.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from chainrule.functional.activations import *
from chainrule.functional.attention import *
from chainrule.functional.convolution import *
from chainrule.functional.dropout import *
from chainrule.functional.embedding import *
from chainrule.functional.linear import *
from chainrule.functional.losses import *
from chainrule.functional.losses_classification import *
from chainrule.functional.losses_ranking import *
from chainrule.functional.losses_sequence import *
from chainrule.functional.normalization import *
from chainrule.functional.padding import *
from chainrule.functional.pooling import *
from chainrule.functional.recurrent import *
from chainrule.functional.similarity import *
from chainrule.functional.softmax import *
from chainrule.functional.vision import *
from chainrule.functional.windows import *

"""The names and signatures of torch.nn.functional, one family per file.

>>> import chainrule as cr
>>> from chainrule import functional as F
>>> F.relu(cr.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from chainrule.functional.activations import *
from chainrule.functional.attention import *
from chainrule.functional.dropout import *
from chainrule.functional.recurrent import *

"""The names and signatures of torch.nn.functional, one family per file.

>>> import chainrule as cr
>>> from chainrule import functional as F
>>> F.relu(cr.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from chainrule.functional.activations import *  # noqa: F403
from chainrule.functional.embedding import *  # noqa: F403
from chainrule.functional.linear import *  # noqa: F403
from chainrule.functional.losses import *  # noqa: F403
from chainrule.functional.losses_classification import *  # noqa: F403
from chainrule.functional.losses_ranking import *  # noqa: F403
from chainrule.functional.normalization import *  # noqa: F403
from chainrule.functional.similarity import *  # noqa: F403
from chainrule.functional.softmax import *  # noqa: F403

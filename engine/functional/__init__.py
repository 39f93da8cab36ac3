"""The names and signatures of torch.nn.functional, one family per file."""

from chainrule.functional.convolution import *  # noqa: F403
from chainrule.functional.pooling import *  # noqa: F403
from chainrule.functional.vision import *  # noqa: F403

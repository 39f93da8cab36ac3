"""Tensor's methods and operators: each calls the op of its name, whose documentation says what it computes.

They stand apart from `tensor.py` so that what a tensor *is* can be read without what can be done with it.
"""

from chainrule.methods.conversions import Conversions
from chainrule.methods.creation import Creation
from chainrule.methods.elementwise import Elementwise
from chainrule.methods.in_place import InPlace
from chainrule.methods.indexing import Indexing
from chainrule.methods.operators import Operators
from chainrule.methods.products import Products
from chainrule.methods.reductions import Reductions
from chainrule.methods.shapes import Shapes

__all__ = ["TensorMethods"]


class TensorMethods(Operators, InPlace, Elementwise, Reductions, Shapes, Indexing, Products, Conversions, Creation):
    """The operations as methods and operators."""

    __slots__ = ()

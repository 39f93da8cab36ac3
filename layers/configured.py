"""The base of layers that are a function with settings: they show themselves."""

from inspect import Parameter, signature

from chainrule.layers.module import Module
from chainrule.tensor import Tensor


def refuse_input(module: Module, *settings: object) -> None:
    """TypeError for a tensor where settings are expected: the layer was given its input before it was made."""
    if any(isinstance(value, Tensor) for value in settings):
        name = type(module).__name__
        raise TypeError(f"{name}: got a tensor where it takes settings; make the layer first, then call it: "
                        f"{name}()(...)")


class Configured(Module):
    """A layer that keeps its constructor's arguments in attributes of the same names.

    `repr` shows the arguments that have no default by their values, and the others by name where they differ from it.

    >>> class Power(Configured):
    ...     def __init__(self, exponent, scale=1.0, shift=0.0):
    ...         self.exponent, self.scale, self.shift = exponent, scale, shift
    >>> Power(3, shift=0.5)
    Power(3, shift=0.5)
    """

    def extra_repr(self) -> str:
        """The arguments, as one would write them."""
        shown = []
        for name, argument in signature(type(self)).parameters.items():
            if name not in vars(self):
                continue
            value = vars(self)[name]
            if name == "bias" and not isinstance(value, bool):  # asked for by True and False, kept as a parameter or None
                value = value is not None
            if argument.default is Parameter.empty:
                shown.append(repr(value))
            elif not self.goes_without_saying(name, value) and value != argument.default:
                shown.append(f"{name}={value!r}")
        return ", ".join(shown)

    def goes_without_saying(self, name: str, value: object) -> bool:
        """Whether to leave out an argument even where it differs from its default: subclasses may."""
        return False

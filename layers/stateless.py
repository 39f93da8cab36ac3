"""Calling a module as a function of its parameters."""

from collections.abc import Mapping
from typing import Any

from chainrule.layers.module import Module, Parameter
from chainrule.tensor import Tensor

__all__ = ["functional_call"]


def functional_call(module: Module, parameters: Mapping[str, Any] | tuple[Mapping[str, Any], ...], args: Any = (),
                    kwargs: Mapping[str, Any] | None = None) -> Any:
    """module(*args, **kwargs) with other tensors in the place of its parameters and buffers: a function of them.

    `parameters`: tensors by path, or a tuple of such dicts; those not named stay. A tied parameter is replaced at all
    its places. `args`: a tuple, or the one argument. The module is as before afterwards, also after an exception.
    Raises AttributeError for a name that the module has not.

    >>> import chainrule as cr
    >>> from chainrule.layers import Linear
    >>> layer = Linear(2, 1, bias=False)
    >>> functional_call(layer, {"weight": cr.tensor([[1.0, 10.0]])}, cr.tensor([2.0, 3.0])).tolist()
    [32.0]
    """
    given: dict[str, Any] = {}
    for part in parameters if isinstance(parameters, tuple) else (parameters,):
        given.update(part)
    places: dict[str, tuple[Module, str, Tensor]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for name, tensor in [*owner._own(Parameter), *owner._own_buffers()]:
            places[f"{path}.{name}" if path else name] = owner, name, tensor
    unknown = [name for name in given if name not in places]
    if unknown:
        raise AttributeError(f"functional_call: {type(module).__name__} has no parameter or buffer "
                             f"{', '.join(unknown)}; it has {', '.join(places) or 'none'}")
    tied = {id(places[name][2]): value for name, value in given.items()}
    try:
        for path, (owner, name, tensor) in places.items():
            if id(tensor) in tied:
                vars(owner)[name] = given.get(path, tied[id(tensor)])
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for owner, name, tensor in places.values():
            vars(owner)[name] = tensor

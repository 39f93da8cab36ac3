"""Which learning rate to begin with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

from chainrule.optim.training.given import check_loader, modes_restored, unpack
from chainrule.random import get_rng_state, set_rng_state

__all__ = ["find_learning_rate"]


MEMORY = 0.9  # of the running mean that smooths the losses ...
LAG = 9  # ... and by how many steps it therefore comes late: MEMORY / (1 - MEMORY)


class Rates(NamedTuple):
    """What `find_learning_rate` returns."""

    suggestion: float
    rates: list[float]
    losses: list[float]


def find_learning_rate(model: Any, loader: Any, loss_fn: Callable[[Any, Any], Any], optimizer: Any, *,
                       smallest: float = 1e-6, largest: float = 10.0, steps: int = 100) -> Rates:
    """Try `steps` learning rates, from `smallest` to `largest` in equal ratios, one for each batch, while training goes
    on; the one at which the loss fell most steeply is a good one to begin with (Smith 2017, "Cyclical learning rates for
    training neural networks").

    Returns (suggestion, rates, losses), the losses smoothed, for a plot over the rates' logarithm. It ends when the loss
    is four times the least. Afterwards the weights, the optimizer, the default generator and the loader's are as before.
    Arguments as those of `fit`. Raises ValueError where the loss never falls.

    >>> import chainrule as cr
    >>> _ = cr.manual_seed(0)
    >>> x = cr.randn(256, 8)
    >>> loader = cr.data.DataLoader(cr.data.TensorDataset(x, x.sum(1, keepdim=True)), 16, generator=0)
    >>> line = cr.layers.Linear(8, 1)
    >>> found = find_learning_rate(line, loader, cr.layers.MSELoss(), cr.optim.SGD(line.parameters()))
    >>> 0.01 < found.suggestion < 0.5
    True
    """
    check_loader(loader, "find_learning_rate: the loader")
    if not 0 < smallest < largest or steps < 4 * LAG:
        raise ValueError(f"find_learning_rate: smallest={smallest} and largest={largest} must be positive and in this "
                         f"order, steps={steps} at least {4 * LAG}")
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with modes_restored(model), state_restored(model, optimizer, loader):
        model.train()
        for batch in islice(chain.from_iterable(repeat(loader)), steps):  # epoch after epoch
            inputs, target = unpack(batch)
            rate = smallest * (largest / smallest) ** (len(rates) / (steps - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = loss_fn(model(*inputs), target)
            loss.backward()
            optimizer.step()
            average = MEMORY * average + (1 - MEMORY) * loss.item()
            smooth = average / (1 - MEMORY ** (len(rates) + 1))  # the first one weighs no more than others
            if not smooth <= 4 * min(losses, default=smooth):
                break
            rates.append(rate)
            losses.append(smooth)
    falls = [(losses[i] - losses[i - LAG], i) for i in range(2 * LAG, len(losses))]  # the first means are of too few
    if not falls or min(falls)[0] >= 0:
        raise ValueError(f"find_learning_rate: the loss never fell between the rates {smallest} and {largest}; try a "
                         "smaller one, or look at the data and the loss")
    middle = min(falls)[1] - LAG // 2
    return Rates(rates[middle - LAG], rates, losses)


@contextmanager
def state_restored(model: Any, optimizer: Any, loader: Any) -> Iterator[None]:
    """Whatever happens inside, the weights, the optimizer and the generators come back as they were."""
    weights, state, random = deepcopy(model.state_dict()), deepcopy(optimizer.state_dict()), get_rng_state()
    generator = getattr(loader, "generator", None)
    own = None if generator is None else generator.get_state()
    try:
        yield
    finally:
        optimizer.zero_grad()
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        set_rng_state(random)
        if generator is not None:
            generator.set_state(own)

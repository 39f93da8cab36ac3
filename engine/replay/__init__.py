"""Compiled steps: a training or inference step is recorded once, and replayed for inputs of the same shapes.

`notes.py` says what a recording consists of, `recording.py` makes one while the step runs, `planning.py` gives arrays their
places in memory, `direct.py` writes kernels out as NumPy calls, `program.py` makes it source, `guards.py` says when it may run,
`compiled.py` chooses.
"""

from typing import Any

from chainrule.replay.compiled import Compiled

__all__ = ["compile"]


def compile(step: Any) -> Compiled:
    """A step that is recorded when it is first called and afterwards replayed: the same kernels and the same bits,
    without Python's part in it.

    `step`: a function of tensors (and of numbers, strings, lists … around them), such as forward, loss, backward and
    `optimizer.step()` together, or a model. It is recorded anew for other shapes, dtypes, numbers, or another mode. Each
    replay reads the parameters as they are, draws new random numbers, and calls optimizers and schedulers. What Python
    itself does is not repeated: printing, appending to a list, counting. Whatever would make that matter raises CompileError while
    recording: taking numbers out of tensors to decide by, indexing with masks, keeping a tensor in an attribute. What is
    returned has no history, so `backward` belongs into the step; gradients in `.grad` are overwritten by the next
    replay. `.code` is the program, `.report()` says what was recorded and why. Also a decorator.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = cr.optim.SGD([w], lr=0.5)
    >>> @cr.compile
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = (w * x).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [step(cr.tensor([1.0, 1.0])).item() for _ in range(3)]
    [3.0, 2.0, 1.0]
    >>> step
    <compiled step: 1 recording, 2 replays
      recorded because it was called for the first time
      the last program: 5 calls, ...>
    """
    return Compiled(step)

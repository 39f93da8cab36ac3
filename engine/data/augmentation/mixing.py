"""Mixing the pictures of a batch, and their labels in the same proportion."""

from typing import Any

import numpy as np

from chainrule.data.augmentation.images import blank
from chainrule.dtypes import REAL, get_default_dtype
from chainrule.errors import DtypeError, ShapeError, describe
from chainrule.names import ops
from chainrule.random import as_generator, key_of
from chainrule.tensor import Tensor

__all__ = ["CutMix", "MixUp"]


class Mixing:
    """Mixes each example of a batch with another one. Called with a batch (N, …) and its labels, it returns the mixed
    batch and the probabilities of the classes (N, K), which `cross_entropy` takes as targets.

    `alpha`: each proportion λ is drawn from Beta(alpha, alpha). `num_classes`: K, where labels are numbers of classes;
    labels may be probabilities (N, K) already. `generator`: a Generator or a seed; None is the default one.
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, generator: Any = None) -> None:
        if alpha <= 0:
            raise ValueError(f"{type(self).__name__}: alpha={alpha} must be above 0")
        self.alpha, self.num_classes, self.generator = float(alpha), num_classes, as_generator(generator)

    def mix(self, batch: Any, partners: Any, part: Any) -> tuple[Any, Any]:
        """Arrays (N, …) and those mixed into them, of which `part` (N) is to remain -> the mixture, and what remained."""
        raise NotImplementedError(f"{type(self).__name__} has no mix(batch, partners, part)")

    def __call__(self, examples: Any, labels: Any) -> tuple[Any, Any]:
        """The mixed examples and the probabilities of their classes."""
        name = type(self).__name__
        batch, given = (ops.as_tensor(t, device="cpu")._data for t in (examples, labels))
        if batch.ndim < 2 or given.ndim not in (1, 2) or len(batch) != len(given):
            raise ShapeError(f"{name}({describe(batch)}, {describe(given)}): takes a batch (N, …) and labels (N) or (N, K)")
        if batch.dtype.kind not in REAL:
            raise DtypeError(f"{name}({describe(batch)}): takes floats; convert first, for example with pictures.float() / 255")
        targets = given if given.ndim == 2 else self.one_hot(given)
        order = ops.randperm(len(batch), generator=self.generator, device="cpu")._data
        seed, draw = key_of(self.generator)  # the engine draws no beta; NumPy's generator does, from the same kind of key
        part = np.random.Generator(np.random.Philox(key=np.array([seed, draw], np.uint64))).beta(
            self.alpha, self.alpha, len(batch))
        mixed, remained = self.mix(batch, batch[order], part)
        remained = remained.astype(targets.dtype)[:, None]
        return Tensor(mixed), Tensor(remained * targets + (1 - remained) * targets[order])

    def one_hot(self, labels: Any) -> Any:
        """Numbers of classes as probabilities, 0 and 1."""
        name = type(self).__name__
        if self.num_classes is None or labels.dtype.kind not in "iu":
            raise DtypeError(f"{name}: labels {describe(labels)} are numbers of classes, int64, with num_classes=…; or "
                             "probabilities (N, K)")
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
            raise ValueError(f"{name}: labels from {labels.min()} to {labels.max()}, there are {self.num_classes} classes")
        return np.eye(self.num_classes, dtype=get_default_dtype())[labels]


class MixUp(Mixing):
    """x -> λ·x + (1 - λ)·x', with another example x' of the batch. Zhang, Cisse, Dauphin and Lopez-Paz (2018). Arguments
    as `Mixing`.

    >>> import chainrule as cr
    >>> pictures, targets = MixUp(num_classes=3)(cr.rand(4, 1, 8, 8), cr.tensor([0, 1, 2, 1]))
    >>> targets.shape, bool((abs(targets.sum(1) - 1) < 1e-6).all())
    ((4, 3), True)
    """

    def mix(self, batch: Any, partners: Any, part: Any) -> tuple[Any, Any]:
        """The weighted means."""
        weight = part.astype(batch.dtype).reshape(-1, *[1] * (batch.ndim - 1))
        return weight * batch + (1 - weight) * partners, part


class CutMix(Mixing):
    """A rectangle of another picture of the batch, of 1 - λ of the area, pasted into each. Yun, Han, Oh, Chun, Choe and
    Yoo (2019). Labels are mixed by the area that is really covered. Arguments as `Mixing`.

    >>> import chainrule as cr
    >>> pictures, targets = CutMix(num_classes=3)(cr.rand(4, 1, 8, 8), cr.tensor([0, 1, 2, 1]))
    >>> pictures.shape, targets.shape
    ((4, 1, 8, 8), (4, 3))
    """

    def mix(self, batch: Any, partners: Any, part: Any) -> tuple[Any, Any]:
        """The pictures with their patches."""
        if batch.ndim != 4:
            raise ShapeError(f"CutMix({describe(batch)}): takes a batch of pictures (N, C, H, W)")
        count, _, rows, columns = batch.shape
        side = np.sqrt(1 - part)
        places = ops.rand(2, count, generator=self.generator, dtype=np.float64, device="cpu")._data
        height, width = (np.round(side * n) for n in (rows, columns))
        top, left = (np.floor(u * n) - size // 2 for u, n, size in zip(places, (rows, columns), (height, width), strict=True))
        kept = blank(np.ones((count, 1, rows, columns), bool), top, left, height, width, False)
        return np.where(kept, batch, partners), kept.mean((1, 2, 3))

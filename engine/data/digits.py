"""scikit-learn's handwritten digits: real images, small enough to learn in seconds, with nothing to download."""

from typing import Any

import numpy as np

from chainrule.data.datasets import TensorDataset
from chainrule.names import ops
from chainrule.random import Generator
from chainrule.tensor import Tensor

__all__ = ["digits"]


class ShiftedDigits(TensorDataset):
    """Digits (N, 1, 8, 8) and their labels (N) for training: each time a digit is drawn it lies up to one pixel
    elsewhere, so that the network sees more than there are."""

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """One digit (1, 8, 8) and its label, or several and theirs, each moved by -1, 0 or 1 pixels down and across."""
        images, labels = super().__getitem__(index)
        padded = np.pad(images.data.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))  # (N, 10, 10)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8), axis=(1, 2))  # (N, 3, 3, 8, 8)
        down, across = ops.randint(0, 3, (2, len(padded))).data
        return Tensor(windows[np.arange(len(padded)), down, across].reshape(images.shape)), labels

    def batch(self, indices: Any) -> tuple[Tensor, ...]:
        """The batch of these digits, each moved on its own."""
        return self[np.asarray(indices)]


def digits(shifted: bool = False, held_out: float = 0.2) -> tuple[TensorDataset, TensorDataset]:
    """scikit-learn's 1,797 handwritten digits as (for training, held out): datasets of images (1, 8, 8), float32 from 0
    to 1, and labels 0 to 9, int64.

    `held_out`: the fraction of each class that is held out, always the same images, whatever the seed. `shifted`: those
    for training are moved by up to a pixel, each time anew, by draws from the default generator. Raises
    ModuleNotFoundError, naming the extra, where scikit-learn is missing; ValueError for a fraction outside [0, 1).

    >>> training, held = digits()
    >>> len(training), len(held), training.tensors[0].shape
    (1438, 359, (1438, 1, 8, 8))
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"digits: held_out={held_out} is a fraction, at least 0 and below 1")
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('the digits come with scikit-learn: pip install "chainrule[demo]"',
                                  name=error.name) from error
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    labels = labels.astype(np.int64)
    order = ops.randperm(len(labels), generator=Generator(0)).data
    classes = [order[labels[order] == digit] for digit in range(10)]
    counts = [round(len(c) * held_out) for c in classes]
    held = np.concatenate([c[:count] for c, count in zip(classes, counts)])
    rest = np.concatenate([c[count:] for c, count in zip(classes, counts)])
    training = ShiftedDigits if shifted else TensorDataset
    return training(images[rest], labels[rest]), TensorDataset(images[held], labels[held])

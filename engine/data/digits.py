"""scikit-learn's handwritten digits: real images, small enough to learn in seconds, with nothing to download."""

import numpy as np

from chainrule.data.augmentation.images import RandomCrop
from chainrule.data.datasets import TensorDataset
from chainrule.names import ops
from chainrule.random import Generator

__all__ = ["digits"]


def digits(shifted: bool = False, held_out: float = 0.2) -> tuple[TensorDataset, TensorDataset]:
    """scikit-learn's 1,797 handwritten digits as (for training, held out): datasets of images (1, 8, 8), float32 from 0
    to 1, and labels 0 to 9, int64.

    `held_out`: the fraction of each class that is held out, always the same images, whatever the seed. `shifted`: those
    for training are moved by up to a pixel, each time anew, by draws from the default generator; these stay on the CPU,
    the others are on the default device. Raises
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
    order = ops.randperm(len(labels), generator=Generator(0), device="cpu").data
    classes = [order[labels[order] == digit] for digit in range(10)]
    counts = [round(len(c) * held_out) for c in classes]
    held = np.concatenate([c[:count] for c, count in zip(classes, counts)])
    rest = np.concatenate([c[count:] for c, count in zip(classes, counts)])
    transform = RandomCrop(8, padding=1) if shifted else None
    training, tests = ((images[rows], labels[rows]) for rows in (rest, held))
    return (TensorDataset(*(training if shifted else map(ops.as_tensor, training)), transform=transform),
            TensorDataset(*map(ops.as_tensor, tests)))

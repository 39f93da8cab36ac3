"""Changes to pictures (C, H, W) or batches of them (N, C, H, W). Names and arguments follow torchvision where it has them;
but in a batch each picture is changed in its own way."""

import math
from typing import Any

import numpy as np

from chainrule.arguments import tuple_of
from chainrule.data.augmentation.transform import Transform, at_least_zero, probability, range_of
from chainrule.errors import ShapeError, describe

__all__ = ["ColorJitter", "Cutout", "GaussianNoise", "Normalize", "RandomAffine", "RandomCrop", "RandomErasing",
           "RandomHorizontalFlip", "RandomRotation", "RandomVerticalFlip"]


class Picture(Transform):
    """A change to pictures."""

    axes = 3


class Normalize(Picture):
    """(x - mean) / std, channel by channel; nothing about it is random.

    `mean`, `std`: a number for each channel, or one. Raises ValueError for a std of 0, ShapeError where the numbers are
    not as many as the channels.

    >>> import numpy as np
    >>> Normalize([0.5], [0.25])(np.ones((1, 1, 2)))
    array([[[2., 2.]]])
    """

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.mean, self.std = np.atleast_1d(np.asarray(mean, np.float64)), np.atleast_1d(np.asarray(std, np.float64))
        if (self.std == 0).any():
            raise ValueError(f"Normalize: std={std} must not be 0")

    def apply(self, batch: Any) -> Any:
        """The normalised batch."""
        channels = batch.shape[1]
        if {len(self.mean), len(self.std)} - {1, channels}:
            raise ShapeError(f"Normalize({describe(batch)}): there are {channels} channels, {len(self.mean)} means and "
                             f"{len(self.std)} standard deviations")
        mean, std = (v.astype(self.floats(batch).dtype)[:, None, None] for v in (self.mean, self.std))
        return (batch - mean) / std


class RandomCrop(Picture):
    """A part of the picture, of this size, from a random place; with `padding`, the picture moved about.

    `size`: height and width, or one number for both. `padding`: how many pixels are added on each side first, (vertical,
    horizontal) or one number, of the value `fill`, or as `padding_mode` says: "constant", "edge", "reflect" or
    "symmetric". Raises ShapeError where the size is larger than the padded picture.

    >>> import numpy as np
    >>> RandomCrop(2)(np.zeros((3, 4, 5))).shape, RandomCrop(4, padding=1)(np.zeros((7, 1, 4, 4))).shape
    ((3, 2, 2), (7, 1, 4, 4))
    """

    def __init__(self, size: Any, padding: Any = 0, fill: float = 0.0, padding_mode: str = "constant",
                 generator: Any = None) -> None:
        super().__init__(generator)
        self.size, self.padding = (tuple_of("RandomCrop", "size", size, 2), tuple_of("RandomCrop", "padding", padding, 2))
        at_least_zero("RandomCrop", padding=min(self.padding))
        if min(self.size) < 1:
            raise ValueError(f"RandomCrop: size={size} must be at least 1")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(f"RandomCrop: padding_mode={padding_mode!r} is none of constant, edge, reflect, symmetric")
        self.fill, self.padding_mode = fill, padding_mode

    def apply(self, batch: Any) -> Any:
        """A window of each picture."""
        sides = [(0, 0), (0, 0), *((p, p) for p in self.padding)]
        options: dict[str, Any] = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
        padded = np.pad(batch, sides, mode=self.padding_mode, **options) if any(self.padding) else batch  # type: ignore[call-overload]
        room = [have - want for have, want in zip(padded.shape[2:], self.size, strict=True)]
        if min(room) < 0:
            raise ShapeError(f"RandomCrop({describe(batch)}): a picture of {padded.shape[2:]} with its padding has no part of "
                             f"size {self.size}")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=(2, 3))  # (N, C, rows, columns, H, W)
        down, across = self.places(len(batch), *room)
        return windows[np.arange(len(batch)), :, down, across]  # (N, C, H, W)


class RandomHorizontalFlip(Picture):
    """Left and right exchanged, with probability `p`.

    >>> import numpy as np
    >>> RandomHorizontalFlip(p=1.0)(np.array([[[1, 2, 3]]]))
    array([[[3, 2, 1]]])
    """

    axis = 3

    def __init__(self, p: float = 0.5, generator: Any = None) -> None:
        super().__init__(generator)
        self.p = probability(type(self).__name__, p)

    def apply(self, batch: Any) -> Any:
        """The batch, some of whose pictures are mirrored."""
        chosen = self.uniform(0, 1, len(batch)) < self.p
        return np.where(chosen[:, None, None, None], np.flip(batch, self.axis), batch)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top and bottom exchanged, with probability `p`.

    >>> import numpy as np
    >>> RandomVerticalFlip(p=1.0)(np.array([[[1], [2]]]))
    array([[[2],
            [1]]])
    """

    axis = 2


class RandomAffine(Picture):
    """The picture turned, moved, scaled and sheared about its middle, by random amounts.

    `degrees`: the angle (counter-clockwise) is drawn from -degrees to degrees, or from a range. `translate`: (a, b) moves
    by up to a of the width and b of the height. `scale`: a range of factors. `shear`: the angle, as `degrees`, by which
    vertical lines lean. `interpolation`: "bilinear" or "nearest". `fill`: what lies outside the picture. Takes floats.

    >>> import numpy as np
    >>> RandomAffine(degrees=(90, 90))(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[[2., 4.],
            [1., 3.]]])
    """

    def __init__(self, degrees: Any, translate: Any = None, scale: Any = None, shear: Any = None,
                 interpolation: str = "bilinear", fill: float = 0.0, generator: Any = None) -> None:
        super().__init__(generator)
        name = type(self).__name__
        self.degrees = range_of(name, "degrees", degrees)
        self.translate = (0.0, 0.0) if translate is None else tuple(translate)
        self.scale = (1.0, 1.0) if scale is None else range_of(name, "scale", scale, 1.0)
        self.shear = (0.0, 0.0) if shear is None else range_of(name, "shear", shear)
        if len(self.translate) != 2 or not all(0 <= t <= 1 for t in self.translate) or self.scale[0] <= 0:
            raise ValueError(f"{name}: translate={translate} are two parts of the picture's size, between 0 and 1; "
                             f"scale={scale} are factors above 0")
        if interpolation not in ("bilinear", "nearest"):
            raise ValueError(f"{name}: interpolation={interpolation!r} is neither bilinear nor nearest")
        self.interpolation, self.fill = interpolation, fill

    def apply(self, batch: Any) -> Any:
        """Each picture, read at the places that its own inverse map says."""
        count, _, height, width = self.floats(batch).shape
        angle, lean = (np.deg2rad(self.uniform(*each, count)) for each in (self.degrees, self.shear))
        factor = self.uniform(*self.scale, count)
        right, down = (self.uniform(-part * size, part * size, count)
                       for part, size in zip(self.translate, (width, height), strict=True))
        # Forward: (x, y) -> factor · turn(angle) · shear(lean) · (x, y) + (right, down), from the middle, y downwards.
        cos, sin, tan = np.cos(angle), np.sin(angle), np.tan(lean)
        a, b = factor * cos, factor * (sin - cos * tan)  # [a b]
        c, d = -factor * sin, factor * (cos + sin * tan)  # [c d]
        det = a * d - b * c
        y, x = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
        x, y = x - right[:, None, None], y - down[:, None, None]  # (N, H, W)
        a, b, c, d = (v[:, None, None] / det[:, None, None] for v in (d, -b, -c, a))
        return self.read(batch, c * x + d * y + (height - 1) / 2, a * x + b * y + (width - 1) / 2)

    def read(self, batch: Any, rows: Any, columns: Any) -> Any:
        """The values of (N, C, H, W) at places (N, H, W) between the pixels."""
        height, width = batch.shape[2:]
        if self.interpolation == "nearest":
            rows, columns = np.round(rows), np.round(columns)
        top, left = np.floor(rows), np.floor(columns)
        out = np.zeros((len(batch), *rows.shape[1:], batch.shape[1]), batch.dtype)
        which = np.arange(len(batch))[:, None, None]
        for row, by_row in ((top, top + 1 - rows), (top + 1, rows - top)):
            for column, by_column in ((left, left + 1 - columns), (left + 1, columns - left)):
                weight = (by_row * by_column).astype(batch.dtype)[..., None]
                inside = ((row >= 0) & (row < height) & (column >= 0) & (column < width))[..., None]
                at = (which, slice(None), np.clip(row, 0, height - 1).astype(np.intp),
                      np.clip(column, 0, width - 1).astype(np.intp))
                out += weight * np.where(inside, batch[at], batch.dtype.type(self.fill))  # (N, H, W, C)
        return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


class RandomRotation(RandomAffine):
    """The picture turned about its middle by an angle from -degrees to degrees, or from a range. Takes floats.

    >>> import numpy as np
    >>> RandomRotation((180, 180))(np.array([[[1.0, 2.0], [3.0, 4.0]]])).round(6)
    array([[[4., 3.],
            [2., 1.]]])
    """

    def __init__(self, degrees: Any, interpolation: str = "bilinear", fill: float = 0.0, generator: Any = None) -> None:
        super().__init__(degrees, interpolation=interpolation, fill=fill, generator=generator)


def blank(batch: Any, top: Any, left: Any, height: Any, width: Any, value: float) -> Any:
    """The batch with a rectangle of each picture set to a value; what lies outside the picture is left out."""
    rows, columns = np.arange(batch.shape[2]), np.arange(batch.shape[3])
    tall = (rows >= top[:, None]) & (rows < (top + height)[:, None])  # (N, H)
    wide = (columns >= left[:, None]) & (columns < (left + width)[:, None])  # (N, W)
    return np.where(tall[:, None, :, None] & wide[:, None, None, :], batch.dtype.type(value), batch)


class Cutout(Picture):
    """A square of the picture, around a random pixel, set to a value. DeVries and Taylor (2017).

    `size`: its side; near the border a part of it lies outside.

    >>> import numpy as np
    >>> float(Cutout(100)(np.ones((1, 4, 4))).sum())
    0.0
    """

    def __init__(self, size: int, value: float = 0.0, generator: Any = None) -> None:
        super().__init__(generator)
        at_least_zero("Cutout", size=size)
        self.size, self.value = size, value

    def apply(self, batch: Any) -> Any:
        """The batch with a square missing in each picture."""
        top, left = self.places(len(batch), batch.shape[2] - 1, batch.shape[3] - 1)
        half = self.size // 2
        return blank(batch, top - half, left - half, self.size, self.size, self.value)


class RandomErasing(Picture):
    """A rectangle of the picture set to a value, with probability `p`. Zhong, Zheng, Kang, Li and Yang (2017).

    `scale`: the range of its part of the picture's area; `ratio`: that of its height to its width. A rectangle that would
    be larger than the picture is cut.

    >>> import numpy as np
    >>> float(RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1, 1))(np.ones((1, 8, 8))).sum())
    48.0
    """

    def __init__(self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3),
                 value: float = 0.0, generator: Any = None) -> None:
        super().__init__(generator)
        self.p, self.value = probability("RandomErasing", p), value
        self.scale, self.ratio = range_of("RandomErasing", "scale", scale), range_of("RandomErasing", "ratio", ratio)
        if not (0 <= self.scale[0] and self.scale[1] <= 1 and self.ratio[0] > 0):
            raise ValueError(f"RandomErasing: scale={scale} are parts of the area, between 0 and 1; ratio={ratio} are "
                             "above 0")

    def apply(self, batch: Any) -> Any:
        """The batch with a rectangle missing in some of its pictures."""
        count, _, rows, columns = batch.shape
        area = self.uniform(*self.scale, count) * rows * columns
        ratio = np.exp(self.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), count))
        chosen = self.uniform(0, 1, count) < self.p
        height = np.minimum(np.round(np.sqrt(area * ratio)), rows).astype(np.int64) * chosen
        width = np.minimum(np.round(np.sqrt(area / ratio)), columns).astype(np.int64)
        top, left = self.places(count, rows - height, columns - width)
        return blank(batch, top, left, height, width, self.value)


class Ranged(Picture):
    """A change to the values of float pictures, which are then cut to a range, None for none."""

    def __init__(self, clip: tuple[float, float] | None = (0.0, 1.0), generator: Any = None) -> None:
        super().__init__(generator)
        self.clip = None if clip is None else range_of(type(self).__name__, "clip", clip)

    def clipped(self, batch: Any) -> Any:
        """The batch within the range."""
        return batch if self.clip is None else np.clip(batch, *map(batch.dtype.type, self.clip))


class ColorJitter(Ranged):
    """The picture's brightness and contrast changed by random factors.

    x -> m + k·(f·x - m), where m is the mean of f·x over the picture, f from max(0, 1 - brightness) to 1 + brightness,
    and k likewise from `contrast`; or from ranges. `clip`: the range of the values, None for pictures that are normalised
    already. Takes floats.

    >>> import numpy as np
    >>> ColorJitter(brightness=(2, 2))(np.full((1, 1, 2), 0.25))
    array([[[0.5, 0.5]]])
    """

    def __init__(self, brightness: Any = 0.0, contrast: Any = 0.0, clip: tuple[float, float] | None = (0.0, 1.0),
                 generator: Any = None) -> None:
        super().__init__(clip, generator)
        self.brightness, self.contrast = (range_of("ColorJitter", name, value, 1.0) for name, value in
                                          (("brightness", brightness), ("contrast", contrast)))

    def apply(self, batch: Any) -> Any:
        """The batch, each picture with its own factors."""
        factors = [np.asarray(self.uniform(max(0.0, low), high, len(batch), 1, 1, 1), self.floats(batch).dtype)
                   for low, high in (self.brightness, self.contrast)]
        bright = batch * factors[0]
        mean = bright.mean((1, 2, 3), keepdims=True)
        return self.clipped(mean + factors[1] * (bright - mean))


class GaussianNoise(Ranged):
    """Normal noise of mean 0 and the standard deviation `std` added to every value. `clip`: see `ColorJitter`. Takes
    floats.

    >>> import numpy as np
    >>> GaussianNoise(0.0)(np.full((1, 1, 2), 0.25))
    array([[[0.25, 0.25]]])
    """

    def __init__(self, std: float = 0.1, clip: tuple[float, float] | None = (0.0, 1.0), generator: Any = None) -> None:
        super().__init__(clip, generator)
        at_least_zero("GaussianNoise", std=std)
        self.std = std

    def apply(self, batch: Any) -> Any:
        """The batch with noise."""
        return self.clipped(batch + self.normal(self.std, batch.shape, self.floats(batch).dtype))

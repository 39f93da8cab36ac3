"""VGG: a deep stack of 3 × 3 convolutions. Names as torchvision's, whose state dicts load."""

from typing import Any

from chainrule.layers import initializers as init
from chainrule.layers.activations import ReLU
from chainrule.layers.containers import Sequential
from chainrule.layers.convolution import Conv2d
from chainrule.layers.dropout import Dropout
from chainrule.layers.linear import Linear
from chainrule.layers.module import Module
from chainrule.layers.normalization import BatchNorm2d
from chainrule.layers.pooling import AdaptiveAvgPool2d, MaxPool2d
from chainrule.tensor import Tensor

__all__ = ["VGG", "vgg11", "vgg13", "vgg16", "vgg19", "vgg_small"]

# the widths of the convolutions in each block, before each of which the image is halved
PLANS = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    19: ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512)),
}


class VGG(Module):
    """Blocks of 3 × 3 convolutions with ReLU, max pooling after each, then three fully connected layers with dropout.

    Simonyan & Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", arXiv 1409.1556.
    `plan`: the widths of the convolutions, block by block. `batch_norm`: normalise after every convolution. `pooled`: the
    image's size after average pooling; `hidden`: the width of the fully connected layers. Convolutions start normal with
    variance 2 / fan_out, fully connected layers with standard deviation 0.01, biases at 0.

    >>> import chainrule as cr
    >>> model = VGG([[8], [16, 16]], num_classes=5, pooled=1, hidden=32)
    >>> model(cr.zeros(2, 3, 12, 12)).shape
    (2, 5)
    """

    def __init__(self, plan: Any, batch_norm: bool = False, num_classes: int = 1000, in_channels: int = 3, pooled: int = 7,
                 hidden: int = 4096, dropout: float = 0.5) -> None:
        features: list[Module] = []
        channels = in_channels
        for widths in plan:
            for width in widths:
                features.append(Conv2d(channels, width, 3, padding=1))
                features += [BatchNorm2d(width), ReLU(inplace=True)] if batch_norm else [ReLU(inplace=True)]
                channels = width
            features.append(MaxPool2d(2))
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d(pooled)
        self.classifier = Sequential(
            Linear(channels * pooled * pooled, hidden), ReLU(inplace=True), Dropout(dropout),
            Linear(hidden, hidden), ReLU(inplace=True), Dropout(dropout),
            Linear(hidden, num_classes))
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Linear):
                init.normal_(module.weight, 0.0, 0.01)
            if isinstance(module, Conv2d | Linear) and module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) -> logits (N, num_classes)."""
        x = self.avgpool(self.features(input))  # (N, C, pooled, pooled)
        found: Tensor = self.classifier(x.flatten(1))
        return found


def vgg11(batch_norm: bool = False, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG with 11 layers (configuration A); `options` as VGG's."""
    return VGG(PLANS[11], batch_norm, num_classes, **options)


def vgg13(batch_norm: bool = False, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG with 13 layers (configuration B); `options` as VGG's."""
    return VGG(PLANS[13], batch_norm, num_classes, **options)


def vgg16(batch_norm: bool = False, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG with 16 layers (configuration D); `options` as VGG's."""
    return VGG(PLANS[16], batch_norm, num_classes, **options)


def vgg19(batch_norm: bool = False, num_classes: int = 1000, **options: Any) -> VGG:
    """VGG with 19 layers (configuration E); `options` as VGG's."""
    return VGG(PLANS[19], batch_norm, num_classes, **options)


def vgg_small(num_classes: int = 10, in_channels: int = 1, width: int = 32, hidden: int = 128, dropout: float = 0.3) -> VGG:
    """A VGG for small images, 8 × 8 or more: three blocks with batch norm, of width, 2 · width and 4 · width channels.

    Its fully connected layers start as their own width asks for, not with the large ones' standard deviation 0.01.

    >>> import chainrule as cr
    >>> vgg_small()(cr.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """
    plan = ((width, width), (2 * width, 2 * width), (4 * width,))
    model = VGG(plan, True, num_classes, in_channels, pooled=1, hidden=hidden, dropout=dropout)
    for module in model.classifier:
        if isinstance(module, Linear):
            module.reset_parameters()
    return model

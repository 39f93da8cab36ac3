"""LeNet-5, the convolutional network that read cheques."""

from chainrule import functional as F
from chainrule.errors import ShapeError
from chainrule.layers.convolution import Conv2d
from chainrule.layers.linear import Linear
from chainrule.layers.module import Module
from chainrule.layers.pooling import AvgPool2d
from chainrule.tensor import Tensor

__all__ = ["LeNet5"]


class LeNet5(Module):
    """Two convolutions of 5 × 5, each with tanh and average pooling, then three fully connected layers.

    LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition". As it is built
    today: the paper's subsampling had a learned scale, its second convolution saw chosen maps only, and its outputs were
    distances to fixed patterns. Images smaller than 32 × 32 are padded with zeros to that size, as the paper's digits.

    >>> import chainrule as cr
    >>> model = LeNet5(image_size=28)
    >>> model(cr.zeros(2, 1, 28, 28)).shape, sum(p.numel() for p in model.parameters())
    ((2, 10), 61706)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 32) -> None:
        if image_size % 2 or not 0 < image_size <= 32:
            raise ShapeError(f"LeNet5: image_size={image_size} must be even and at most 32, the size of the network's input")
        self.conv1 = Conv2d(in_channels, 6, 5, padding=(32 - image_size) // 2)
        self.conv2 = Conv2d(6, 16, 5)
        self.pool = AvgPool2d(2)
        self.fc1 = Linear(16 * 5 * 5, 120)
        self.fc2 = Linear(120, 84)
        self.fc3 = Linear(84, num_classes)

    def forward(self, input: Tensor) -> Tensor:
        """Images (N, in_channels, image_size, image_size) -> logits (N, num_classes)."""
        x = self.pool(F.tanh(self.conv1(input)))  # (N, 6, 14, 14)
        x = self.pool(F.tanh(self.conv2(x)))  # (N, 16, 5, 5)
        x = F.tanh(self.fc1(x.flatten(1)))  # (N, 120)
        found: Tensor = self.fc3(F.tanh(self.fc2(x)))
        return found

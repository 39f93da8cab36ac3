"""ResNet: layers that learn what to add to their input. Names as torchvision's, whose state dicts load."""

from typing import Any, ClassVar

from chainrule import functional as F
from chainrule.layers import initializers as init
from chainrule.layers.containers import Sequential
from chainrule.layers.convolution import Conv2d
from chainrule.layers.linear import Identity, Linear
from chainrule.layers.module import Module
from chainrule.layers.normalization import BatchNorm2d
from chainrule.layers.pooling import AdaptiveAvgPool2d, MaxPool2d
from chainrule.tensor import Tensor

__all__ = ["BasicBlock", "Bottleneck", "PaddedShortcut", "ResNet", "resnet18", "resnet20", "resnet32", "resnet34",
           "resnet44", "resnet50", "resnet56", "resnet101", "resnet110", "resnet152"]


class PaddedShortcut(Module):
    """A shortcut without parameters: every `stride`-th pixel, and zeros for the channels that are new (option A).

    >>> import chainrule as cr
    >>> PaddedShortcut(2, 4, 2)(cr.ones(1, 2, 4, 4)).sum((0, 2, 3))
    tensor([0., 4., 4., 0.])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        self.new, self.stride = out_channels - in_channels, stride

    def forward(self, input: Tensor) -> Tensor:
        """x (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        x = input[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))


class BasicBlock(Module):
    """relu(x + F(x)), with F two 3 × 3 convolutions with batch norm, of `width` channels.

    Where the shape changes, `downsample` brings x to the new one.
    """

    expansion: ClassVar[int] = 1  # how many times `width` channels the block returns

    def __init__(self, in_channels: int, width: int, stride: int = 1, downsample: Module | None = None) -> None:
        self.conv1 = Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, input: Tensor) -> Tensor:
        """x (N, in_channels, H, W) -> (N, width, H / stride, W / stride)."""
        x = F.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return F.relu(x + (input if self.downsample is None else self.downsample(input)))

    def last_norm(self) -> BatchNorm2d:
        """The batch norm before the sum."""
        return self.bn2


class Bottleneck(Module):
    """relu(x + F(x)), with F a 1 × 1 convolution to `width` channels, one of 3 × 3 and one of 1 × 1 to 4 · width.

    The stride is in the 3 × 3 convolution, as torchvision has it (the paper: in the first).
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, downsample: Module | None = None) -> None:
        self.conv1 = Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = BatchNorm2d(4 * width)
        self.downsample = downsample

    def forward(self, input: Tensor) -> Tensor:
        """x (N, in_channels, H, W) -> (N, 4 · width, H / stride, W / stride)."""
        x = F.relu(self.bn1(self.conv1(input)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return F.relu(x + (input if self.downsample is None else self.downsample(input)))

    def last_norm(self) -> BatchNorm2d:
        """The batch norm before the sum."""
        return self.bn3


class ResNet(Module):
    """Residual networks: a first convolution, stages of blocks of which each but the first halves the image, a mean over
    the image, and a linear layer.

    He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", arXiv 1512.03385. `counts` and `widths`: how
    many blocks each stage has, and how wide. `small`: the CIFAR form, with a 3 × 3 convolution in front and shortcuts
    without parameters where the shape changes; otherwise the ImageNet form, with a 7 × 7 convolution of stride 2 and
    max pooling in front, and 1 × 1 convolutions as such shortcuts. `zero_init_residual`: the last batch norm of each block
    starts at 0, so that every block starts as the identity (Goyal et al. 2017, arXiv 1706.02677). Convolutions start
    normal with variance 2 / fan_out.

    >>> import chainrule as cr
    >>> model = ResNet(BasicBlock, (1, 1), num_classes=5, widths=(8, 16), small=True)
    >>> model(cr.zeros(2, 3, 8, 8)).shape
    (2, 5)
    """

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: Any, num_classes: int = 1000, in_channels: int = 3,
                 widths: Any = (64, 128, 256, 512), small: bool = False, zero_init_residual: bool = False) -> None:
        if len(counts) != len(widths):
            raise ValueError(f"ResNet: counts={counts} and widths={widths} must have one number for each stage")
        self.small = small
        if small:
            self.conv1 = Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        else:
            self.conv1 = Conv2d(in_channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(widths[0])
        self.maxpool = Identity() if small else MaxPool2d(3, stride=2, padding=1)
        channels, self.stages = widths[0], len(counts)
        for stage, (count, width) in enumerate(zip(counts, widths)):
            blocks: list[Module] = []
            for i in range(count):
                stride = 2 if stage and not i else 1
                shortcut = None
                if stride > 1 or channels != width * block.expansion:
                    shortcut = self._shortcut(channels, width * block.expansion, stride)
                blocks.append(block(channels, width, stride, shortcut))
                channels = width * block.expansion
            self.add_module(f"layer{stage + 1}", Sequential(*blocks))
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc = Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock | Bottleneck) and zero_init_residual:
                weight = module.last_norm().weight
                assert weight is not None
                init.zeros_(weight)

    def _shortcut(self, before: int, after: int, stride: int) -> Module:
        if self.small:
            return PaddedShortcut(before, after, stride)
        return Sequential(Conv2d(before, after, 1, stride, bias=False), BatchNorm2d(after))

    def forward(self, input: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) -> logits (N, num_classes)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(input))))
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        found: Tensor = self.fc(self.avgpool(x).flatten(1))
        return found


# ---- the ImageNet form


def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-18; `options` as ResNet's."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-34; `options` as ResNet's."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-50, of bottleneck blocks; `options` as ResNet's."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)


def resnet101(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-101, of bottleneck blocks; `options` as ResNet's."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **options)


def resnet152(num_classes: int = 1000, **options: Any) -> ResNet:
    """ResNet-152, of bottleneck blocks; `options` as ResNet's."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **options)


# ---- the CIFAR form: 6n + 2 layers


def resnet_small(depth: int, num_classes: int, **options: Any) -> ResNet:
    """Three stages of 16, 32 and 64 channels (or `widths`), of (depth - 2) / 6 blocks each."""
    return ResNet(BasicBlock, ((depth - 2) // 6,) * 3, num_classes, small=True, **{"widths": (16, 32, 64), **options})


def resnet20(num_classes: int = 10, **options: Any) -> ResNet:
    """ResNet-20 for images of about 32 × 32; `options` as ResNet's.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    return resnet_small(20, num_classes, **options)


def resnet32(num_classes: int = 10, **options: Any) -> ResNet:
    """ResNet-32 for images of about 32 × 32; `options` as ResNet's."""
    return resnet_small(32, num_classes, **options)


def resnet44(num_classes: int = 10, **options: Any) -> ResNet:
    """ResNet-44 for images of about 32 × 32; `options` as ResNet's."""
    return resnet_small(44, num_classes, **options)


def resnet56(num_classes: int = 10, **options: Any) -> ResNet:
    """ResNet-56 for images of about 32 × 32; `options` as ResNet's."""
    return resnet_small(56, num_classes, **options)


def resnet110(num_classes: int = 10, **options: Any) -> ResNet:
    """ResNet-110 for images of about 32 × 32; `options` as ResNet's."""
    return resnet_small(110, num_classes, **options)

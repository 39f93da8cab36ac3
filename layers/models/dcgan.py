"""DCGAN: a pair of convolutional networks, one that makes images of noise and one that tells them from real ones."""

from chainrule.errors import ShapeError
from chainrule.layers import initializers as init
from chainrule.layers.activations import LeakyReLU, ReLU, Tanh
from chainrule.layers.containers import Sequential
from chainrule.layers.convolution import Conv2d, ConvTranspose2d
from chainrule.layers.module import Module
from chainrule.layers.normalization import BatchNorm2d
from chainrule.tensor import Tensor

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]


def doublings(name: str, image_size: int) -> int:
    """How often 4 × 4 doubles to the image's size. Raises ShapeError for a size that is not 8, 16, 32, …."""
    times = image_size.bit_length() - 3
    if times < 1 or 4 << times != image_size:
        raise ShapeError(f"{name}: image_size={image_size} must be a power of 2, at least 8; resize or pad the images")
    return times


def first_values(module: Module) -> None:
    """The paper's first values: weights N(0, 0.02²), those of batch norm N(1, 0.02²), biases 0."""
    if isinstance(module, Conv2d | ConvTranspose2d):
        init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, BatchNorm2d) and module.weight is not None and module.bias is not None:
        init.normal_(module.weight, 1.0, 0.02)
        init.zeros_(module.bias)


class DCGANGenerator(Module):
    """Noise to images: transposed convolutions of 4 × 4 that double the image, with batch norm and ReLU, and tanh at the
    end.

    Radford, Metz & Chintala 2015, "Unsupervised representation learning with deep convolutional generative adversarial
    networks", arXiv 1511.06434. Before the last layer there are `width` channels, twice as many before each layer in front
    of it. Weights start at N(0, 0.02²). Raises ShapeError for an image size that is no power of 2 from 8 on.

    >>> import chainrule as cr
    >>> DCGANGenerator(latent=10, channels=1, width=4, image_size=16)(cr.randn(2, 10)).shape
    (2, 1, 16, 16)
    """

    def __init__(self, latent: int = 100, channels: int = 3, width: int = 64, image_size: int = 64) -> None:
        times = doublings("DCGANGenerator", image_size)
        now = width << (times - 1)
        layers: list[Module] = [ConvTranspose2d(latent, now, 4, bias=False), BatchNorm2d(now), ReLU()]  # 1 × 1 -> 4 × 4
        for _ in range(times - 1):
            layers += [ConvTranspose2d(now, now // 2, 4, 2, 1, bias=False), BatchNorm2d(now // 2), ReLU()]
            now //= 2
        self.latent = latent
        self.layers = Sequential(*layers, ConvTranspose2d(now, channels, 4, 2, 1, bias=False), Tanh())
        self.apply(first_values)

    def forward(self, input: Tensor) -> Tensor:
        """Noise (N, latent) -> images (N, channels, image_size, image_size) with values from -1 to 1."""
        found: Tensor = self.layers(input.reshape(-1, self.latent, 1, 1))
        return found


class DCGANDiscriminator(Module):
    """Images to a number each: convolutions of 4 × 4 that halve the image, with batch norm (but the first) and leaky ReLU.

    The number is the logit of "real"; with binary_cross_entropy_with_logits it is the paper's discriminator, which ends
    in a sigmoid. `batch_norm=False` leaves batch norm out and gives a critic for a Wasserstein GAN with gradient penalty,
    which looks at one image at a time (Gulrajani et al. 2017, arXiv 1704.00028). See `DCGANGenerator`.

    >>> import chainrule as cr
    >>> DCGANDiscriminator(channels=1, width=4, image_size=16)(cr.randn(2, 1, 16, 16)).shape
    (2,)
    """

    def __init__(self, channels: int = 3, width: int = 64, image_size: int = 64, batch_norm: bool = True) -> None:
        times = doublings("DCGANDiscriminator", image_size)
        layers: list[Module] = [Conv2d(channels, width, 4, 2, 1, bias=False), LeakyReLU(0.2)]
        for _ in range(times - 1):
            layers.append(Conv2d(width, 2 * width, 4, 2, 1, bias=not batch_norm))
            layers += [BatchNorm2d(2 * width), LeakyReLU(0.2)] if batch_norm else [LeakyReLU(0.2)]
            width *= 2
        self.layers = Sequential(*layers, Conv2d(width, 1, 4, bias=False))  # 4 × 4 -> 1 × 1
        self.apply(first_values)

    def forward(self, input: Tensor) -> Tensor:
        """Images (N, channels, image_size, image_size) -> logits (N)."""
        found: Tensor = self.layers(input).flatten()
        return found

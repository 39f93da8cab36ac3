"""Known sets of pictures, read from a folder or fetched into it."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from chainrule.data.datasets import TensorDataset
from chainrule.data.download import StrPath, download
from chainrule.data.readers import cifar_records, read_bytes, read_idx
from chainrule.errors import FileError
from chainrule.folders import cache_folder
from chainrule.tensor import Tensor

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST"]


class Pictures(TensorDataset):
    """Pictures (C, H, W), float32 from 0 to 1, and their labels, int64.

    `tensors` holds them as they were read: uint8 (N, C, H, W) and int64 (N). `transform`: called with pictures and
    labels, one (C, H, W) or a batch (N, C, H, W), it returns others, see `chainrule.data.augmentation`.
    """

    address: ClassVar[str]  # the folder that the files are fetched from
    files: ClassVar[dict[str, str]]  # each file's name and SHA-256
    classes: ClassVar[tuple[str, ...]]

    def __init__(self, root: StrPath | None = None, train: bool = True, transform: Callable[..., Any] | None = None, *,
                 download: bool = False) -> None:
        self.root = cache_folder() / "data" / type(self).__name__ if root is None else Path(root)
        self.train, self.download = train, download
        super().__init__(*self.read(), transform=transform)

    def read(self) -> tuple[Any, Any]:
        """The pictures and labels of the files."""
        raise NotImplementedError(f"{type(self).__name__} has no read()")

    def file(self, name: str, *others: str) -> Path:
        """Where a file is, under its own name or one of the others, below the root; fetched where it may be."""
        for found in (self.root / other for other in (name, *others)):
            if found.exists():
                return found
        if self.download:
            return download(self.address + name, self.files[name], self.root)
        raise FileNotFoundError(f"{type(self).__name__}: there is no {name} in {self.root}; pass download=True, or fetch "
                                f"{self.address}{name} and put it there")

    def __getitem__(self, index: Any) -> Any:
        images, labels = (t[index] for t in self.tensors)
        pictures = Tensor(images.data.astype(np.float32) / np.float32(255))
        return (pictures, labels) if self.transform is None else self.transform(pictures, labels)

    def batch(self, indices: Any) -> Any:
        """The batch of these pictures and labels."""
        return self[np.asarray(indices)]


class MNIST(Pictures):
    """Handwritten digits, 28 x 28: 60,000 for training, 10,000 for testing. LeCun, Bottou, Bengio, Haffner (1998).

    `root`: the folder of the four IDX files, compressed or not (torchvision's folder serves too); None is in
    chainrule's cache folder. `train`: which part. `transform`: called with pictures and labels. `download`: fetch what
    is not there. Examples are pictures (1, 28, 28), float32 from 0 to 1, and labels.

    Raises FileNotFoundError where a file is not there, FileError where one is damaged; errors of `download`.
    """

    address = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    files = {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }
    classes = tuple("0123456789")

    def read(self) -> tuple[Any, Any]:
        """Images uint8 (N, 1, 28, 28) and labels int64 (N)."""
        kind = type(self).__name__
        part = "train" if self.train else "t10k"
        found = []
        for name in (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"):
            plain = name.removesuffix(".gz")
            path = self.file(name, plain, f"{kind}/raw/{name}", f"{kind}/raw/{plain}")
            found.append((path, read_idx(path).data))
        (place, images), (other, labels) = found
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or images.dtype != np.uint8:
            raise FileError(f"{kind}: {place} and {other} do not belong together: images {images.dtype}{images.shape}, labels "
                            f"{labels.dtype}{labels.shape}")
        return images[:, None], labels.astype(np.int64)


class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's format and sizes. Xiao, Rasul, Vollgraf (2017). Arguments as `MNIST`."""

    address = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
    files = {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class CIFAR10(Pictures):
    """Colour photographs, 32 x 32, of ten classes: 50,000 for training, 10,000 for testing. Krizhevsky (2009).

    `root`: the folder of `cifar-10-binary.tar.gz`, or of the folder that is in it. Other arguments and errors as
    `MNIST`. Examples are pictures (3, 32, 32), float32 from 0 to 1, and labels.
    """

    address = "https://www.cs.toronto.edu/~kriz/"
    files = {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}
    folder: ClassVar[str] = "cifar-10-batches-bin"
    parts: ClassVar[dict[bool, tuple[str, ...]]] = {
        True: tuple(f"data_batch_{i}.bin" for i in range(1, 6)), False: ("test_batch.bin",)}
    classes: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def read(self) -> tuple[Any, Any]:
        """Images uint8 (N, 3, 32, 32) and labels int64 (N)."""
        archive, = self.files
        path = self.file(archive, self.folder)
        names = [f"{self.folder}/{part}" for part in self.parts[self.train]]
        batches = [cifar_records(content, len(self.classes), f"{path}: {name}") for name, content in contents(path, names)]
        return tuple(np.concatenate([batch[i].data for batch in batches]) for i in (0, 1))  # type: ignore[return-value]


class CIFAR100(CIFAR10):
    """As `CIFAR10`, with a hundred classes, in `cifar-100-binary.tar.gz`. (`read_cifar` gives the coarse labels too.)"""

    files = {"cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"}
    folder = "cifar-100-binary"
    parts = {True: ("train.bin",), False: ("test.bin",)}
    classes = tuple(
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
        "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
        "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
        "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
        "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
        "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
        "trout tulip turtle wardrobe whale willow_tree wolf woman worm".split())


def contents(path: Path, names: list[str]) -> list[tuple[str, bytes]]:
    """The bytes of files in a tar archive, or of a folder that was taken from one. FileError where one is missing."""
    if path.is_dir():
        return [(name, read_bytes(path.parent / name)) for name in names]
    import tarfile

    found = []
    try:
        with tarfile.open(path) as archive:
            for name in names:
                file = archive.extractfile(name)
                assert file is not None
                found.append((name, file.read()))
    except (tarfile.TarError, zlib.error, EOFError, KeyError, OSError, AssertionError) as error:
        raise FileError(f"{path}: truncated or damaged, or not what its name says: {name_of(error)}") from None
    return found


def name_of(error: Exception) -> str:
    """What an error says, or what it is where it says nothing."""
    return str(error) or type(error).__name__

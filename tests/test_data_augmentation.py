"""Augmentation: shapes, dtypes, seeds and ranges of every transform, and what each is to do."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import DataLoader, TensorDataset
from chainrule.data.augmentation import (
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    GaussianNoise,
    Jitter,
    MixUp,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
    Scaling,
    TimeMask,
    TimeShift,
    TimeWarp,
    Transform,
    WindowSlice,
)

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.uniform(0.1, 0.9, (6, 3, 7, 9)).astype(np.float32)
SERIES = RANDOM.uniform(0.1, 0.9, (6, 3, 20)).astype(np.float32)

# What makes each transform; whether it takes integers; the shape of an example afterwards, where it is another one.
TABLE = {
    "crop": (lambda **g: RandomCrop((5, 4), padding=(1, 2), **g), True, (3, 5, 4)),
    "crop reflected": (lambda **g: RandomCrop((7, 9), padding=3, padding_mode="reflect", **g), True, None),
    "flip": (lambda **g: RandomHorizontalFlip(**g), True, None),
    "flip vertically": (lambda **g: RandomVerticalFlip(0.3, **g), True, None),
    "affine": (lambda **g: RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10, **g), False, None),
    "affine nearest": (lambda **g: RandomAffine(20, interpolation="nearest", fill=0.5, **g), False, None),
    "rotation": (lambda **g: RandomRotation((10, 30), **g), False, None),
    "cutout": (lambda **g: Cutout(3, **g), True, None),
    "erasing": (lambda **g: RandomErasing(0.9, **g), True, None),
    "color": (lambda **g: ColorJitter(0.4, 0.4, **g), False, None),
    "noise": (lambda **g: GaussianNoise(0.2, **g), False, None),
    "jitter": (lambda **g: Jitter(0.1, **g), False, None),
    "scaling": (lambda **g: Scaling(0.1, **g), False, None),
    "shift": (lambda **g: TimeShift(5, **g), True, None),
    "shift wrapped": (lambda **g: TimeShift(5, "wrap", **g), True, None),
    "shift held": (lambda **g: TimeShift(5, None, **g), True, None),
    "warp": (lambda **g: TimeWarp(0.5, **g), False, None),
    "window": (lambda **g: WindowSlice(8, **g), True, (3, 8)),
    "window stretched": (lambda **g: WindowSlice(8, stretch=True, **g), False, None),
    "mask": (lambda **g: TimeMask(6, 2, **g), True, None),
}
NAMES = sorted(TABLE)


def examples_for(transform):
    return PICTURES if transform.axes == 3 else SERIES


@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_and_kind(name):
    make, integers, shape = TABLE[name]
    transform = make(generator=1)
    batch = examples_for(transform)
    for dtype in (np.float32, np.float64, np.float16) + ((np.uint8, np.int64) if integers else ()):
        given = (batch * (1 if np.dtype(dtype).kind == "f" else 200)).astype(dtype)
        before = given.copy()
        changed, labels = transform(given, "labels")
        assert type(changed) is np.ndarray and changed.dtype == dtype and labels == "labels"
        assert changed.shape == (len(batch), *(shape or batch.shape[1:]))
        np.testing.assert_array_equal(given, before)  # nothing is changed in place
        one = transform(cr.tensor(given[0]))
        assert isinstance(one, cr.Tensor) and one.shape == changed.shape[1:] and one.dtype == dtype
        assert one.grad_fn is None
    if not integers:
        with pytest.raises(cr.DtypeError, match=rf"{type(transform).__name__}\(uint8\(.*takes floats"):
            transform((batch * 200).astype(np.uint8))
    for wrong in (batch[0, 0], batch[None]):
        with pytest.raises(cr.ShapeError, match=rf"{type(transform).__name__}\(float32.*or a batch of them, \(N, C, "):
            transform(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_change_and_each_example_its_own(name):
    make = TABLE[name][0]
    batch = examples_for(make())
    first, second = make(generator=3), make(generator=cr.Generator(3))
    found = first(batch)
    np.testing.assert_array_equal(found, second(batch))
    assert not np.array_equal(first(batch), found)  # the next call draws anew
    cr.manual_seed(3)
    np.testing.assert_array_equal(make()(batch), found)  # without a generator: the default one
    same = make(generator=3)(np.repeat(batch[:1], 40, 0))
    assert len({example.tobytes() for example in same}) > 1
    assert repr(make()).startswith(type(first).__name__ + "(") and "generator" not in repr(first)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"jitter", "scaling"}))  # which leave the range on purpose
def test_values_stay_in_range(name):
    make = TABLE[name][0]
    found = make(generator=5)(np.repeat(examples_for(make()), 30, 0))
    assert found.min() >= 0 and found.max() <= 1 and np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_examples_are_no_problem(name):
    transform = TABLE[name][0]()
    assert len(transform(examples_for(transform)[:0])) == 0


# ---- pictures

def test_crop_takes_windows_and_every_window():
    picture = np.arange(12.0).reshape(1, 3, 4)
    windows = {picture[:, r: r + 2, c: c + 3].tobytes() for r in range(2) for c in range(2)}
    found = RandomCrop((2, 3), generator=0)(np.repeat(picture[None], 100, 0))
    assert {f.tobytes() for f in found} == windows
    filled = RandomCrop(3, padding=1, fill=7, generator=0)(np.zeros((200, 1, 3, 3)))
    assert {int((f == 7).sum()) for f in filled} == {0, 3, 5}  # in the middle, moved along one axis, along both
    with pytest.raises(cr.ShapeError, match=r"a picture of \(5, 6\) with its padding has no part of size \(6, 6\)"):
        RandomCrop(6, padding=1)(picture)


def test_flips_exchange_sides_as_often_as_asked():
    for transform, axis in ((RandomHorizontalFlip(0.25, generator=0), 3), (RandomVerticalFlip(0.25, generator=0), 2)):
        batch = np.repeat(PICTURES[:1], 2000, 0)
        found = transform(batch)
        flipped = (found == np.flip(batch, axis)).all((1, 2, 3))
        assert (flipped | (found == batch).all((1, 2, 3))).all() and abs(flipped.mean() - 0.25) < 0.05
    for p, expected in ((0.0, PICTURES), (1.0, PICTURES[..., ::-1])):
        np.testing.assert_array_equal(RandomHorizontalFlip(p)(PICTURES), expected)


def test_affine_maps():
    square = RANDOM.normal(size=(2, 1, 6, 6))
    for turns in range(4):
        np.testing.assert_allclose(RandomRotation((90 * turns,) * 2)(square), np.rot90(square, turns, (2, 3)), atol=1e-12)
    np.testing.assert_allclose(RandomAffine(0)(PICTURES), PICTURES, atol=1e-6)
    # Twice as large: each pixel of the middle is four.
    big = RandomAffine(0, scale=(2, 2), interpolation="nearest")(square)
    np.testing.assert_array_equal(big[..., 1:5, 1:5].reshape(2, 1, 2, 2, 2, 2).mean((3, 5)), big[..., 1:5:2, 1:5:2])
    # A linear picture stays linear: read anywhere inside, it says where.
    y, x = np.meshgrid(np.arange(31.0) - 15, np.arange(41.0) - 20, indexing="ij")
    transform = RandomAffine((25, 25), scale=(1.3, 1.3), shear=(10, 10))
    found_x, found_y = (transform(v[None])[0][12:19, 16:25] for v in (x, y))
    angle, lean = np.deg2rad(25), np.deg2rad(10)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # y points down
    inverse = np.linalg.inv(1.3 * turn @ [[1, -np.tan(lean)], [0, 1]])
    expected = np.einsum("ij,jhw->ihw", inverse, np.stack([x, y]))[:, 12:19, 16:25]
    np.testing.assert_allclose(np.stack([found_x, found_y]), expected, atol=1e-9)
    # Moved by at most the part that was asked for, and what is outside is filled.
    dot = np.zeros((300, 1, 21, 11))
    dot[:, 0, 10, 5] = 1
    moved = RandomAffine(0, translate=(0.2, 0.1), interpolation="nearest", generator=0)(dot)
    _, _, rows, columns = np.nonzero(moved)
    assert set(rows) == {8, 9, 10, 11, 12} and set(columns) == {3, 4, 5, 6, 7}
    filled = RandomAffine(0, translate=(1, 1), fill=9, generator=0)(np.zeros((50, 1, 4, 4)))
    assert abs(filled.max() - 9) < 1e-12


@pytest.mark.peers
def test_affine_agrees_with_torch():
    torch = pytest.importorskip("torch")
    grid_sample, affine_grid = torch.nn.functional.grid_sample, torch.nn.functional.affine_grid
    batch = RANDOM.normal(size=(3, 2, 8, 8))
    angle, factor = np.deg2rad(33), 0.8
    # the map from the result to the source, in a square picture's coordinates from -1 to 1, y downwards
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]) / factor
    theirs = grid_sample(torch.tensor(batch), affine_grid(torch.tensor(np.stack([matrix] * 3)), batch.shape, align_corners=False),
                         align_corners=False)
    ours = RandomAffine((33, 33), scale=(factor, factor))(batch)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-12)


def test_erasing_and_cutout_take_rectangles_away():
    ones = np.ones((500, 2, 20, 30))
    found = RandomErasing(0.6, scale=(0.1, 0.2), ratio=(0.5, 2), generator=0)(ones)
    assert (found[:, 0] == found[:, 1]).all()
    gone = found[:, 0] == 0
    part = gone.mean((1, 2))
    assert abs((part > 0).mean() - 0.6) < 0.1 and part.max() < 0.23 and part[part > 0].min() > 0.08
    for mask in gone[part > 0]:
        rows, columns = mask.any(1), mask.any(0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
    found = Cutout(5, value=0.5, generator=0)(ones)
    sizes = (found[:, 0] == 0.5).sum((1, 2))
    assert sizes.max() == 25 and 9 <= sizes.min() < 25 and (sizes == 25).mean() > 0.5


def test_brightness_contrast_and_noise():
    found = ColorJitter(brightness=0.5, generator=0)(np.full((2000, 1, 1, 1), 0.4))
    assert 0.2 <= found.min() < 0.21 and 0.59 < found.max() <= 0.6
    found = ColorJitter(contrast=(0.0, 0.0), clip=None)(PICTURES)
    np.testing.assert_allclose(found, np.broadcast_to(PICTURES.mean((1, 2, 3), keepdims=True), found.shape), atol=1e-6)
    found = ColorJitter(contrast=(3, 3), clip=None)(PICTURES)
    np.testing.assert_allclose(found.mean((1, 2, 3)), PICTURES.mean((1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), 3 * PICTURES.std((1, 2, 3)), rtol=1e-5)
    assert ColorJitter(9.0, 9.0, clip=(0.2, 0.3), generator=1)(PICTURES).max() == np.float32(0.3)
    noise = GaussianNoise(0.1, clip=None, generator=0)(np.zeros((100, 1, 10, 10)))
    assert abs(noise.mean()) < 0.005 and abs(noise.std() - 0.1) < 0.005


def test_normalize():
    found = Normalize([0.1, 0.2, 0.3], [1, 2, 4])(PICTURES)
    np.testing.assert_allclose(found[:, 2], (PICTURES[:, 2] - 0.3) / 4, rtol=1e-5)
    assert found.dtype == np.float32 and Normalize(0.5, 2)(PICTURES[0]).shape == (3, 7, 9)
    with pytest.raises(cr.ShapeError, match="there are 3 channels, 2 means and 1 standard"):
        Normalize([0.1, 0.2], 1)(PICTURES)
    with pytest.raises(ValueError, match="must not be 0"):
        Normalize(0, 0)


# ---- series

def test_series_keep_what_they_should():
    steps = np.arange(20.0)
    line = np.repeat(steps[None, None], 200, 0)
    warped = TimeWarp(0.8, generator=0)(line)
    assert (np.diff(warped) > 0).all()  # time goes on
    np.testing.assert_allclose(warped[:, 0, [0, -1]], np.tile([0.0, 19.0], (200, 1)), atol=1e-9)
    assert abs(warped - line).max() > 1
    parts = WindowSlice(6, generator=0)(line)
    assert (np.diff(parts) == 1).all() and {int(p) for p in parts[:, 0, 0]} == set(range(15))
    stretched = WindowSlice(6, stretch=True, generator=0)(line)
    np.testing.assert_allclose(stretched[:, 0, -1] - stretched[:, 0, 0], 5)
    shifted = TimeShift(3, fill=-1, generator=0)(line)
    assert {tuple(s[0]) for s in shifted} == {tuple(np.where((steps - k >= 0) & (steps - k < 20), steps - k, -1))
                                              for k in range(-3, 4)}
    assert {tuple(s[0]) for s in TimeShift(2, "wrap", generator=0)(line)} == {tuple(np.roll(steps, k)) for k in range(-2, 3)}
    held = TimeShift(2, None, generator=0)(line)
    assert {tuple(s[0]) for s in held} == {tuple(np.clip(steps - k, 0, 19)) for k in range(-2, 3)}
    masked = TimeMask(4, generator=0)(line + 1) == 0
    assert set(masked.sum(2)[:, 0]) == {0, 1, 2, 3, 4} and (abs(np.diff(masked.astype(int))).sum(2) <= 2).all()
    scaled = Scaling(0.2, generator=0)(np.ones((500, 2, 3)))
    assert (scaled == scaled[..., :1]).all() and abs(scaled[..., 0].std() - 0.2) < 0.02
    assert abs(Jitter(0.2, generator=0)(line) - line).std() > 0.1
    for one_step in (TimeWarp(), TimeShift(3), TimeMask(3)):
        assert one_step(np.ones((2, 1))).shape == (2, 1)
    with pytest.raises(cr.ShapeError, match="there are no 30 steps"):
        WindowSlice(30)(line)


# ---- mixing

def test_mixup_mixes_examples_and_labels_alike():
    batch, labels = np.eye(8).reshape(8, 1, 1, 8).astype(np.float32), np.arange(8)
    pictures, targets = MixUp(alpha=0.7, num_classes=8, generator=0)(batch, labels)
    np.testing.assert_allclose(pictures.data.reshape(8, 8), targets.data, atol=1e-6)  # each picture says what is in it
    assert pictures.dtype == targets.dtype == cr.float32 and 0.01 < targets.data.diagonal().min() < 0.99
    again, _ = MixUp(alpha=0.7, num_classes=8, generator=0)(batch, labels)
    np.testing.assert_array_equal(pictures.data, again.data)
    _, soft = MixUp(generator=1)(cr.tensor(batch), cr.tensor(np.eye(8)))
    assert soft.dtype == cr.float64 and abs(soft.data.sum(1) - 1).max() < 1e-12
    vectors, _ = MixUp(generator=0)(np.ones((3, 2)), np.eye(3))
    assert vectors.shape == (3, 2)


def test_cutmix_counts_the_area():
    count = 200
    batch = np.broadcast_to(np.arange(count)[:, None, None, None], (count, 1, 9, 12)).astype(np.float64)
    pictures, targets = CutMix(num_classes=count, generator=0)(batch, np.arange(count))
    for i in range(count):
        values, areas = np.unique(pictures.data[i], return_counts=True)
        for value, area in zip(values, areas, strict=True):
            assert abs(targets.data[i, int(value)] - area / 108) < 1e-6
    own = targets.data.diagonal()
    assert own.min() < 0.2 and own.max() > 0.9 and abs(targets.data.sum(1) - 1).max() < 1e-6
    with pytest.raises(cr.ShapeError, match=r"takes a batch of pictures \(N, C, H, W\)"):
        CutMix(num_classes=2)(np.ones((2, 3)), [0, 1])


def test_mixing_what_cannot_be():
    for wrong, labels, kind, problem in [
            (np.ones((2, 3)), [0, 1, 1], cr.ShapeError, "takes a batch"),
            (np.ones((2, 3), np.uint8), [0, 1], cr.DtypeError, "takes floats"),
            (np.ones((2, 3)), [0.5, 1.0], cr.DtypeError, "numbers of classes"),
            (np.ones((2, 3)), [0, 2], ValueError, "labels from 0 to 2, there are 2 classes")]:
        with pytest.raises(kind, match=problem):
            MixUp(num_classes=2)(wrong, labels)
    with pytest.raises(cr.DtypeError, match="with num_classes"):
        MixUp()(np.ones((2, 3)), [0, 1])
    with pytest.raises(ValueError, match="alpha=0 must be above 0"):
        MixUp(alpha=0)


# ---- together

def test_composed_in_a_loader_with_any_number_of_workers():
    transform = Compose([RandomCrop((7, 9), padding=1), RandomHorizontalFlip(), GaussianNoise(0.1),
                         MixUp(num_classes=6), Normalize(0.5, 0.5)])
    data = TensorDataset(PICTURES, np.arange(6), transform=transform)
    loaders = [DataLoader(data, 2, shuffle=True, num_workers=n, generator=4) for n in (0, 3)]
    found = [[(x.tolist(), y.tolist()) for _ in range(2) for x, y in loader] for loader in loaders]
    assert found[0] == found[1] and found[0][:3] != found[0][3:]
    assert repr(Compose([Cutout(3)])) == "Compose([Cutout(size=3, value=0.0)])"
    one, label = TensorDataset(PICTURES, np.arange(6), transform=Cutout(3))[2]
    assert one.shape == (3, 7, 9) and label.item() == 2


@pytest.mark.parametrize("make", [
    lambda: RandomCrop(0), lambda: RandomCrop(3, padding=-1), lambda: RandomCrop(3, padding_mode="wrap"),
    lambda: RandomHorizontalFlip(1.5), lambda: RandomAffine(-5), lambda: RandomAffine(5, translate=(2, 0)),
    lambda: RandomAffine(5, scale=(0, 1)), lambda: RandomAffine(5, interpolation="cubic"), lambda: RandomErasing(scale=(0.5, 2)),
    lambda: RandomErasing(ratio=(0, 1)), lambda: RandomErasing(p=-1), lambda: Cutout(-1), lambda: ColorJitter(-0.5),
    lambda: ColorJitter(clip=(1, 0)), lambda: GaussianNoise(-1), lambda: Jitter(-1), lambda: Scaling(-1),
    lambda: TimeShift(-1), lambda: TimeWarp(-1), lambda: TimeWarp(knots=1), lambda: WindowSlice(0), lambda: TimeMask(-1)])
def test_arguments_that_cannot_be(make):
    with pytest.raises(ValueError, match=r"^\w+: "):
        make()


def test_a_transform_without_apply_says_so():
    class Nothing(Transform):
        axes = 2

    with pytest.raises(NotImplementedError, match=r"Nothing has no apply\(batch\)"):
        Nothing()(SERIES)

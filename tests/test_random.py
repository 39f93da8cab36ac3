"""Random numbers: published test vectors, committed values, distributions, states; and dropout's masks."""

import threading
from math import sqrt
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional, random
from chainrule.kernels.reference.random import CHUNK, philox, philox_rounds
from chainrule.random import Generator, default_generator, random_bits

# from the file kat_vectors of the authors' library Random123: counter, key, output
PUBLISHED = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


# draws of this generator, in the order of test_committed_values; a change here breaks everyone's seeds
BITS = [2592828275, 1153470534, 4228819385]
RAND = [0.6036898493766785, 0.26856327056884766, 0.984598696231842]
RAND64 = [0.2975577014050388, 0.4488633661056204]
RANDINT = [484, 292, 929, 168]
RANDPERM = [0, 3, 2, 5, 1, 4]
BERNOULLI = [1, 0, 1, 1, 0, 0, 1, 0]
RANDN = [-1.4197083711624146, 0.5090623497962952, -2.0932705402374268]
RANDN64 = [-0.5366614788433401, -0.38623700262193206, 0.09571516580346551]


@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_published_vectors(counter: Any, key: Any, expected: Any) -> None:
    assert philox_rounds([[c] for c in counter], key)[:, 0].tolist() == list(expected)


def test_the_counter_is_the_position_and_the_draw() -> None:
    """Words 4i … 4i + 3 of a draw are those of the counter (i, draw) under the seed, across the kernel's chunks too."""
    seed, draw = 0x299F31D0_A4093822, 0x03707344_13198A2E
    bits = philox((seed, draw), (4 * CHUNK + 10,))
    for i in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1):
        expected = philox_rounds([[i], [0], [0x13198A2E], [0x03707344]], (0xA4093822, 0x299F31D0))[:, 0]
        assert bits[4 * i:4 * i + 4].tolist() == expected.tolist()
    assert philox((seed, draw), (2, 3)).reshape(-1).tolist() == bits[:6].tolist()
    assert philox((1, 2), ()).shape == () and philox((1, 2), (0, 3)).shape == (0, 3)


def test_committed_values() -> None:
    """The same seed gives the same bits, run after run and release after release."""
    g = Generator(2024)
    assert random_bits((2024, 0), (3,)).tolist() == BITS
    np.testing.assert_array_equal(cr.rand(3, generator=g).numpy(), np.array(RAND, np.float32))
    np.testing.assert_array_equal(cr.rand(2, generator=g, dtype=cr.float64).numpy(), RAND64)
    assert cr.randint(-5, 1000, (4,), generator=g).tolist() == RANDINT
    assert cr.randperm(6, generator=g).tolist() == RANDPERM
    assert cr.bernoulli(cr.full((8,), 0.5), generator=g).tolist() == BERNOULLI
    # the logarithm and the cosine may differ in the last place between processors
    np.testing.assert_allclose(cr.randn(3, generator=g).numpy(), RANDN, rtol=1e-5)
    np.testing.assert_allclose(cr.randn(3, generator=g, dtype=cr.float64).numpy(), RANDN64, rtol=1e-13)


def test_same_seed_same_bits() -> None:
    def draws() -> list[Any]:
        return [cr.rand(5).tolist(), cr.randn(4).tolist(), cr.randint(9, (3,)).tolist(), cr.zeros(3).normal_().tolist(),
                functional.dropout(cr.ones(9)).tolist(), cr.multinomial(cr.ones(5), 3).tolist()]

    cr.manual_seed(3)
    first = draws()
    second = draws()
    cr.manual_seed(3)
    assert draws() == first != second


def test_states_and_separate_generators() -> None:
    g = Generator(5)
    cr.rand(2, generator=g)
    state = g.get_state()
    a = cr.rand(2, generator=g).tolist()
    g.set_state(state)
    assert cr.rand(2, generator=g).tolist() == a
    cr.manual_seed(0)
    now = random.get_rng_state()
    cr.rand(2, generator=g)
    assert random.get_rng_state() == now == (0, 0)
    b = cr.rand(2).tolist()
    random.set_rng_state(now)
    assert cr.rand(2).tolist() == b
    assert g.initial_seed() == 5 and Generator(-1).initial_seed() == 2**64 - 1
    assert Generator().initial_seed() != Generator().initial_seed()
    for wrong, kind in ((1.5, TypeError), ("1", TypeError), (2**64, ValueError)):
        with pytest.raises(kind, match="manual_seed"):
            cr.manual_seed(wrong)
    with pytest.raises(ValueError, match="set_state"):
        g.set_state("nonsense")
    with pytest.raises(TypeError, match="Generator"):
        cr.rand(2, generator=7)  # type: ignore[arg-type]


def test_threads_get_different_draws() -> None:
    cr.manual_seed(11)
    found: list[float] = []
    threads = [threading.Thread(target=lambda: [found.append(cr.rand(()).item()) for _ in range(50)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(found)) == 200 and default_generator.get_state() == (11, 200)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_distributions(dtype: Any) -> None:
    """Moments of 40,000 draws within five standard errors, and the range."""
    n, g = 40_000, Generator(1)
    u = cr.rand(n, dtype=dtype, generator=g).numpy().astype(np.float64)
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 5 / sqrt(12 * n)
    assert abs(u.var() - 1 / 12) < 5 * sqrt(1 / 180 / n)
    z = cr.randn(n + 1, dtype=dtype, generator=g).numpy().astype(np.float64)[:n]
    assert np.isfinite(z).all() and abs(z.mean()) < 5 / sqrt(n) and abs(z.var() - 1) < 5 * sqrt(2 / n)
    assert abs((z**3).mean()) < 5 * sqrt(15 / n) and abs((z**4).mean() - 3) < 5 * sqrt(96 / n)
    assert abs((z[:-1] * z[1:]).mean()) < 5 / sqrt(n)
    assert cr.rand(3, dtype=dtype).dtype == cr.randn(3, dtype=dtype).dtype == dtype


def test_integers_and_permutations() -> None:
    g = Generator(2)
    counts = np.bincount(cr.randint(0, 7, (7000,), generator=g).numpy(), minlength=7)
    assert len(counts) == 7 and abs(counts - 1000).max() < 5 * sqrt(1000)
    wide = cr.randint(-2**63, 2**63, (1000,), generator=g).numpy()
    assert (wide < 0).any() and (wide > 0).any() and np.abs(wide.astype(float)).max() > 2**62
    assert cr.randint(0, 2, (3,), dtype=cr.int32).dtype == np.int32
    p = cr.randperm(1000, generator=g).tolist()
    assert sorted(p) == list(range(1000)) != p
    with pytest.raises(ValueError, match="no integer of at least 3 below 3"):
        cr.randint(3, 3, (2,))


def test_multinomial_and_bernoulli() -> None:
    g = Generator(3)
    weights = cr.tensor([1.0, 0.0, 3.0, 4.0])
    counts = np.bincount(cr.multinomial(weights, 8000, True, generator=g).numpy(), minlength=4)
    assert counts[1] == 0 and (np.abs(counts - np.array([1000, 0, 3000, 4000])) < 5 * sqrt(2000)).all()
    rows = cr.multinomial(weights.expand(2000, 4), 2, generator=g).numpy()
    assert rows.shape == (2000, 2) and (rows[:, 0] != rows[:, 1]).all() and (rows != 1).all()
    assert (np.abs(np.bincount(rows[:, 0], minlength=4) - np.array([250, 0, 750, 1000])) < 5 * sqrt(500)).all()
    ones = cr.bernoulli(cr.full((8000,), 0.25), generator=g).sum().item()
    assert abs(ones - 2000) < 5 * sqrt(1500)
    assert cr.bernoulli(cr.zeros(3, dtype=cr.int64), p=1.0).tolist() == [1, 1, 1]
    for bad, match in ((cr.tensor([-1.0, 2.0]), "at least 0"), (cr.zeros(3), "one above 0"), (cr.tensor([float("nan")]),
                                                                                              "finite")):
        with pytest.raises(ValueError, match=match):
            cr.multinomial(bad, 1)
    with pytest.raises(ValueError, match="fewer weights above 0"):
        cr.multinomial(weights, 4)
    with pytest.raises(ValueError, match="between 0 and 1"):
        cr.bernoulli(cr.tensor([1.5]))


def test_normal_of_tensors() -> None:
    g = Generator(4)
    z = cr.normal(cr.zeros(3, 1, dtype=cr.float64), cr.ones(5, dtype=cr.float64), generator=g)
    assert z.shape == (3, 5) and z.dtype == np.float64 and not cr.normal(cr.zeros(2, requires_grad=True)).requires_grad
    assert cr.normal(cr.full((2,), 3.0), 0.0).tolist() == [3, 3]
    with pytest.raises(ValueError, match="negative"):
        cr.normal(cr.zeros(2), -1.0)


def test_in_place_draws() -> None:
    leaf = cr.zeros(4, requires_grad=True)
    for draw in (leaf.normal_, leaf.uniform_, leaf.bernoulli_):
        with pytest.raises(cr.AutogradError, match="leaf"):
            draw()
    with cr.no_grad():
        assert leaf.uniform_(2.0, 3.0) is leaf
    assert (leaf.numpy() >= 2).all() and (leaf.numpy() < 3).all() and leaf.is_leaf
    x = cr.ones(3, requires_grad=True)
    y = x * 2
    y[:2].normal_()
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0, 2]
    narrow = cr.zeros(1000, dtype=cr.float16).uniform_(1.0, 1.001)
    assert (narrow.numpy() < np.float16(1.001)).all()
    assert cr.zeros(3).bernoulli_(cr.tensor([0.0, 1.0, 1.0])).tolist() == [0, 1, 1]
    with pytest.raises(cr.DtypeError, match="normal_"):
        cr.zeros(3, dtype=cr.int64).normal_()


# ---- dropout


def test_dropout_keeps_the_mean_and_masks_the_gradient() -> None:
    x = cr.ones(20_000, requires_grad=True)
    y = functional.dropout(x, 0.3, generator=Generator(1))
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.7) < 5 * sqrt(0.21 / 20_000) and np.allclose(y.numpy()[kept], 1 / 0.7)
    y.sum().backward()
    assert x.grad is not None and (x.grad.numpy() == y.numpy()).all()


def test_nothing_happens_in_evaluation() -> None:
    x = cr.randn(2, 3, 4)
    state = random.get_rng_state()
    for f in (functional.dropout, functional.dropout1d, functional.alpha_dropout, functional.feature_alpha_dropout):
        assert f(x, 0.5, training=False) is x
        assert f(x, 0.0, training=True) is x
    assert random.get_rng_state() == state


@pytest.mark.parametrize(("f", "shape"), [(functional.dropout1d, (50, 4, 3)), (functional.dropout2d, (50, 4, 3, 2)),
                                          (functional.dropout3d, (50, 4, 1, 3, 2)), (functional.dropout1d, (50, 3)),
                                          (functional.feature_alpha_dropout, (50, 4, 6))])
def test_whole_channels_are_dropped(f: Any, shape: Any) -> None:
    y = f(cr.ones(shape), 0.5, training=True, generator=Generator(0)).numpy()
    lead = 1 if len(shape) == 2 else 2
    channels = y.reshape(*shape[:lead], -1)
    assert (channels == channels[..., :1]).all() and len(np.unique(channels)) == 2


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    n = 40_000
    y = functional.alpha_dropout(cr.randn(n, generator=Generator(1)), 0.2, training=True,
                                 generator=Generator(2)).numpy()
    assert abs(y.mean()) < 6 / sqrt(n) and abs(y.var() - 1) < 0.05
    assert functional.alpha_dropout(cr.ones(3), 1.0, training=True).tolist() == [0, 0, 0]


def test_dropout_in_place_and_in_a_checkpoint() -> None:
    x = cr.ones(100, requires_grad=True)
    y = x * 3
    z = functional.dropout(y, 0.5, inplace=True, generator=Generator(6))
    assert z is y and set(y.tolist()) == {0.0, 6.0}
    y.sum().backward()
    assert x.grad is not None and (x.grad.numpy() == y.numpy()).all()  # both are 3 times the mask's 0 or 2
    w = cr.ones(100, requires_grad=True)
    cr.manual_seed(1)
    out = cr.checkpoint(lambda t: functional.dropout(t * t, 0.5), w)
    out.sum().backward()
    assert w.grad is not None and (w.grad.numpy() == 2 * out.numpy()).all()


def test_dropout_refuses() -> None:
    with pytest.raises(ValueError, match=r"dropout\(p=1.5\)"):
        functional.dropout(cr.ones(3), 1.5)
    with pytest.raises(cr.DtypeError, match="takes floats"):
        functional.dropout(cr.arange(3))
    with pytest.raises(cr.ShapeError, match=r"dropout2d\(float32\(3, 4\)\): takes \(N, C, L, L\)"):
        functional.dropout2d(cr.ones(3, 4))


def test_drawing_from_takes_the_place_of_the_default_generator_in_its_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    cr.manual_seed(3)
    before = cr.random.get_rng_state()
    own = cr.Generator(8)
    with cr.random.drawing_from(own) as inside:
        assert inside is own
        drawn = cr.rand(3), functional.dropout(cr.ones(50))
        with cr.random.drawing_from(cr.Generator(9)):
            deeper = cr.rand(3)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(cr.random.get_rng_state).result() == before
        assert cr.random.get_rng_state() == own.get_state() == (8, 2)
        assert cr.manual_seed(8) is own
        assert cr.random.initial_seed() == 8 and (cr.rand(3) == drawn[0]).all()
    assert cr.random.get_rng_state() == before
    assert (cr.rand(3, generator=cr.Generator(9)) == deeper).all() and not (deeper == drawn[0]).any()
    with pytest.raises(KeyError):
        with cr.random.drawing_from(own):
            raise KeyError
    assert cr.random.get_rng_state() == before

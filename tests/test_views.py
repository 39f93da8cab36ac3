"""Views share memory, and in-place writes are recorded: gradients through both; test_views_refused.py has what is refused."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.tensor import Tensor

X = np.array([[0.7, -1.2, 0.4, 1.9], [-0.3, 0.8, -1.5, 0.6], [1.1, -0.9, 0.2, -1.7]])
W = np.array([0.5, -0.8, 1.3, 0.9])


def weighted(t: Tensor) -> Tensor:
    """A sum in which every element counts differently."""
    return (t * Tensor(np.cos(np.arange(t.numel()) + 0.5).reshape(t.shape)) * t).sum()


def write_to_a_view(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    h[1:].copy_(x[:2] * w)
    return weighted(h)


def older_sibling(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    sibling = h[0:2]  # made before the write, sees it
    h[1:3].mul_(w)
    return weighted(sibling) + h.sum()


def view_of_a_view(x: Tensor, w: Tensor) -> Tensor:
    h = x * 1.5
    v = h[0:2][1]
    h[1:2, 1:3] = w[:2]
    return weighted(v)


def write_through_transposed(x: Tensor, w: Tensor) -> Tensor:
    h = x * 1.5
    h.T[1:3].transpose(0, 1)[0] = w[:2]
    h.permute(1, 0).unsqueeze(0)[0, 3].mul_(2.0)
    return weighted(h)


def base_in_another_order(x: Tensor, w: Tensor) -> Tensor:
    h = x.T * 2.0  # elementwise results keep the order in memory, so that h.T can be seen flat, although h cannot
    h.T.view(-1)[2:6] = w
    return weighted(h) + x.sum()


def constant_buffer(x: Tensor, w: Tensor) -> Tensor:
    h = cr.zeros_like(x.detach())
    column = h[:, 1]
    h[1] = w * w
    h[0, 1:3] = x[0, :2] * w[0]
    return weighted(h) + weighted(column)


def loop_over_rows(x: Tensor, w: Tensor) -> Tensor:
    h = x * 1.0
    for i in range(1, 3):
        h[i] += h[i - 1] * 0.5 + w
    return weighted(h)


def masks_and_arrays(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    h[Tensor(X > 0.5)] = w[0]
    h[[0, 2], [1, 0]] = w[2:]
    h[:, Tensor(np.array([3, 0]))] *= w[:2]
    return weighted(h)


def many_methods(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    h.add_(w)
    h -= x
    h[0].sub_(0.5)
    h[:, 1].mul_(h[:, 2].clone())  # the multiplication keeps both; what is written over is kept as a copy
    h /= w * w + 1.0
    h[1].div_(2.0)
    h.masked_fill_(Tensor(X < -1.0), 3.0)
    h.index_add_(0, Tensor(np.array([1, 1])), x[:2] * w)
    h.scatter_(1, Tensor(np.array([[0], [3], [1]])), x[:, 2:3])
    h.scatter_add_(1, Tensor(np.array([[0, 0], [3, 3], [1, 2]])), x[:, :2] * w[1])
    h[2].exp_()
    h[1].neg_()
    h[0, 0].zero_()
    h[:, 3].fill_(0.25)
    h.addcmul_(x, w, value=0.5)
    h[1:].addcdiv_(x[1:], w + 2.0, value=-1.5)
    h.fill_diagonal_(0.5)
    return weighted(h)


def diagonal_and_flat(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    h.diagonal().mul_(w[:3])
    h.view(2, 6)[1, ::-2] = w[1:]
    h.reshape(-1).narrow(0, 2, 2).add_(w[0])
    return weighted(h)


def overwritten_whole(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    before = h.sum()
    h.copy_(w)
    return weighted(h) * before


def shifted_onto_itself(x: Tensor, w: Tensor) -> Tensor:
    h = x * w
    h[1:] = h[:-1]
    return weighted(h)


def leading_axes_of_size_1(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    h[0] = w.reshape(1, 1, 4)
    h[:, 1] = x[0, 0]
    return weighted(h)


def constant_times_recorded(x: Tensor, w: Tensor) -> Tensor:
    h = Tensor(X.copy())
    h *= x  # x's derivative needs what h was
    h[0] *= w
    return weighted(h)


def split_and_chunk(x: Tensor, w: Tensor) -> Tensor:
    h = x * 2.0
    left, right = h.split([1, 3], dim=1)
    rows = h.unbind()
    left.mul_(w[0])
    rows[2].add_(w)
    return weighted(right) + weighted(h) + weighted(rows[1])


def through_detach(x: Tensor, w: Tensor) -> Tensor:
    h = x + w  # keeps nothing
    h.detach()[0] = 0.0 * h.detach()[0] + h.detach()[0] * 1.0
    return weighted(h)


FUNCTIONS = [write_to_a_view, older_sibling, view_of_a_view, write_through_transposed, base_in_another_order,
             constant_buffer, loop_over_rows, masks_and_arrays, many_methods, diagonal_and_flat, overwritten_whole,
             shifted_onto_itself, leading_axes_of_size_1, constant_times_recorded, split_and_chunk, through_detach]
each_function = pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)


def leaves() -> tuple[Tensor, Tensor]:
    return Tensor(X.copy(), requires_grad=True), Tensor(W.copy(), requires_grad=True)


def numeric(f: Callable[..., Tensor], position: int, step: float = 1e-6) -> np.ndarray:
    """Central differences of f by the input at `position`."""
    arrays = [X, W]
    out = np.zeros_like(arrays[position])
    for i in np.ndindex(out.shape):
        ends = []
        for sign in (1, -1):
            given = [a.copy() for a in arrays]
            given[position][i] += sign * step
            ends.append(f(*map(Tensor, given)).item())
        out[i] = (ends[0] - ends[1]) / (2 * step)
    return out


@each_function
def test_gradient_through_writes(f: Callable[..., Tensor]) -> None:
    x, w = leaves()
    f(x, w).backward()
    for position, leaf in enumerate((x, w)):
        found = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.data
        np.testing.assert_allclose(found, numeric(f, position), rtol=1e-6, atol=1e-7)


@each_function
def test_second_derivative_through_writes(f: Callable[..., Tensor]) -> None:
    x, w = leaves()

    def total(x: Tensor, w: Tensor) -> Tensor:
        found = cr.grad(f(x, w), [x, w], create_graph=True, allow_unused=True)
        return sum((weighted(g) for g in found if g is not None), start=0 * x.sum())

    first = total(x, w)
    found = cr.grad(first, [x, w], allow_unused=True)
    for position, g in enumerate(found):
        shape = (X, W)[position].shape
        out = np.zeros(shape)
        for i in np.ndindex(shape):
            ends = []
            for sign in (1, -1):
                given = [X.copy(), W.copy()]
                given[position][i] += sign * 1e-5
                ends.append(total(*(Tensor(a, requires_grad=True) for a in given)).item())
            out[i] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(np.zeros(shape) if g is None else g.data, out, rtol=1e-5, atol=1e-6)


@each_function
def test_writes_leave_no_cycles(f: Callable[..., Tensor]) -> None:
    x, w = leaves()
    gc.collect()
    gc.disable()
    try:
        out = f(x, w)
        out.backward()
        nodes = [weakref.ref(out.node)]
        while (node := nodes[-1]()) is not None and node.parents:
            nodes.append(weakref.ref(next(p for p in node.parents if p is not None)))
        del node, out
        assert [r() for r in nodes if r() is not None and r().op is not None] == []
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_views_share_memory_and_copies_do_not() -> None:
    views: list[Callable[[Tensor], Any]] = [
        lambda t: t[1:], lambda t: t[0, 1], lambda t: t[::-1], lambda t: t[None], lambda t: t[..., 0], lambda t: t.T,
        lambda t: t.mT,
        lambda t: t.view(-1), lambda t: t.reshape(2, 6), lambda t: t.flatten(), lambda t: t.unflatten(1, (2, 2)),
        lambda t: t.t(),
        lambda t: t.permute(1, 0), lambda t: t.transpose(0, 1), lambda t: t.movedim(0, 1),
        lambda t: t.unsqueeze(0).squeeze(0),
        lambda t: t.expand(2, 3, 4), lambda t: t.diagonal(), lambda t: t.narrow(0, 1, 1), lambda t: t.select(0, 1),
        lambda t: t.chunk(2)[0],
        lambda t: t.split(1, dim=1)[2], lambda t: t.unbind(1)[0], lambda t: t.unfold(1, 2, 2), lambda t: t.detach(),
        lambda t: t[cr.tensor(1)],
    ]
    copies: list[Callable[[Tensor], Any]] = [
        lambda t: t.clone(), lambda t: t[[0, 1]], lambda t: t[Tensor(X > 0)], lambda t: t.flip(0),
        lambda t: t.roll(1, 0), lambda t: t.repeat(1, 1),
        lambda t: t.tile(1), lambda t: t.T.contiguous(), lambda t: t.T.reshape(-1), lambda t: t.tril(5),
        lambda t: t.diag(),
        lambda t: cr.cat([t]), lambda t: t.index_select(0, cr.tensor([0])), lambda t: t.repeat_interleave(1, 0),
        lambda t: t.masked_fill(Tensor(X > 99), 0), lambda t: cr.pad(t, (0, 0)), lambda t: cr.pad(t, (0, 0), "reflect"),
    ]
    for i, f in enumerate(views):
        t = Tensor(X.copy())
        v = f(t)
        assert v._version is t._version, f"view {i} has a count of writes of its own"
        t.fill_(5.0)
        assert (v.data == 5).all(), f"view {i} did not see the write"
    for i, f in enumerate(copies):
        t = Tensor(X.copy())
        c = f(t)
        c.fill_(5.0)
        np.testing.assert_array_equal(t.data, X, err_msg=f"copy {i} wrote to its source")


def test_a_view_made_without_recording_stays_without_history() -> None:
    x, _ = leaves()
    h = x * 2.0
    with cr.no_grad():
        v = h[0]
        leaf_view = x[0]
        x.mul_(1.0)
        h.mul_(1.0)
    assert not v.requires_grad and not leaf_view.requires_grad


def test_a_leaf_made_of_a_view_stays_a_leaf() -> None:
    w = cr.zeros_like(Tensor(X)).T.requires_grad_()
    with cr.no_grad():
        w.add_(1.0)
    assert w.requires_grad and w.is_leaf
    (w * 3.0).sum().backward()
    assert w.grad is not None and (w.grad.data == 3).all()


def test_assigning_data() -> None:
    x, w = leaves()
    view = x[0]
    x.data = np.zeros((2, 2))
    assert x.requires_grad and x.shape == (2, 2)
    (x * 3.0).sum().backward()
    assert x.grad is not None and x.grad.shape == (2, 2)
    np.testing.assert_array_equal(view.data, X[0])  # shows the old memory
    view.mul_(2.0)
    assert (x.data == 0).all()
    h = w * 2.0
    with pytest.raises(cr.AutogradError, match="only a leaf's data can be replaced"):
        h.data = np.zeros(4)
    h.sum().backward()  # and the refused assignment changed nothing
    np.testing.assert_array_equal(h.data, W * 2)
    y = (w * w).sum()
    w.data = W + 1
    with pytest.raises(cr.AutogradError, match="changed in place"):
        y.backward()


def test_retain_grad_follows_a_write() -> None:
    x, _ = leaves()
    h = x * 2.0
    h.retain_grad()
    h.mul_(3.0)
    h.sum().backward()
    assert h.grad is not None and (h.grad.data == 1).all()
    assert x.grad is not None and (x.grad.data == 6).all()


def test_a_write_over_everything_cuts_the_old_history() -> None:
    x, w = leaves()
    h = x * 2.0
    h.copy_(w)
    assert cr.grad(h.sum(), x, allow_unused=True) == (None,)
    h = x * 2.0
    h.zero_()
    h.sum().backward()
    assert h.requires_grad and x.grad is not None and (x.grad.data == 0).all()


def test_augmented_assignment_writes_once() -> None:
    x, _ = leaves()
    h = x * 1.0
    first = h.node
    h[0] += 1.0
    assert h.node.op.name == "write" and h.node.parents[0] is first
    for index in ((0, 1), slice(None, None, 2), (Ellipsis, 1)):
        before = h.node
        h[index] *= 2.0
        assert h.node.parents[0] is before


def test_random_programs_of_views_and_writes() -> None:
    """Against a plain NumPy program: what a sequence of writes through views of views does to the values."""
    rng = np.random.default_rng(3)
    steps: list[Callable[[Any], Any]] = [
        lambda a: a[1:], lambda a: a[::-1], lambda a: a[..., ::2], lambda a: a.T, lambda a: a[None],
        lambda a: a[0, ...]]
    for _ in range(100):
        array = rng.normal(size=(3, 4, 2))
        leaf = Tensor(array.copy(), requires_grad=True)
        ours, theirs = [leaf * 1.0], [array.copy()]
        factors = np.ones_like(array)
        marks = [factors]
        for _ in range(6):
            k = int(rng.integers(len(ours)))
            step = steps[int(rng.integers(len(steps)))]
            if theirs[k].ndim and theirs[k].shape[0] > 1:
                ours.append(step(ours[k]))
                theirs.append(step(theirs[k]))
                marks.append(step(marks[k]))
            j = int(rng.integers(len(ours)))
            factor = float(rng.uniform(0.5, 2.0))
            ours[j].mul_(factor)
            theirs[j][...] *= factor
            marks[j][...] *= factor
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.data, b, rtol=1e-12)
        k = int(rng.integers(len(ours)))
        ours[k].sum().backward()
        chosen = np.zeros_like(array)
        position = np.arange(array.size).reshape(array.shape)
        # which elements of the base the k-th view shows: read off a copy in which each holds its own number
        shown = _replay(ours[k], position)
        np.add.at(chosen.reshape(-1), shown.reshape(-1), 1.0)
        assert leaf.grad is not None
        np.testing.assert_allclose(leaf.grad.data, chosen * factors, rtol=1e-12)


def _replay(view: Tensor, position: np.ndarray) -> np.ndarray:
    """The elements that a view shows of an array in place of its base."""
    if view._view is None:
        return position
    found: np.ndarray = cr.kernels.reference.read(position, path=view._view.path)
    return found


@pytest.mark.parametrize("split", [
    lambda x: [x[i] for i in range(5)], lambda x: x.unbind(0), lambda x: [x[1:4], x[2], x[..., 1], x[::-2, None], x[4]],
    lambda x: [x[np.array([1, 1, 3])], x[0], x[x.data > 0], x[2:]], lambda x: [x * 2, x[1], x[1], x.sum(0)]])
def test_gradients_of_parts_are_added_in_place(split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first part's gradient makes an array of the walk's own, the others are added to it: never to anybody else's."""
    added = []
    kernel = cr.kernels.cpu.add_at
    monkeypatch.setattr(cr.kernels.cpu, "add_at", lambda out, g, *, index: (added.append(index), kernel(out, g, index=index)))
    x = Tensor(np.random.default_rng(0).normal(size=(5, 3)), requires_grad=True)

    def f(x: Tensor) -> Tensor:
        total = cr.zeros((), dtype=cr.float64)
        for k, part in enumerate(split(x)):
            total = total + (part * part * (k + 1)).sum()
        return total

    g = cr.tensor(1.0, dtype=cr.float64)
    first, = cr.grad(f(x), x, g)
    assert added and g.item() == 1
    recorded, = cr.grad(f(x), x, create_graph=True)  # by the formulas alone
    np.testing.assert_allclose(first.data, recorded.data, rtol=1e-12)
    assert cr.gradcheck(f, (x,)) and cr.gradgradcheck(f, (x,))

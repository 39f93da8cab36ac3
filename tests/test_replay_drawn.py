"""Small programs drawn at random, with views, writes in place and reuse of everything, replay to the bits of an eager run."""

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.tensor import Tensor

SIZE = 4  # every tensor of a program is (SIZE, SIZE), so that any may be combined with any

UNARY: dict[str, Any] = {
    "relu": lambda a: a.relu(), "tanh": lambda a: a.tanh(), "square": lambda a: a.square(), "negative": lambda a: -a,
    "transpose": lambda a: a.mT, "rows": lambda a: a[cr.tensor([2, 0, 0, 3])], "flip": lambda a: a.flip(0),
    "softmax": lambda a: a.softmax(1), "sum": lambda a: a.sum(1, keepdim=True).expand(SIZE, SIZE), "clone": lambda a: a.clone(),
    "mean": lambda a: a - a.mean(0), "detach": lambda a: a.detach(), "part": lambda a: cr.cat([a[2:], a[:2]]),
    "roll": lambda a: a.roll(1, 1), "double": lambda a: (a.double() * 0.5).float(),
    "reshape": lambda a: a.reshape(2, 8).reshape(SIZE, SIZE),
    "dropout": lambda a: cr.functional.dropout(a, 0.4),
}
BINARY: dict[str, Any] = {
    "add": lambda a, b: a + b, "multiply": lambda a, b: a * b, "subtract": lambda a, b: a - b, "matmul": lambda a, b: a @ b * 0.25,
    "maximum": lambda a, b: cr.maximum(a, b), "where": lambda a, b: cr.where(a > 0, a, b), "row": lambda a, b: a + b[0],
    "linear": lambda a, b: cr.functional.linear(a, b, b[1]) * 0.25,
}
WRITES: dict[str, Any] = {
    "add_": lambda a, b: a.add_(b), "mul_": lambda a, b: a.mul_(0.5), "row": lambda a, b: a[1].copy_(b[0]),
    "columns": lambda a, b: a[:, 2:].mul_(b[:, :2]), "shift": lambda a, b: a[1:].copy_(a[:-1]), "fill": lambda a, b: a[0].zero_(),
    "transposed": lambda a, b: a.mT.add_(b),
}
NUMBER = st.integers(0, 30)
INSTRUCTION = st.one_of(
    st.tuples(st.just("unary"), st.sampled_from(sorted(UNARY)), NUMBER, NUMBER),
    st.tuples(st.just("binary"), st.sampled_from(sorted(BINARY)), NUMBER, NUMBER),
    st.tuples(st.just("write"), st.sampled_from(sorted(WRITES)), NUMBER, NUMBER),
    st.tuples(st.just("constant"), st.just("zeros"), NUMBER, NUMBER))


def make(instructions: Any, weight: Tensor, buffer: Tensor, outs: list[int]) -> Any:
    """The step that carries out the instructions on two inputs, a parameter and a buffer."""

    def step(x: Tensor, y: Tensor) -> Any:
        weight.grad = None
        pool = [x, y, weight * 1.0, weight]
        for kind, name, i, j in instructions:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            if kind == "unary":
                pool.append(UNARY[name](a))
            elif kind == "binary":
                pool.append(BINARY[name](a, b))
            elif kind == "constant":
                pool.append(cr.zeros(SIZE, SIZE))
            elif a is not weight:
                WRITES[name](a, b)
        with cr.no_grad():
            buffer.mul_(0.5).add_(pool[-1])
        chosen = [pool[k % len(pool)] for k in outs]
        loss = sum((t * t).sum() for t in chosen)
        if loss.requires_grad:
            loss.backward()
        return [loss, *chosen]

    return step



def outcome(run: Any, values: Any, weight: Tensor, buffer: Tensor, start: Any) -> Any:
    """The bits of everything after some steps."""
    weight.data[...], buffer.data[...] = start
    weight.grad = None
    found = []
    for a, b in values:
        x, y = Tensor(a.copy()), Tensor(b.copy())
        try:
            results = [t.data.tobytes() for t in run(x, y)]
        except (cr.AutogradError, cr.ShapeError) as error:  # written to after it was kept, or not writeable
            return type(error)
        grad = None if weight.grad is None else weight.grad.data.tobytes()
        found.append((results, grad, buffer.data.tobytes(), x.data.tobytes(), y.data.tobytes()))
    return found


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(INSTRUCTION, min_size=1, max_size=14), st.lists(NUMBER, min_size=1, max_size=3), st.integers(0, 1000))
@example([("unary", "clone", 0, 0), ("constant", "zeros", 0, 0), ("binary", "subtract", 0, 14), ("write", "transposed", 0, 6)],
         [0], 0)
def test_drawn_programs_replay_to_the_same_bits(instructions: Any, outs: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw() -> Any:
        return rng.standard_normal((SIZE, SIZE)).astype(np.float32)

    start, values = (draw(), draw()), [(draw(), draw()) for _ in range(3)]
    weight, buffer = Tensor(draw()).requires_grad_(), Tensor(draw())
    step = make(instructions, weight, buffer, outs)
    with np.errstate(all="ignore"):
        cr.manual_seed(seed)
        expected = outcome(step, values, weight, buffer, start)
        cr.manual_seed(seed)
        compiled = cr.compile(step)
        assert outcome(compiled, values, weight, buffer, start) == expected
    if isinstance(expected, list):
        assert compiled.replays == len(values) - 1

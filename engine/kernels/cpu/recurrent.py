"""What the kernels of recurrent networks share (lstm.py, gru.py, rnn.py): products with packed weights, and what goes around.

The sequences of a batch do not know of each other: a task is a block of sequences, and runs all their steps, so that nothing
waits between steps. How the batch is cut depends on its size alone, not on the threads, and so do the bits of the result.

At each step, for its block, a task computes the products of all gates by tiles (see tile.py; the weights are packed once for all
steps, and stay in a core's cache), and then activates the gates in passes over the block. A pass writes one array: a loop that
writes several must first find at run time that they do not overlap, and is not vectorised where there are too many to ask about.
Gates are kept one after the other, (gates, T, N, H), so that each is contiguous over the sequences of a block. Sequences that
are over (lengths) are left out: the passes go over runs of sequences that are not.

Backward, a task walks its block's steps from the last, writes the gradients before the activations, d (gates, T, N, H), and
takes them through the weights to the state before and to the input. The gradients of the weights are sums over all steps and
sequences at once, d transposed @ inputs, cut by their own rows.

Declined, and left to the definition: dtypes other than float32 and float64, sizes of zero, and the gradient of a state mask.
"""

from typing import Any

import numpy as np

from chainrule.kernels.cpu.arrays import plain
from chainrule.kernels.cpu.jit import jit, tasks
from chainrule.kernels.cpu.memory import empty, zeros
from chainrule.kernels.cpu.tile import HEIGHT, add_product, move_line, pack, panels_of, tile, width_in

# Below so many multiplications a kernel runs on the calling thread alone.
SMALL = 1 << 19
# Steps times sequences in one block of a weight's gradient: its inputs stay in a core's first cache.
DEPTH = 256
SIDE = 128  # rows and columns of a weight's gradient in one task


def run(kernel: Any, count: int, work: int, *arguments: Any) -> None:
    """Run the kernel's tasks, over the threads where there is work enough."""
    (kernel if work >= SMALL else kernel.serial)(count, *arguments)


def way(lengths: Any, state_mask: Any, steps: int, batch: int, reverse: bool, dtype: Any) -> tuple[int, Any, Any, bool, int]:
    """How many tasks; then what all kernels ask for: the mask of the state, flat, without elements for none; the sequences' numbers
    of steps; whether they are read in reverse; and how many of them belong to a task."""
    mask = np.empty(0, dtype) if state_mask is None else plain(state_mask).reshape(-1)
    counts = np.full(batch, steps, np.int64) if lengths is None else np.array(lengths, np.int64, order="C")
    block = HEIGHT if batch < 4 * HEIGHT else 2 * HEIGHT
    return -(-batch // block), mask, counts, reverse, block


def laid_out(input: Any) -> tuple[Any, int, int]:
    """input (T, N, I) as a flat array, and how far its steps and its sequences lie apart in it; batch-first needs no copy."""
    steps, batch, features = input.shape
    turned = input.transpose(1, 0, 2)
    if turned.flags.c_contiguous and not input.flags.c_contiguous:
        return plain(turned).reshape(-1), features, steps * features
    return plain(input).reshape(-1), batch * features, features


def first_state(state: Any, batch: int, size: int, dtype: Any) -> Any:
    """A state (N, H) or None, flat, not to be written to."""
    return np.zeros(batch * size, dtype) if state is None else plain(state).reshape(-1)


def begin_state(state: Any, batch: int, size: int, dtype: Any) -> Any:
    """A state (N, H) or None as an array to be returned: the kernel makes the last state of the first."""
    if state is None:
        return zeros((batch, size), dtype)
    found = empty((batch, size), dtype)
    found[...] = state
    return found


def bias_of(width: int, dtype: Any, *biases: Any) -> Any:
    """The sum of the biases (width,), any of which may be None."""
    total = np.zeros(width, dtype)
    for bias in biases:
        if bias is not None:
            total += bias
    return total


def packed(w_ih: Any, w_hh: Any, gates: int, transposed: bool, work: int) -> list[Any]:
    """Both weights (gates * H, K) in panels: transposed for the way forward, as they are for the way back."""
    found = []
    for weight in (plain(w_ih), plain(w_hh)):
        size, columns = weight.shape[0] // gates, weight.shape[1]
        panels = panels_of(gates, *((columns, size) if transposed else (size, columns)), weight.dtype)
        run(pack, panels.shape[0] * panels.shape[1], work, weight, transposed, panels)
        found.append(panels)
    return found


def of_output(g: Any, out: Any) -> Any:
    """The gradient of the output as (T, N * H); without elements where it was not used."""
    return np.empty((0, 0), out.dtype) if g is None else plain(g).reshape(len(out), -1)


# Within a task

@jit
def copy(source: Any, target: Any) -> None:
    """target = source."""
    for j in range(np.uint64(target.size)):
        target[j] = source[j]


@jit
def add(source: Any, target: Any) -> None:
    """target += source."""
    for j in range(np.uint64(target.size)):
        target[j] += source[j]


@jit
def fill(target: Any, value: Any) -> None:
    """All of target = value."""
    for j in range(np.uint64(target.size)):
        target[j] = value


@jit
def next_run(t: int, begin: int, end: int, counts: Any) -> tuple[int, int]:
    """The first run of sequences from `begin` on that have a step t, (first, past the last); (end, end) for none."""
    while begin < end and t >= counts[begin]:
        begin += 1
    past = begin
    while past < end and t < counts[past]:
        past += 1
    return begin, past


@jit
def earlier(t: int, count: int, reverse: bool) -> int:
    """The step that a sequence of `count` steps was at before t, or -1 where t is its first."""
    if reverse:
        return -1 if t == count - 1 else t + 1
    return t - 1


@jit
def state_before(t: int, begin: int, end: int, size: int, counts: Any, reverse: bool, first: Any, states: Any,
                 target: Any) -> None:
    """target (end - begin, H) = the states before step t, of states (T, N * H) or, at a sequence's first step, of `first`."""
    for n in range(begin, end):
        e = earlier(t, counts[n], reverse)
        line = target[(n - begin) * size : (n - begin + 1) * size]
        copy(first[n * size : (n + 1) * size] if e < 0 else states[e, n * size : (n + 1) * size], line)


@jit
def blank(t: int, begin: int, end: int, size: int, counts: Any, rows: Any, value: Any) -> None:
    """Fill the rows (N * H) of the sequences that have no step t."""
    for n in range(begin, end):
        if t >= counts[n]:
            fill(rows[n * size : (n + 1) * size], value)


@jit
def see(h: Any, mask: Any, low: int, high: int, seen: Any) -> None:
    """What the weight sees of the states h (N * H), elements low … high: seen = h * mask."""
    if mask.size:
        state, factors = h[low:high], mask[low:high]
        for j in range(np.uint64(seen.size)):
            seen[j] = state[j] * factors[j]
    else:
        copy(h[low:high], seen)


@jit
def project(x: Any, at_x: int, row_x: int, seen: Any, rows: int, w_ih: Any, w_hh: Any, bias: Any, at_bias: int, out: Any,
            at_out: int, spare: Any) -> None:
    """One gate of one step, out (rows, H) = x (rows, I) @ w_ih + seen (rows, H) @ w_hh + bias."""
    size = seen.size // rows
    add_product(x, at_x, row_x, rows, w_ih, bias, at_bias, 0, out, at_out, size, size, spare)
    add_product(seen, 0, size, rows, w_hh, out, at_out, size, out, at_out, size, size, spare)


@jit
def _through(d: Any, at_d: int, gap: int, last: int, rows: int, weight: Any, out: Any, at_out: int, columns: int,
             spare: Any) -> None:
    """out (rows, C) = the sum over the gates of d (rows, H) @ weight (H, C); the last gate's d is number `last`."""
    gates, _, size, _ = weight.shape
    for n in range(rows):
        fill(out[at_out + n * columns : at_out + (n + 1) * columns], out.dtype.type(0))
    for gate in range(gates):
        at = at_d + (gate if gate < gates - 1 else last) * gap
        add_product(d, at, size, rows, weight[gate], out, at_out, columns, out, at_out, columns, columns, spare)


@jit
def step_back(d: Any, t: int, begin: int, end: int, last: int, w_ih: Any, w_hh: Any, mask: Any, dh: Any, db: Any, dx: Any,
              product: Any, spare: Any) -> None:
    """From d (slabs, T, N * H), the gradients before the activations, those of the sequences begin … end at step t of what went
    into them: dh (N * H) is added to, db (slabs, H) too, and dx (T * N * I) written, if it is not empty."""
    slabs, steps, width = d.shape
    size, rows = db.shape[1], end - begin
    batch, low, high = width // size, begin * size, end * size
    flat, at = d.reshape(-1), t * width + low
    _through(flat, at, steps * width, last, rows, w_hh, product, 0, size, spare)
    if mask.size:
        target, factors = dh[low:high], mask[low:high]
        for j in range(np.uint64(target.size)):
            target[j] += product[j] * factors[j]
    else:
        add(product, dh[low:high])
    if dx.size:
        features = dx.size // (steps * batch)
        _through(flat, at, steps * width, w_ih.shape[0] - 1, rows, w_ih, dx, (t * batch + begin) * features, features, spare)
    for slab in range(slabs):
        for n in range(begin, end):
            add(d[slab, t, n * size : (n + 1) * size], db[slab])


# The gradients of the weights

@jit
def _gather(low: int, high: int, shift: int, wide: int, source: Any, step: int, row: int, first: Any, mask: Any, counts: Any,
            reverse: bool, panels: Any) -> None:
    """panels (P, K, width) = columns shift … shift + wide of what the weight saw, for the pairs low … high of (step, sequence).

    Without `first` that is the input. With it, the states before each step, times their mask.
    """
    count, depth, width = panels.shape
    batch, zero, flat, whole = counts.size, panels.dtype.type(0), panels.reshape(-1), wide // width
    t, n = low // batch, low % batch
    for k in range(high - low):
        e = t if first.size == 0 else earlier(t, counts[n], reverse)
        over, at = t >= counts[n], n * row + shift
        if over:  # whatever is there may be NaN, and 0 * NaN is NaN
            for p in range(count):
                fill(panels[p, k], zero)
        else:
            values, begin = (first, at) if e < 0 else (source, e * step + at)
            for p in range(whole):
                move_line(values, begin + p * width, flat, (p * depth + k) * width)
            if whole < count:
                line = panels[whole, k]
                for j in range(width):
                    line[j] = values[begin + whole * width + j] if j < wide - whole * width else zero
            if mask.size:
                for j in range(wide):
                    panels[j // width, k, j % width] *= mask[at + j]
        n += 1
        if n == batch:
            t, n = t + 1, 0


@tasks
def _weight_gradient(task: int, d: Any, gap: int, last: int, size: int, source: Any, step: int, row: int, first: Any, mask: Any,
                     counts: Any, reverse: bool, across: int, down: int, out: Any) -> None:
    """A block of rows of one gate and columns of out (gates, H, C) = d (gates, T * N, H) transposed @ what the weight saw
    (T * N, C)."""
    gates, _, columns = out.shape
    width = width_in(d)
    gate, r, c = task // (down * across), task // across % down * SIDE, task % across * SIDE
    tall, wide = min(SIDE, size - r), min(SIDE, columns - c)
    panels = np.empty(((wide + width - 1) // width, DEPTH, width), d.dtype)
    sums = np.zeros((panels.shape[0], tall, width), d.dtype)
    flat = sums.reshape(-1)
    for low in range(0, gap // size, DEPTH):
        depth = min(gap // size - low, DEPTH)
        at = (gate if gate < gates - 1 else last) * gap + low * size + r
        _gather(low, low + depth, c, wide, source, step, row, first, mask, counts, reverse, panels)
        for p in range(panels.shape[0]):
            for i in range(0, tall, HEIGHT):
                to = (p * tall + i) * width
                tile(d, at + i, 1, size, panels, p * DEPTH * width, width, depth, flat, to, width, flat, to, width,
                     min(HEIGHT, tall - i))
    for i in range(tall):
        for p in range(panels.shape[0]):
            target = out[gate, r + i, c + p * width : c + min(wide, (p + 1) * width)]
            copy(sums[p, i, : target.size], target)


def weight_gradient(d: Any, gates: int, last: int, work: int, source: Any, step: int, row: int, first: Any, mask: Any,
                    counts: Any, reverse: bool, columns: int) -> Any:
    """The gradient (gates * H, C) of a weight, from d (slabs, T, N, H), of which gate number gates - 1 is slab `last`."""
    size, gap = d.shape[3], d[0].size
    out = empty((gates, size, columns), d.dtype)
    across, down = -(-columns // SIDE), -(-size // SIDE)
    run(_weight_gradient, gates * across * down, work, d.reshape(-1), gap, last, size, source, step, row, first, mask, counts,
        reverse, across, down, out)
    return out.reshape(gates * size, columns)


def weights_gradients(d: Any, db: Any, gates: int, input: Any, h0: Any, out: Any, way: Any, wanted: Any, work: int) -> Any:
    """The gradients of w_ih, w_hh, b_ih and b_hh, None where not wanted, from d (slabs, T, N, H), those before the activations,
    and db (pieces, slabs, H), each task's sums of them."""
    (_, batch, features), size, last, (mask, counts, reverse, _) = input.shape, d.shape[3], d.shape[0] - 1, way
    nothing = np.empty(0, d.dtype)
    dw_ih = dw_hh = db_ih = db_hh = None
    if wanted[0]:
        dw_ih = weight_gradient(d, gates, gates - 1, work, *laid_out(input), nothing, nothing, counts, reverse, features)
    if wanted[1]:
        dw_hh = weight_gradient(d, gates, last, work, plain(out).reshape(-1), batch * size, size,
                                first_state(h0, batch, size, d.dtype), mask, counts, reverse, size)
    if wanted[2] or wanted[3]:
        total = db.sum(0)
        db_ih = total[:gates].reshape(-1)
        db_hh = db_ih.copy() if last == gates - 1 else total[[*range(gates - 1), last]].reshape(-1)
    return dw_ih, dw_hh, db_ih, db_hh

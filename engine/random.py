"""Random numbers: generators that hand out keys, from which everything random is computed.

A draw's key is (seed, number of the draw); its bits are a pure function of that key (kernels/reference/random.py). So
the same seed gives the same bits, run after run, and what must be drawn again, such as the mask of a dropout when a
checkpoint is recomputed, only has to remember its key.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from chainrule import kernels
from chainrule.errors import describe
from chainrule.state import noting, state

__all__ = ["Generator", "as_generator", "default_generator", "drawing_from", "get_rng_state", "initial_seed", "key_of",
           "manual_seed", "random_bits", "seed", "set_rng_state"]

Key = tuple[int, int]


def _seed(value: Any) -> int:
    """A seed as an integer of 64 bits; TypeError and ValueError for what is none."""
    try:
        found: int = value.__index__()
    except AttributeError:
        raise TypeError(f"manual_seed({describe(value)}): a seed is an integer") from None
    if not -2**63 <= found < 2**64:
        raise ValueError(f"manual_seed({found}): a seed has 64 bits, from -2**63 to 2**64 - 1")
    return found % 2**64


class Generator:
    """A source of random draws, independent of others: pass it as `generator=` to whatever draws.

    Its state is its seed and the number of draws so far. Without a seed it takes one from the operating system.
    Generators may be shared between threads, but the order of draws is then the threads' order.

    >>> import chainrule as cr
    >>> first = cr.rand(2, generator=cr.random.Generator(7))
    >>> bool((first == cr.rand(2, generator=cr.random.Generator().manual_seed(7))).all())
    True
    """

    __slots__ = ("_draws", "_lock", "_seed")

    def __init__(self, seed: Any = None) -> None:
        self._seed = int.from_bytes(os.urandom(8), "little") if seed is None else _seed(seed)
        self._draws = 0
        self._lock = Lock()

    def manual_seed(self, seed: Any) -> "Generator":
        """Begin anew with this seed, an integer of 64 bits; returns the generator."""
        seed = _seed(seed)
        with self._lock:
            self._seed, self._draws = seed, 0
        return self

    def seed(self) -> int:
        """Begin anew with a seed from the operating system; returns it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed it began with."""
        return self._seed

    def next_key(self) -> Key:
        """The key of the next draw: (seed, number of the draw)."""
        with self._lock:
            key = self._seed, self._draws
            self._draws += 1
        return key

    def get_state(self) -> Key:
        """All that it knows, two integers: (seed, number of draws so far); plain data, which `chainrule.save` takes."""
        return self._seed, self._draws

    def set_state(self, state: Any) -> None:
        """Go on from where `get_state` was called. Raises ValueError for what is no such state."""
        try:
            seed, draws = (_seed(n) for n in state)
        except (TypeError, ValueError):
            raise ValueError(f"set_state({describe(state)}): a state is what get_state returned, two numbers") from None
        with self._lock:
            self._seed, self._draws = seed, draws

    def __repr__(self) -> str:
        return f"<Generator seed={self._seed} draws={self._draws}>"


default_generator = Generator()


def as_generator(generator: Any) -> Generator | None:
    """A Generator as it is, a new one for a seed, None (the default one) for None."""
    return generator if generator is None or isinstance(generator, Generator) else Generator(generator)


def current() -> Generator:
    """What draws that are given no generator come from, in this thread."""
    found: Generator = state.generator or default_generator
    return found


@contextmanager
def drawing_from(generator: Generator) -> Iterator[Generator]:
    """Inside the `with` block, in this thread, this generator takes the place of the default one.

    Whatever draws without being given a generator draws from it, and `manual_seed`, `get_rng_state` and the like mean
    it; the default generator stays as it is.

    >>> import chainrule as cr
    >>> with cr.random.drawing_from(cr.Generator(7)):
    ...     inside = cr.rand(2)
    >>> bool((inside == cr.rand(2, generator=cr.Generator(7))).all())
    True
    """
    before, state.generator = state.generator, generator
    try:
        yield generator
    finally:
        state.generator = before


def manual_seed(seed: Any) -> Generator:
    """Seed the default generator, from which everything draws that is given none; returns it.

    `seed`: an integer of 64 bits. Raises TypeError or ValueError for anything else.

    >>> import chainrule as cr
    >>> _ = cr.manual_seed(0); a = cr.rand(3)
    >>> _ = cr.manual_seed(0); bool((cr.rand(3) == a).all())
    True
    """
    return current().manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed."""
    return current().seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return current().initial_seed()


def get_rng_state() -> Key:
    """The default generator's state, for `set_rng_state`: (seed, number of draws)."""
    return current().get_state()


def set_rng_state(state: Any) -> None:
    """Let the default generator go on from a state that `get_rng_state` returned."""
    current().set_state(state)


def key_of(generator: Generator | None) -> Key:
    """The key of the next draw from this generator, or from the default one."""
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"generator={generator!r:.60}: pass a chainrule.random.Generator")
    key = (current() if generator is None else generator).next_key()
    if (recording := noting()) is not None:
        recording.drawn(generator, key)
    return key


def namespace(device: Any = None) -> Any:
    """The kernels that draw: of the device, the CPU for None; those of the forced backend, where one is."""
    xp = kernels.cpu if device is None or str(device) == "cpu" else kernels.connect()
    return xp if state.backend is None else kernels.forced(xp)


def random_bits(key: Key, shape: tuple[int, ...]) -> Any:
    """An array of random bits, uint32 of `shape`: a pure function of the key, a pair of 64-bit integers.

    >>> [hex(word) for word in random_bits((0, 0), (4,))]  # the generator's published test vector for zeros
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    return namespace().philox((_seed(key[0]), _seed(key[1])), tuple(shape))

"""Work done ahead of time in background threads, in order, and with nothing left behind."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import Any


class Stopped(Exception):
    """Raised in a background thread that should give up what it is doing."""


def in_background(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], threads: int, ahead: int,
                  stop: Callable[[], None]) -> Generator[Any, None, None]:
    """`function(*a)` for each of the arguments, in their order, of which threads compute up to `ahead` ahead.

    The arguments are asked for in the thread that asks for the results. An error in a thread is raised where its result
    would have come, with its own traceback. However the loop ends (exhausted, left early, an error, Ctrl-C, the iterator
    collected), `stop` is called, what has not begun is dropped, what has begun is awaited, and the threads end.
    """
    from concurrent.futures import ThreadPoolExecutor

    own: set[int] = set()  # our threads, which cannot wait for themselves
    pool = ThreadPoolExecutor(threads, "DataLoader", initializer=lambda: own.add(threading.get_ident()))
    waiting: deque[Any] = deque()
    source = iter(arguments)

    def fill() -> None:
        waiting.extend(pool.submit(function, *a) for a in islice(source, ahead - len(waiting)))

    try:
        fill()
        while waiting:
            result = waiting.popleft().result()
            fill()
            yield result
    finally:
        stop()
        # The collector may end an abandoned loop from any thread, even from one of ours.
        pool.shutdown(wait=threading.get_ident() not in own, cancel_futures=True)

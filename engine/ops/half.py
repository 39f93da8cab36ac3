"""float16 in and out, float32 in between: for definitions whose squares, sums or exponentials float16 cannot hold."""

from typing import Any

import numpy as np

__all__: list[str] = []


def widen(xp: Any, x: Any) -> Any:
    """x in float32 where it is float16; everything else, None among it, as it is."""
    return xp.astype(x, np.float32) if x is not None and x.dtype == np.float16 else x


def narrow(xp: Any, x: Any, dtype: Any) -> Any:
    """x back in float16 where that is the `dtype` it came in; as it is otherwise."""
    return xp.astype(x, np.float16) if dtype == np.float16 != x.dtype else x

"""How many threads the kernels use. (numba is imported only when this is asked.)"""


def get_num_threads() -> int:
    """How many threads the cpu kernels use at most."""
    from chainrule.kernels.cpu import jit

    return jit.get_num_threads()


def set_num_threads(n: int) -> None:
    """Let the cpu kernels use at most n threads, n >= 1; more than the machine has are not taken.

    Results do not depend on it: work is cut by shapes alone. NumPy's own BLAS is not affected.

    >>> import chainrule as cr
    >>> cr.set_num_threads(1); cr.get_num_threads()
    1
    """
    from chainrule.kernels.cpu import jit

    jit.set_num_threads(n)

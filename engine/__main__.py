"""The command line: `python -m chainrule info`, `python -m chainrule demo` and `python -m chainrule warmup`.

Output is plain text without colour, so `NO_COLOR` is honoured by construction. Every failure exits non-zero.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

DEMO_MODULES = ("sklearn", "matplotlib", "tqdm")  # what the `demo` extra installs, by import name


def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution, without importing it, or "not installed".

    >>> installed_version("no-such-distribution")
    'not installed'
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def available_cpus() -> int:
    """Return how many CPUs this process may run on (its affinity where the system has one, else all).

    >>> available_cpus() >= 1
    True
    """
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def backends() -> list[str]:
    """Return the names of the backends that this installation can use, slowest first.

    A backend counts when its kernels are part of the package and the library that they are written for is installed.

    >>> backends()[0]
    'reference'
    """
    needs = {"reference": "numpy", "cpu": "numba", "cuda": "cupy"}
    return [name for name, library in needs.items() if find_spec(f"chainrule.kernels.{name}") and find_spec(library)]


def numpy_blas() -> str:
    """Return the name and version of the BLAS that NumPy was built with, for example "scipy-openblas 0.3.29".

    >>> isinstance(numpy_blas(), str)
    True
    """
    import numpy

    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def info() -> str:
    """Return a table of versions, backends, threads and devices, one per line; imports nothing heavier than NumPy.

    >>> info().splitlines()[0].split()[0]
    'chainrule'
    """
    rows = {
        "chainrule": installed_version("chainrule"),
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "NumPy": installed_version("numpy"),
        "numba": installed_version("numba"),
        "safetensors": installed_version("safetensors"),
        "backends": ", ".join(backends()),
        "threads": f"{available_cpus()} CPUs available to this process",
        "GPU": "CuPy is installed" if find_spec("cupy") else "CuPy is not installed",
        "BLAS (NumPy)": numpy_blas(),
        "BLAS (kernels)": f"scipy-openblas64 {installed_version('scipy-openblas64')}",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


def demo(arguments: argparse.Namespace) -> None:
    """Run `chainrule.demo.main(arguments)`, with `model`, `epochs`, `out` and `seed`.

    Raises:
        ModuleNotFoundError: naming the extra, when one of the libraries of the demo is missing.
    """
    missing = [name for name in DEMO_MODULES if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f'the demo needs {", ".join(missing)}: pip install "chainrule[demo]"')
    importlib.import_module("chainrule.demo").main(arguments)


def warmup(arguments: argparse.Namespace) -> None:
    """Compile the kernels ahead, with a progress bar on a terminal that has tqdm, and say what was done."""
    import chainrule
    from chainrule.kernels.cpu import cache
    from chainrule.warmup import rows
    from chainrule.warmup import warmup as compile_rows

    names = rows(arguments.only)
    if not names:
        raise ValueError(f"warmup: no family of kernels has {arguments.only!r} in its name; there are: {', '.join(rows())}")
    bar = None
    if find_spec("tqdm"):
        from tqdm import tqdm

        bar = tqdm(total=len(names) * len(arguments.dtype), unit="family", disable=None, leave=False)  # None: only on a terminal
    begin = time.perf_counter()
    for dtype in arguments.dtype:
        for name, seconds in compile_rows(names, getattr(chainrule, dtype)):
            line = f"{dtype}  {name:40} {seconds:6.2f} s"
            if bar is None:
                print(line, flush=True)
            else:
                bar.write(line)
                bar.update()
    if bar is not None:
        bar.close()
    folder = cache.cache_folder()
    kept = f"kept in {folder}" if folder else "NOT kept: no folder for compiled code can be written"
    print(f"{len(names)} of {len(rows())} families of kernels are ready after {time.perf_counter() - begin:.1f} s, {kept}")


def at_least(smallest: int) -> Callable[[str], int]:
    """Return argparse's converter to an int of at least `smallest`.

    >>> at_least(1)("3")
    3

    Raises:
        argparse.ArgumentTypeError: by the converter, for a smaller number.
    """

    def integer(text: str) -> int:
        if (number := int(text)) < smallest:
            raise argparse.ArgumentTypeError(f"{number} is less than {smallest}")
        return number

    return integer


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    >>> parser().parse_args(["demo", "--epochs", "2"]).epochs
    2
    """
    top = argparse.ArgumentParser(prog="chainrule", description="A deep-learning engine written to be read.")
    commands = top.add_subparsers(dest="command", required=True, metavar="{info,demo,warmup}")
    commands.add_parser("info", help="print versions, backends found, threads, GPU and BLAS")
    training = commands.add_parser("demo", help="train a network on real handwritten digits",
                                   formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    training.add_argument("--model", choices=("cnn", "mlp"), default="cnn", help="the network to train")
    training.add_argument("--epochs", type=at_least(1), default=20, metavar="N", help="passes over the training digits")
    training.add_argument("--out", type=Path, default=Path("chainrule-demo"), metavar="DIR", help="where results go")
    training.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="the same seed gives the same bits")
    ahead = commands.add_parser("warmup", help="compile the kernels ahead of their first use",
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    ahead.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=["float32"], help="for which dtypes")
    ahead.add_argument("--only", default="", metavar="WORD", help="only families of kernels with this in their names")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 1 after an error (told in one line), 130 when interrupted.

    Args:
        arguments: the words after the program's name; those of `sys.argv` when None.

    Raises:
        SystemExit: with status 2, by argparse, for arguments that it does not know.
    """
    options = parser().parse_args(arguments)
    try:
        if options.command == "info":
            print(info())
        elif options.command == "warmup":
            warmup(options)
        else:
            demo(options)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"chainrule: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("chainrule: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How long `import chainrule` takes beyond NumPy's own import: the median over paired runs, each in a fresh process.

    python benchmarks/import_time.py [--rounds N]
"""

import argparse
import statistics
import subprocess
import sys

# Timed inside the process: starting Python is no part of the import.
TIMED = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def seconds_to_import(module: str) -> float:
    """Return the seconds that `import module` takes in a fresh process."""
    command = [sys.executable, "-c", TIMED.format(module=module)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print the medians of both imports and of their paired difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="pairs of runs")
    rounds = parser.parse_args().rounds
    for module in ("numpy", "chainrule"):  # once unmeasured: bytecode is compiled, files are in the page cache
        seconds_to_import(module)
    pairs = [(seconds_to_import("numpy"), seconds_to_import("chainrule")) for _ in range(rounds)]
    beyond = sorted(ours - theirs for theirs, ours in pairs)
    print(f"import numpy      {statistics.median(theirs for theirs, _ in pairs) * 1e3:7.1f} ms")
    print(f"import chainrule  {statistics.median(ours for _, ours in pairs) * 1e3:7.1f} ms")
    print(f"beyond NumPy      {statistics.median(beyond) * 1e3:7.1f} ms  "
          f"(paired, {rounds} rounds, {beyond[0] * 1e3:.1f} to {beyond[-1] * 1e3:.1f})")


if __name__ == "__main__":
    main()

"""Every kernel under AddressSanitizer and the detector of races: `python -m tests.cuda_on_cpu.sanitize [pytest's arguments]`.

Two runs of pytest side by side, in processes of their own: AddressSanitizer's library must be loaded before Python is. The
detector's run takes all tests marked `gpu`, AddressSanitizer's the kernels' own. They check values as ever, so nothing else is
needed to test the kernels but the simulator's tests. On a machine with a GPU this says nothing about the GPU; there, run
compute-sanitizer.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# what runs kernels that other files test, too: ops, layers, examples, ...
WHOLE = {"data", "examples", "layers", "ops", "optim", "simulator", "stand_in", "tensors", "training"}
MODES: dict[str, dict[str, str]] = {
    "asan": {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
    "races": {},
}


def environment(mode: str) -> dict[str, str]:
    """The environment of a Python that runs kernels in that mode."""
    added = {**MODES[mode], "CUDA_ON_CPU": "required", "CUDA_ON_CPU_MODE": mode}
    if mode == "asan":
        added["LD_PRELOAD"] = ":".join(  # (without the second, exceptions thrown by others' C++ end the process)
            subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
            for name in ("libasan.so", "libstdc++.so"))
    return {**os.environ, **added}


def start(mode: str, arguments: list[str], output: int) -> subprocess.Popen[bytes]:
    """pytest in that mode. AddressSanitizer writes to the process's own standard error, so that is not captured."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "--capture=sys", "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(mode), stdout=output, stderr=subprocess.STDOUT)


def main(arguments: list[str]) -> int:
    """The number of runs that failed."""
    kernels = [str(p.relative_to(ROOT)) for p in sorted((ROOT / "tests").glob("test_cuda_*.py"))
               if p.stem.removeprefix("test_cuda_") not in WHOLE]
    outputs = {mode: tempfile.TemporaryFile() for mode in MODES}
    runs = {mode: start(mode, arguments or (kernels if mode == "asan" else ["tests"]), outputs[mode].fileno()) for mode in MODES}
    failed = 0
    for mode, run in runs.items():
        status = run.wait()
        outputs[mode].seek(0)
        lines = outputs[mode].read().decode(errors="replace").splitlines()
        print(f"--- {mode}: {'failed' if status else 'passed'}", *(lines[-200:] if status else lines[-1:]), sep="\n")
        failed += status != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Every kernel under AddressSanitizer and under the detector of races: `python -m tests.cuda_on_cpu.sanitize [pytest's arguments]`.

The tests marked `gpu` run twice side by side, in processes of their own: AddressSanitizer's library must be loaded before Python
is. They check values as ever, so nothing but these two runs is needed to test the kernels. On a machine with a GPU this says
nothing about the GPU; there, run compute-sanitizer.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODES: dict[str, dict[str, str]] = {
    "asan": {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
    "races": {},
}


def environment(mode: str) -> dict[str, str]:
    """The environment of a Python that runs kernels in that mode."""
    added = {**MODES[mode], "CUDA_ON_CPU": "required", "CUDA_ON_CPU_MODE": mode}
    if mode == "asan":
        library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
        added["LD_PRELOAD"] = library
    return {**os.environ, **added}


def start(mode: str, arguments: list[str], output: int) -> subprocess.Popen[bytes]:
    """pytest in that mode. AddressSanitizer writes to the process's own standard error, so that is not captured."""
    command = [sys.executable, "-m", "pytest", "-q", "--durations=12", "-m", "gpu", "--capture=sys", "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(mode), stdout=output, stderr=subprocess.STDOUT)


def main(arguments: list[str]) -> int:
    """The number of runs that failed."""
    given = arguments or [str(p.relative_to(ROOT)) for p in sorted((ROOT / "tests").glob("test_cuda_*.py"))]
    outputs = {mode: tempfile.TemporaryFile() for mode in MODES}
    runs = {mode: start(mode, given, outputs[mode].fileno()) for mode in MODES}
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

"""The examples on the device: a short run of each. In the simulator, where a convolution takes minutes, of a few."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import cuda_on_cpu
from tests.checkout import ROOT

pytestmark = pytest.mark.gpu
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHORT = ("01", "02", "06", "07", "12")
RUN = """import runpy, sys
from tests import cuda_on_cpu
cuda_on_cpu.ensure()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_runs_on_the_device(path: Path, tmp_path: Path) -> None:
    if cuda_on_cpu.simulated() and path.name[:2] not in SHORT:
        pytest.skip("takes long in the simulator")
    command = [sys.executable, "-c", RUN, str(path), "--quick", "--device", "cuda", "--out", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}, text=True,
                            capture_output=True)
    assert result.returncode == 0, result.stderr[-2000:]

"""Hypothesis draws the same examples every time, so that a run tells about the change and not about the draw
(`pytest --hypothesis-profile=explore` draws others); and where tests marked `gpu` run."""

from typing import Any

import pytest
from hypothesis import settings

from tests import cuda_on_cpu

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_runtest_setup(item: Any) -> None:
    """Tests marked `gpu` run on the CUDA device, or where there is none on the CPU (tests/cuda_on_cpu)."""
    if item.get_closest_marker("gpu") and (reason := cuda_on_cpu.ensure()):
        pytest.skip(reason)

"""The kernels and libraries compile with older CUDA toolkits, from Debian's packages."""

from __future__ import annotations

import subprocess

import pytest
from cmake_projects import ROOT

CANNOT_DOWNLOAD = 77


@pytest.mark.exhaustive
@pytest.mark.parametrize("release", ["11.8", "12.4"])
def test_everything_compiles(release: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts/test_older_cuda.sh", release], capture_output=True, text=True, timeout=3600, check=False
    )
    if done.returncode == CANNOT_DOWNLOAD:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"CUDA: {ROOT}/build/cuda-{release}/bin/nvcc" in done.stdout

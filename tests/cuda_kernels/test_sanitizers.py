"""The CUDA kernels under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer.

Tensors are allocations of exactly their size, shared memory has a guard after the launch's request, and ThreadSanitizer
treats the threads of a block as ordered only by barriers.
"""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cuda_on_cpu.build import ADDRESS_SANITIZER, THREAD_SANITIZER, compile_for_cpu
from cuda_on_cpu.kernels import read_output, write_request
from toolchain import require_cuda_on_cpu
from vectors import (
    CASES,
    PADDED_ROWS,
    TARGET_CASES,
    UNEVEN_ROWS,
    Case,
    Placement,
    UpsampleArgmaxCase,
    assert_matches,
    on_cuda,
)

_FLAGS = {"address": ADDRESS_SANITIZER, "thread": THREAD_SANITIZER}

# ThreadSanitizer takes seconds a case: every kernel, more than one tile a block, more than one chunk, partial tiles.
_RACED = ("patch5", "patch17", "patch4", "pieces3", "kernel3-group", "depthwise-wide", "glue", "residual-glue",
          "scale2", "target-enlarged-uint8", "target-shrunk-much-uint8",
          "camvid-l-level5", "voc-l-level5-pw1", "voc-l-level3-pw2")  # fmt: skip
_RACED_PLACED = ("glue", "residual-glue", "voc-l-level5-pw1")
_PLANES = Placement()
_PIXELS = (PADDED_ROWS, UNEVEN_ROWS)


def _chosen(sanitizer: str) -> list[tuple[Case, Placement]]:
    # Blocks run one after the other here, so two patches of a large level show the same as six.
    cases = [replace(case, grid=(1, 2)) if "level" in case.name else case for case in CASES]
    cases += [case for case in TARGET_CASES if case.label_dtype == "uint8"]
    if sanitizer == "address":
        plain, placed = cases, cases
    else:
        plain, placed = _named(cases, _RACED), _named(cases, _RACED_PLACED)
    other = [(case, place) for case in placed for place in _PIXELS if not isinstance(case, UpsampleArgmaxCase)]
    return [*((case, _PLANES) for case in plain), *other]


def _named(cases: list[Case], names: tuple[str, ...]) -> list[Case]:
    return [case for case in cases if any(f"-{name}-float" in case.name for name in names)]


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_kernels_are_clean(sanitizer: str, tmp_path: Path) -> None:
    require_cuda_on_cpu()
    program = compile_for_cpu(tmp_path / "run_requests", "run_requests.cpp", _FLAGS[sanitizer])
    cases = _chosen(sanitizer)
    files = [tmp_path / f"{case.name}-{placement.x_layout.name}.request" for case, placement in cases]
    for (case, placement), file in zip(cases, files, strict=True):
        write_request(case, file, placement)
    # ThreadSanitizer follows fibers best when one operating-system thread runs them all.
    environment = {**os.environ, "CUDA_ON_CPU_ORDER": "shuffled", "CUDA_ON_CPU_WORKERS": "1"}
    done = subprocess.run([program, *files], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Sanitizer" not in done.stderr, done.stderr[-4000:]
    for (case, _), file in zip(cases, files, strict=True):
        assert_matches(case, read_output(case, file), on_cuda(case))

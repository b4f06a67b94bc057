"""Removes every barrier of the kernels in turn and shows that a test notices.

    PYTHONPATH=tests python -m cuda_kernels.remove_barriers

For each `__syncthreads()` the kernels are copied, that one is taken out, and the test vectors run on the CPU in
forward, reverse and shuffled thread order. Exits with 1 if some removal changed no result.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vectors import CASES, Case, assert_matches, on_cuda

from .build import KERNELS, compile_for_cpu, compile_object, link
from .kernels import Kernels

_FLAGS = ("-O0", "-fPIC", "-shared", "-Wno-empty-body")
_ORDERS = ("forward", "reverse", "shuffled")
_BARRIER = re.compile(r"__syncthreads\(\);")

# Which kernels a file is part of: only they are compiled, and only their operators run.
_USERS = {
    "dpw_conv.cu": ("pointwise_float.cuh", "pointwise_small.cuh", "pointwise_tensor.cuh", "depthwise.cuh",
                    "convolution.cuh", "level_window.cuh", "tensor_cores.cuh"),
    "dpw_inverted_residual.cu": ("dpw_inverted_residual_float.cuh", "dpw_inverted_residual_tensor.cuh"),
    "upsample_argmax.cu": ("upsample_argmax.cu",),
}  # fmt: skip
_OPERATORS = {
    "dpw_conv.cu": "DPWConv",
    "dpw_inverted_residual.cu": "DPWInvertedResidual",
    "upsample_argmax.cu": "UpsampleArgmax",
}


@dataclass(frozen=True)
class Barrier:
    file: str
    line: int

    @property
    def program(self) -> str:
        """The .cu file through which its removal shows."""
        return next(program for program, files in _USERS.items() if self.file in files)


def barriers() -> Iterator[Barrier]:
    for path in sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")]):
        for number, text in enumerate(path.read_text().splitlines(), start=1):
            if _BARRIER.search(text.split("//")[0]):
                yield Barrier(path.name, number)


def _without(barrier: Barrier, folder: Path) -> Path:
    """A copy of the kernels in which the barrier is an empty statement."""
    kernels = folder / "kernels"
    shutil.copytree(KERNELS, kernels)
    path = kernels / barrier.file
    lines = path.read_text().splitlines(keepends=True)
    lines[barrier.line - 1] = _BARRIER.sub(";", lines[barrier.line - 1])
    path.write_text("".join(lines))
    return kernels


def _matches(kernels: Kernels, case: Case) -> bool:
    try:
        assert_matches(case, kernels.run(case), on_cuda(case))
    except (AssertionError, RuntimeError):
        return False
    return True


def noticed_by(barrier: Barrier, objects: Path) -> str | None:
    """The first test vector, with its thread order, that fails without the barrier. `objects` are those of the whole
    kernels; only the changed one is compiled again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kernels = _without(barrier, folder)
        changed = compile_object(kernels / barrier.program, folder / "changed.o", _FLAGS, kernels=kernels)
        others = [path for path in sorted(objects.glob("*.o")) if path.stem != Path(barrier.program).stem]
        library = Kernels(link([changed, *others], folder / "libkernels.so", _FLAGS))
    for order in _ORDERS:
        os.environ["CUDA_ON_CPU_ORDER"] = order
        for case in CASES:
            if case.operator == _OPERATORS[barrier.program] and not _matches(library, case):
                return f"{case.name}, {order}"
    return None


def _in_a_process_of_its_own(barrier: Barrier, objects: Path) -> str | None:
    """A removed barrier may also crash: that is noticed too."""
    command = [sys.executable, "-m", "cuda_kernels.remove_barriers", str(objects), barrier.file, str(barrier.line)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.strip() or None) if done.returncode == 0 else f"exit code {done.returncode}"


def main() -> None:
    if len(sys.argv) == 4:
        objects, file, line = sys.argv[1:]
        chosen = next(barrier for barrier in barriers() if (barrier.file, str(barrier.line)) == (file, line))
        print(noticed_by(chosen, Path(objects)) or "")
        return
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        compile_for_cpu(Path(folder) / "libkernels.so", "library.cpp", _FLAGS)
        for barrier in barriers():
            noticed = _in_a_process_of_its_own(barrier, Path(folder))
            missed += noticed is None
            print(f"{barrier.file}:{barrier.line:<4} {noticed or 'NOT NOTICED'}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

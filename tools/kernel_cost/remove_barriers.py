"""Mutation test of the barriers: removes each `__syncthreads()` of the kernels in turn; a test vector must then fail.

The kernels are copied without the barrier and run the test vectors on the CPU in forward, reverse and shuffled thread
order. Exits with 1 if a removal changes no result.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cuda_on_cpu.build import KERNELS, compile_for_cpu, compile_object, link
from cuda_on_cpu.kernels import THREAD_ORDERS, Kernels, thread_order
from vectors import CASES, Case, assert_matches, on_cuda

_EXAMPLES = """\
examples:
  PYTHONPATH=tools python -m kernel_cost.remove_barriers                              every barrier; takes many minutes
  PYTHONPATH=tools python -m kernel_cost.remove_barriers --file upsample_argmax.cu    those of one file
"""

_FLAGS = ("-O0", "-fPIC", "-shared", "-Wno-empty-body")
_BARRIER = re.compile(r"__syncthreads\(\);")

# The program that each file is part of: only it is compiled again, and only its operator runs.
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
        """The .cu file that includes it."""
        return next(program for program, files in _USERS.items() if self.file in files)


def barriers() -> Iterator[Barrier]:
    """All barriers, by file and line."""
    for path in sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")]):
        for number, text in enumerate(path.read_text().splitlines(), start=1):
            if _BARRIER.search(text.split("//")[0]):
                yield Barrier(path.name, number)


def _without(barrier: Barrier, folder: Path) -> Path:
    """A copy of the kernels with an empty statement in place of the barrier."""
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
    """The first test vector, with its thread order, that fails without the barrier; None if all pass. `objects` is the
    folder with the object files of the unchanged kernels; only the changed one is compiled again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kernels = _without(barrier, folder)
        changed = compile_object(kernels / barrier.program, folder / "changed.o", _FLAGS, kernels=kernels)
        others = [path for path in sorted(objects.glob("*.o")) if path.stem != Path(barrier.program).stem]
        library = Kernels(link([changed, *others], folder / "libkernels.so", _FLAGS))
    for order in THREAD_ORDERS:
        with thread_order(order):
            for case in CASES:
                if case.operator == _OPERATORS[barrier.program] and not _matches(library, case):
                    return f"{case.name}, {order}"
    return None


def _noticed_in_subprocess(barrier: Barrier, objects: Path) -> str | None:
    """As `noticed_by`, in a subprocess: a crash without the barrier counts as noticed too."""
    command = [sys.executable, "-m", "kernel_cost.remove_barriers", "--one", str(objects), barrier.file,
               str(barrier.line)]  # fmt: skip
    folders = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return (done.stdout.strip() or None) if done.returncode == 0 else f"exit code {done.returncode}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m kernel_cost.remove_barriers",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = sorted({barrier.file for barrier in barriers()})
    parser.add_argument("--file", choices=files, metavar="FILE", help=f"one of {', '.join(files)}")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # objects, file and line: the subprocess
    arguments = parser.parse_args()
    if arguments.one:
        objects, file, line = arguments.one
        print(noticed_by(Barrier(file, int(line)), Path(objects)) or "")
        return
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        compile_for_cpu(Path(folder) / "libkernels.so", "library.cpp", _FLAGS)
        for barrier in barriers():
            if arguments.file not in (None, barrier.file):
                continue
            noticed = _noticed_in_subprocess(barrier, Path(folder))
            missed += noticed is None
            print(f"{barrier.file}:{barrier.line:<4} {noticed or 'NOT NOTICED'}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

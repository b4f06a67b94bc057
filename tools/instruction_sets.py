"""Runs the numerical tests with capped instruction sets, and prints the worst error of each kind under each cap.

    scripts/test_instruction_sets.sh [--full]

PyTorch (ATen, oneDNN, MKL) and our CPU operators use no better instructions than the cap; ONNX Runtime's own operators
cannot be capped. The bounds are the same everywhere: they follow from the arithmetic. An error is printed as a share of
its bound; a share above 1 fails a test. scripts/test.sh runs one thread without a cap.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cap:
    """The highest instruction set allowed, by each library's name for it; empty: no cap."""

    name: str
    ours: str = ""
    aten: str = ""
    onednn: str = ""
    mkl: str = ""
    flag: str = ""
    """In /proc/cpuinfo, of processors that have these instructions."""

    @property
    def environment(self) -> dict[str, str]:
        names = {
            "HYPERSEG_MAX_CPU_ISA": self.ours,
            "ATEN_CPU_CAPABILITY": self.aten,
            "ONEDNN_MAX_CPU_ISA": self.onednn,
            "MKL_ENABLE_INSTRUCTIONS": self.mkl,
        }
        return {name: value for name, value in names.items() if value}


CAPS = (
    Cap("SSE4", "sse4", "default", "SSE41", "SSE4_2", "sse4_1"),
    Cap("AVX2", "avx2", "avx2", "AVX2", "AVX2", "avx2"),
    Cap("AVX-512", "avx512", "avx512", "AVX512_CORE", "AVX512", "avx512f"),
    Cap("no cap"),
)


@dataclass(frozen=True)
class Run:
    """The numerical tests under a cap, on a number of threads."""

    cap: Cap
    threads: int

    @property
    def name(self) -> str:
        return f"{self.cap.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class Result:
    passed: bool
    summary: str
    worst: dict[str, tuple[float, float]]
    """Kind of comparison -> largest share of its bound, largest error."""


def processor() -> tuple[str, set[str]]:
    """Name and flags of the processor."""
    fields = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    values = {name.strip(): value.strip() for name, _, value in reversed(fields)}
    return values.get("model name", "unknown processor"), set(values.get("flags", "").split())


def run(case: Run, core: int, options: Sequence[str]) -> Result:
    """One run of pytest; with one thread pinned to `core`, otherwise on all cores."""
    cores = {core} if case.threads == 1 else os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "worst.json"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", "--worst", str(path), *options],
            cwd=ROOT,
            env={**os.environ, **case.cap.environment, "OMP_NUM_THREADS": str(case.threads)},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            capture_output=True,
            text=True,
            check=False,
        )
        worst = json.loads(path.read_text()) if path.exists() else {}
    if done.returncode:
        print(f"\n===== {case.name}\n{done.stdout[-8000:]}{done.stderr[-2000:]}", flush=True)
    lines = done.stdout.strip().splitlines() or ["nothing was printed"]
    return Result(done.returncode == 0, lines[-1], {kind: (share, error) for kind, (share, error) in worst.items()})


def run_all(cases: Sequence[Run], options: Sequence[str], at_a_time: int) -> dict[Run, Result]:
    """Runs them in parallel processes, at most one per core."""
    free = sorted(os.sched_getaffinity(0))

    def one(case: Run) -> Result:
        core = free.pop()
        try:
            return run(case, core, options)
        finally:
            free.append(core)

    with ThreadPoolExecutor(at_a_time) as pool:
        return dict(zip(cases, pool.map(one, cases), strict=True))


def table(results: dict[Run, Result]) -> str:
    """Table of comparisons by runs: the largest share of the bound, and in parentheses the largest error."""
    kinds = sorted({kind for result in results.values() for kind in result.worst})
    rows = [["largest error / bound", *(case.name for case in results)], ["---"] * (len(results) + 1)]
    for kind in kinds:
        cells = [result.worst.get(kind) for result in results.values()]
        rows.append([kind, *("" if cell is None else f"{cell[0]:.2f} ({cell[1]:.1e})" for cell in cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all tests under each cap, not the numerical ones alone")
    options = ["-n", "auto"] if parser.parse_args().full else ["-m", "numerics"]
    name, flags = processor()
    caps = [cap for cap in CAPS if not cap.flag or cap.flag in flags]
    for cap in CAPS:
        if cap not in caps:
            print(f"{cap.name}: skipped, this processor has none")
    full = options[0] == "-n"
    if full:  # each run has as many processes as cores
        cases = [Run(cap, os.cpu_count() or 1) for cap in caps]
    else:
        cases = [*(Run(cap, 1) for cap in caps if cap.flag), Run(caps[-1], 2)]
    started = time.monotonic()
    results = run_all(cases, options, at_a_time=1 if full else len(os.sched_getaffinity(0)))
    print(f"\n{name}, {time.monotonic() - started:.0f} s\n\n{table(results)}\n")
    for case, result in results.items():
        print(f"{case.name}: {result.summary}")
    return 0 if all(result.passed for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

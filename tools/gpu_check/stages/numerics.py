"""Runs each test vector of the CUDA operators in each placement three times, and compares with the float64 reference.

Inputs and outputs are allocations of exactly their size, outputs filled with 0xff before every launch.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import worst
from cuda_on_cpu.kernels import read_output, write_request
from vectors import CASES, PLACEMENTS, TARGET_CASES, Case, assert_matches, on_cuda, placements_of

from gpu_check.processes import run_limited
from gpu_check.stage import Context, Reporter

_REPEATS = 3


@dataclass(frozen=True)
class _Verdict:
    kind: str
    placement: str
    name: str
    problem: str
    share: float
    """The largest error over its bound."""


def run(context: Context, reporter: Reporter) -> None:
    reporter.note(
        "The largest error over its bound must be at most 1 (docs/numerics.md). float16 is normally close to 1: "
        "rounding the result is nearly all of its error."
    )
    folder = Path(context.work) / "numerics"
    folder.mkdir(exist_ok=True)
    jobs = [
        (case, name, folder / f"{case.name}-{index}.request")
        for index, name in enumerate(PLACEMENTS)
        for case in [*CASES, *TARGET_CASES]
        if name in placements_of(case)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_write, jobs, chunksize=16))
        command = [context.run_requests, "--repeat", str(1 if context.host else _REPEATS)]
        command += [str(file) for _, _, file in jobs]
        code, text = run_limited(command, max(context.seconds_left, 5.0))
        said = dict(line.split(": ", 1) for line in text.splitlines() if ".request: " in line)
        for file, problem in said.items():
            reporter.row("launches that failed", launch=Path(file).stem, problem=problem, ok=False)
        ran = [job for job in jobs if job[2].with_name(job[2].name + ".output").is_file()]
        if code != 0:
            ended = "was not done in time" if code is None else f"ended with exit code {code}"
            reporter.fail(f"run_requests {ended} after {len(ran)} of {len(jobs)} launches: {text.strip()[-200:]}")
        verdicts = list(pool.map(_judge, ran, chunksize=4))
    for verdict in verdicts:
        if verdict.problem:
            reporter.row(
                "wrong values", vector=verdict.name, placement=verdict.placement, problem=verdict.problem, ok=False
            )
    for kind, placement in dict.fromkeys((verdict.kind, verdict.placement) for verdict in verdicts):
        group = [verdict for verdict in verdicts if (verdict.kind, verdict.placement) == (kind, placement)]
        largest = max(group, key=lambda verdict: verdict.share)
        reporter.row(
            "test vectors",
            operator=kind,
            placement=placement,
            vectors=len(group),
            **{"largest error / bound": largest.share, "of": largest.name},
            ok=not any(verdict.problem for verdict in group),
        )


def _write(job: tuple[Case, str, Path]) -> None:
    case, placement, file = job
    write_request(case, file, PLACEMENTS[placement])


def _judge(job: tuple[Case, str, Path]) -> _Verdict:
    case, placement, file = job
    kind = f"{case.operator}, {case.dtype}"
    problem, share = "", 0.0
    with worst.recorded() as shares:
        try:
            assert_matches(case, read_output(case, file), on_cuda(case))
        except AssertionError as error:
            problem = " ".join(str(error).split())[:300] or "an assertion without a message failed"
        share = max(shares, default=0.0)
    if not problem and not share <= 1.0:
        problem = f"an error of {share:.3g} times its bound"
    return _Verdict(kind, placement, case.name, problem, share)

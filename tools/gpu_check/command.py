"""Checks and measures the kernels on this machine's NVIDIA GPU with the existing python3. Installs nothing.

The stages run in order of importance, each in a separate process. Results are written to gpu-check.json and
gpu-check.md immediately, so they are kept if the run is aborted.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from gpu_check import driver, programs
from gpu_check.report import Report
from gpu_check.run import run_stages
from gpu_check.stage import STAGES

_EXAMPLES = """\
stages, in order:
{stages}

examples:
  scripts/gpu_check.sh                                  everything, within 8 minutes
  scripts/gpu_check.sh --minutes 3 --only numerics pytorch
  PYTHON=.venv-gpu/bin/python scripts/gpu_check.sh --minutes 30     with the packages of scripts/test.sh -m gpu
  scripts/gpu_check.sh --host                           rehearsal on a machine without a GPU

It runs with python3 from PATH or the interpreter in PYTHON. Stages whose packages are missing are reported as skipped.

exit code: 0 a stage passed and none failed; 1 a stage failed or timed out, or the check could not start; 3 every
stage was skipped; 130 interrupted
"""
_OF_EARLIER_RUNS = ("gpu-check.json", "gpu-check.md", "ncu.csv", "compute-sanitizer-*.log")
_NOTHING_CHECKED = 3


class _BusyError(Exception):
    """Another run writes to the same folder."""


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    deadline = time.monotonic() + 60.0 * options.minutes
    out = Path(options.out)
    report = Report(_facts())
    try:
        with _open_folder(out) as log, TemporaryDirectory(prefix="hyperseg-gpu-check-") as work:
            _build(Path(work), report, host=options.host, seconds=deadline - time.monotonic())
            _remove_earlier(out, log)
            stages = [stage for stage in STAGES if not options.only or stage.name in options.only]
            run_stages(
                report, stages, host=options.host, work=Path(work), out=out, log=log, deadline=deadline, say=_say
            )
    except (driver.NoGpuError, programs.BuildError, _BusyError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        _complain(f"interrupted; results until then are in {out}" if report.stages else "interrupted")
        return 130
    except OSError as error:
        return _cannot_write(error, out, report)
    _say(f"\n{out / 'gpu-check.md'}")
    if report.failed:
        return 1
    return 0 if report.passed else _NOTHING_CHECKED


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    names = [stage.name for stage in STAGES]
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES.format(stages="\n".join(f"  {stage.name:<13}{stage.shows}" for stage in STAGES)),
    )
    parser.add_argument("--out", default="runs/gpu-check", metavar="DIR", help="folder of the report (%(default)s)")
    parser.add_argument("--minutes", type=_minutes, default=8.0, metavar="N", help="time limit, minutes (%(default)g)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="STAGE", help="run only these stages")
    parser.add_argument("--host", action="store_true", help="rehearse on the CPU, without a GPU")
    return parser.parse_args(arguments)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 24 * 60:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes between 0 and a day")
    return value


def _open_folder(out: Path) -> IO[str]:
    """The folder's log, locked for this run. Raises OSError and _BusyError."""
    out.mkdir(parents=True, exist_ok=True)
    log = (out / "gpu-check.log").open("a")
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.close()
        raise _BusyError(f"another run writes to {out}; choose another folder with --out") from None
    return log


def _remove_earlier(out: Path, log: IO[str]) -> None:
    """Removes the files of an earlier run."""
    log.truncate(0)
    for pattern in _OF_EARLIER_RUNS:
        for path in out.glob(pattern):
            path.unlink()


def _facts() -> dict[str, Any]:
    return {
        "gpu": "none (rehearsal on the CPU)",
        "date": date.today().isoformat(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def _build(work: Path, report: Report, *, host: bool, seconds: float) -> None:
    """Builds the programs, and adds the machine to the report. Raises NoGpuError and BuildError."""
    started = time.monotonic()
    if host:
        _say("building the kernels for the CPU")
        programs.build_for_host(work)
    else:
        gpu = driver.find_gpu()
        nvcc = driver.require_nvcc()
        release = driver.check_compiler(gpu, nvcc)
        report.machine |= {**gpu.to_dict(), "nvcc": release, **driver.state(gpu)}
        _say(f"building the kernels for {gpu.name}, compute capability {driver.dotted(gpu.capability)}")
        programs.build_for_device(work, nvcc, gpu.capability, max(seconds, 60.0))
    report.machine["seconds to build"] = round(time.monotonic() - started, 1)


def _cannot_write(error: OSError, out: Path, report: Report) -> int:
    if report.stages:
        _say(report.markdown())
    kept = "; the figures until then are printed above" if report.stages else ""
    named = str(error.filename or out)
    remedy = "TMPDIR" if "hyperseg-gpu-check-" in named else "--out"
    return _complain(f"{named}: {error.strerror or error}{kept}; choose another folder with {remedy}")


def _say(line: str) -> None:
    """Prints a line. A closed or full stdout does not end the run: the report has everything."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  until the process ends


def _complain(message: str) -> int:
    print(f"gpu_check: {message}", file=sys.stderr)
    return 1

"""Runs compute-sanitizer's four tools on test vectors that reach every kernel."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

from cuda_on_cpu.kernels import write_request
from vectors import CASES, PADDED_ROWS, TARGET_CASES, UNEVEN_ROWS, Case, Placement, UpsampleArgmaxCase

from gpu_check.processes import run_limited
from gpu_check.stage import Context, Reporter, SkipStageError

_NAMES = (
    # dpw_conv.cu: pointwise_small of 1, 2 and 4, with and without pairs; pointwise_float and _tensor in both tiles;
    # depthwise in three tiles; convolution
    "patch1", "patch2", "patch4", "pieces2", "pieces16", "patch8", "patch17", "glue", "kernel3-group", "depthwise",
    "camvid-s-level0", "camvid-s-level1", "camvid-s-level2", "voc-l-level3-dw", "voc-l-level3-pw1", "voc-l-level5-dw",
    "voc-l-level5-pw2", "wide-grid", "offset-odd",
    # dpw_inverted_residual.cu: three float tiles of 8 to 24 output channels, two tensor tiles of 16 and 32
    "patch5", "patch12", "residual-glue", "camvid-s-level3", "camvid-s-level4", "camvid-l-level4", "camvid-l-level5",
    "cityscapes-m-level4", "cityscapes-s-level3", "cityscapes-s-level4", "batch", "one-pixel", "two-pixels",
    "wide-patch", "odd-channels", "out20", "out24", "out24-patch16", "wide-out8", "wide-out12", "wide-out16",
    "wide-out24",
    # upsample_argmax.cu
    "argmax", "scale2", "scale3", "many-classes", "target-enlarged-uint8", "target-window-fractions-uint8",
    "target-shrunk-much-uint8", "target-shrunk-much-int32",
)  # fmt: skip
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
_FOUND = 97
"""The exit code of compute-sanitizer for errors (--error-exitcode)."""


def chosen() -> list[tuple[Case, Placement]]:
    """Test vectors that together launch every kernel; preset levels have two patches, since blocks are independent."""
    cases = [case for case in [*CASES, *TARGET_CASES] if any(f"-{name}-float" in case.name for name in _NAMES)]
    cases = [
        replace(case, grid=(1, 2)) if not isinstance(case, UpsampleArgmaxCase) and "level" in case.name else case
        for case in cases
    ]
    placed = [
        (case, placement)
        for case in cases
        for placement in (PADDED_ROWS, UNEVEN_ROWS)
        if not isinstance(case, UpsampleArgmaxCase) and ("glue" in case.name or "level" in case.name)
    ]
    return [*((case, Placement()) for case in cases), *placed]


def command_line(tool: str, program: str, files: list[str]) -> list[str]:
    """compute-sanitizer on `run_requests`; `compute-sanitizer --help` has these options."""
    return [
        "compute-sanitizer",
        "--tool",
        tool,
        "--error-exitcode",
        str(_FOUND),
        "--print-limit",
        "20",
        program,
        *files,
    ]


def errors_in(text: str) -> int | None:
    """The number of errors that the tool reports, None without a summary.

    Of "ERROR SUMMARY: 0 errors", or "RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)".
    """
    if found := re.search(r"RACECHECK SUMMARY: (\d+) hazards? displayed", text):
        return int(found.group(1))
    found = re.search(r"ERROR SUMMARY: (\d+) errors?", text)
    return int(found.group(1)) if found else None


def run(context: Context, reporter: Reporter) -> None:
    if not context.host and shutil.which("compute-sanitizer") is None:
        raise SkipStageError("compute-sanitizer was not found: put the CUDA toolkit's bin folder on PATH")
    folder = Path(context.work) / "sanitizer"
    folder.mkdir(exist_ok=True)
    files = []
    for index, (case, placement) in enumerate(chosen()):
        path = folder / f"{index}-{case.name}.request"
        write_request(case, path, placement)
        files.append(str(path))
    for index, tool in enumerate(TOOLS[:1] if context.host else TOOLS):
        seconds = context.seconds_left / (len(TOOLS) - index)
        _one_tool(tool, files, seconds, context, reporter)


def _one_tool(tool: str, files: list[str], seconds: float, context: Context, reporter: Reporter) -> None:
    program = context.run_requests
    log = Path(context.out) / f"compute-sanitizer-{tool}.log"
    started = time.monotonic()
    command = [program, *files] if context.host else command_line(tool, program, files)
    code, text = run_limited(command, max(seconds, 3.0))
    ran = sum(Path(file + ".output").exists() for file in files)
    for file in files:
        Path(file + ".output").unlink(missing_ok=True)
    found = 0 if context.host and code == 0 else errors_in(text)
    clean = code == 0 and found == 0 and ran == len(files)
    if not clean:
        log.write_text(text)
    reporter.row(
        "compute-sanitizer",
        tool=tool,
        launches=f"{ran} of {len(files)}",
        found=_verdict(code, found, text, log.name) if not context.host else "not run (rehearsal)",
        seconds=round(time.monotonic() - started, 1),
        ok=clean,
    )


def _verdict(code: int | None, found: int | None, text: str, log: str) -> str:
    if code is None:
        return f"not done in time; see {log}"
    if found is None:
        return f"the tool did not run: {_last_line(text)}"
    if found:
        return f"{found} errors; see {log}"
    return "nothing" if code == 0 else f"ended with exit code {code}; see {log}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"

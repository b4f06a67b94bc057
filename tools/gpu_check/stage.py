"""The list of stages, a stage's context, and its reporter."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class SkipStageError(Exception):
    """The stage cannot run here; the message says why and the remedy."""


@dataclass(frozen=True)
class Context:
    """Context of a stage.

    host: without a GPU, on the kernels compiled for the CPU.
    work: a folder for files that need not be kept; programs are in it.
    out: the folder of the report.
    deadline: when the stage has to end, as time.monotonic() says, which all processes share.
    """

    host: bool
    work: str
    out: str
    deadline: float

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def run_requests(self) -> str:
        return str(Path(self.work) / "run_requests")

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Reporter:
    """Sends the results of a stage to the process that writes the report, as JSON lines, unbuffered."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def row(self, table: str, **values: Any) -> None:
        """`ok=False` makes the stage fail."""
        self._send(kind="row", table=table, row=values)

    def note(self, text: str) -> None:
        self._send(kind="note", text=text)

    def skip(self, reason: str) -> None:
        self._send(kind="skip", reason=reason)

    def fail(self, reason: str) -> None:
        self._send(kind="fail", reason=reason)

    def cut(self, reason: str) -> None:
        """Reports that the time is over; results until then are kept."""
        self._send(kind="cut", reason=reason)

    def done(self) -> None:
        """Ends the messages; a stage passes only with it."""
        self._send(kind="done")

    def _send(self, **message: Any) -> None:
        print(json.dumps(_finite(message), allow_nan=False), file=self._stream, flush=True)


def _finite(value: Any) -> Any:
    """Replaces NaN and infinity, which JSON lacks, with null."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


Run = Callable[[Context, Reporter], None]


@dataclass(frozen=True)
class Stage:
    """A stage of the check.

    weight: its share of the time, against those of the stages that are still to come.
    least_seconds: below that it is not started.
    shows: its purpose, in one line.
    unreached: what --host cannot reach of it.
    packages: Python packages without which there is nothing to do on a GPU; of "a|b" one is enough.
    """

    name: str
    title: str
    module: str
    weight: float
    least_seconds: float
    shows: str
    unreached: str
    packages: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """The reason why the stage cannot run with this python3, in one line; None if it can."""
        for package in self.packages:
            names = package.split("|")
            if not any(_installed(name) for name in names):
                return f"{' or '.join(names)} is not installed for {sys.executable}"
        return None


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return find_spec(distribution.replace("-", "_")) is not None  # as on a Jetson, without metadata
    return True


_TORCH = ("numpy", "cv2", "torch")

STAGES = (
    Stage("numerics", "Numerics", "numerics", 2, 8,
          "every test vector against the float64 reference",
          "the device's arithmetic: fused multiply-adds, tensor cores, warps in lockstep", ("numpy",)),
    Stage("sanitizer", "compute-sanitizer", "sanitizer", 3, 15,
          "memcheck, racecheck, initcheck and synccheck over launches of every kernel",
          "compute-sanitizer itself; the same launches run without it", ("numpy",)),
    Stage("pytorch", "PyTorch on CUDA", "pytorch", 3, 20,
          "logits of every preset on our kernels against the CPU's",
          "CUDA streams, capture in a CUDA graph, cuDNN, TF32, float16 convolutions; resolutions are small", _TORCH),
    Stage("frames", "Frame rates", "frame_rate", 5, 30,
          "frames/s of every preset, ours and in other formulations",
          "every figure, CUDA graphs, torch.compile on a GPU", _TORCH),
    Stage("kernels", "Kernel by kernel", "kernel_times", 3, 15,
          "every decoder level and its lower bound; counters of six launches (ncu)",
          "every figure, CUDA graphs, ncu and what it prints", _TORCH),
    Stage("onnxruntime", "ONNX Runtime on CUDA", "onnxruntime_cuda", 2, 15,
          "exported files in the CUDA provider",
          "ONNX Runtime's CUDA provider; the same files run on its CPU provider",
          (*_TORCH, "onnx", "onnxruntime-gpu")),
    Stage("tensorrt", "TensorRT", "tensorrt_suite", 4, 30,
          "the suite tests/gpu: engines built, run, captured and timed",
          "TensorRT and pycuda: the suite is collected, and skipped",
          ("pytest", "pycuda", "tensorrt|tensorrt-rtx")),
)  # fmt: skip
"""In order of importance."""


def stage_named(name: str) -> Stage:
    return next(stage for stage in STAGES if stage.name == name)

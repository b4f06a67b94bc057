"""Size of a model: its files, its parameters, and the peak memory of a process of its own.

Peak memory is Linux's VmHWM (proc_pid_status(5)) of a new process that opens the model and runs it three times: the
whole process, Python and libraries included, and separately its peak before the model was opened. Memory on the GPU is
not part of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import hyperseg_runtime
from hyperseg_runtime.benchmark.subject import Opening, natural_images, weight_files
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.onnx_file import read_parameters

_RUNS = 3
# Not `python -m`, which would import from the working folder.
_CODE = """
import sys
sys.path[:] = [sys.argv[1], *filter(None, sys.path)]
from hyperseg_runtime.benchmark import footprint
footprint.main()
"""


@dataclass(frozen=True)
class PeakMemory:
    """Of a process that runs one model, in bytes."""

    total: int
    before_model: int
    """Before the model was opened."""

    def to_dict(self) -> dict[str, object]:
        return {
            "bytes": self.total,
            "before_model_bytes": self.before_model,
            "method": f"VmHWM of a process of its own that opens the model and runs it {_RUNS} times",
        }


def file_bytes(model: Path) -> int:
    return sum(file.stat().st_size for file in weight_files(model))


def parameters(model: Path) -> int | None:
    """The number of weights in an ONNX file; None for an engine, which does not tell."""
    return None if is_engine(model) else read_parameters(model)


def peak_memory(model: Path, opening: Opening) -> PeakMemory:
    """Runs the model in a process of its own. Raises HyperSegError with the reason if that fails."""
    package = str(Path(hyperseg_runtime.__file__).parents[1])
    options = asdict(opening)
    command = [sys.executable, "-c", _CODE, package, str(model), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.splitlines()[-1:] or [f"it ended with status {done.returncode}"]
        raise HyperSegError(f"{model}: a process of its own failed: {said[0]}")
    before, after = json.loads(lines[-1])
    return PeakMemory(after, before)


def main() -> None:
    """The process of its own: prints the peak before opening the model, and after running it."""
    _, model, text = sys.argv[1:]  # the first is for _CODE
    options = json.loads(text)
    size = options["resolution"]
    opening = Opening(
        options["backend"],
        options["threads"],
        None if size is None else (size[0], size[1]),
        options["allow_host_code"],
    )
    path = Path(model)
    if not is_engine(path):
        import onnxruntime  # noqa: F401  # a library, not the model

    before = _peak_bytes()
    with opening.open(path) as segmenter:
        images = natural_images(segmenter, segmenter.session.batch_range[0], 1)[0]
        for _ in range(_RUNS - 1):
            segmenter.session.run(images)
        sys.stdout.write(f"{json.dumps([before, _peak_bytes()])}\n")


def _peak_bytes() -> int:
    """The peak of the resident memory. Unlike getrusage's ru_maxrss it does not include the parent's before exec."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        raise SystemExit("this system does not tell the peak memory of a process (VmHWM)") from None

"""What this installation can do, task by task, and everything that the other tasks need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hyperseg_runtime import extras, libraries, machine
from hyperseg_runtime.backends import cuda, tensorrt, tensorrt_flavour
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.backends.selection import availability
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.libraries import Library
from hyperseg_runtime.output.windows import missing_for_windows


@dataclass(frozen=True)
class Task:
    """A task and whether it can be done here."""

    name: str
    missing: tuple[str, ...]
    """Everything that it needs and that is not here, one line each with its remedy; empty if the task can be done."""
    means: str
    """What it is done with; empty if it cannot be done."""

    @property
    def can(self) -> bool:
        return not self.missing

    def to_dict(self) -> dict[str, object]:
        return {"task": self.name, "can": self.can, "means": self.means, "missing": list(self.missing)}


Findings = tuple[Sequence[str], str]
"""What is missing, and the means."""


def tasks(base: Sequence[str] = ()) -> tuple[Task, ...]:
    """Every task of the commands. Never raises: half-installed GPU stacks are findings.

    base: what is missing of the packages that every command needs, one line each.
    """
    checks: dict[str, Callable[[], Findings]] = {
        "export checkpoints": partial(_packages, extras.EXTRAS["export"], "export"),
        "train networks": partial(_packages, extras.EXTRAS["train"], "train"),
        "evaluate checkpoints": partial(_packages, ("torch",), "export"),
        "evaluate ONNX files": _on_cpu,
        "run ONNX files on the CPU": _on_cpu,
        "run ONNX files with OpenVINO": partial(_backend, BackendName.ONNXRUNTIME_OPENVINO),
        "run ONNX files with CUDA": partial(_backend, BackendName.ONNXRUNTIME_CUDA),
        "run engines of TensorRT": partial(_run_engines, Flavour.TENSORRT),
        "run engines of TensorRT for RTX": partial(_run_engines, Flavour.RTX),
        "build engines on this machine's GPU": _build_here,
        "build engines ahead of time": _build_ahead,
        "show a window (--show)": _show,
    }
    return tuple(_task(name, base, check) for name, check in checks.items())


def _task(name: str, base: Sequence[str], check: Callable[[], Findings]) -> Task:
    try:
        missing, means = check()
    except Exception as error:  # a half-installed GPU stack may raise anything
        missing, means = [f"{type(error).__name__}: {' '.join(str(error).split())}"], ""
    needed = tuple(dict.fromkeys((*base, *missing)))
    return Task(name, needed, "" if needed else means)


def _packages(modules: Sequence[str], extra: str) -> Findings:
    missing = [module for module in modules if not extras.is_installed(module)]
    if missing:
        return [f"{', '.join(missing)} not installed: {extras.pip_install(extra)}"], ""
    return [], ", ".join(f"{module} {machine.version(module.replace('_', '-')) or ''}".strip() for module in modules)


def _backend(name: BackendName) -> Findings:
    found = availability(name)
    return ([], found.detail) if found.available else (found.missing or (found.detail,), "")


def _on_cpu() -> Findings:
    missing, means = _backend(BackendName.ONNXRUNTIME)
    if (wrong := libraries.isa_error()) is not None:
        missing = [*missing, wrong]
    elif libraries.find(Library.ONNXRUNTIME) is not None and (broken := libraries.load_error(Library.ONNXRUNTIME)):
        means = f"portable models only, {Library.ONNXRUNTIME.value} does not load: {broken}"
    return missing, means


def _run_engines(flavour: Flavour) -> Findings:
    label, problem = _load(flavour)
    driver = cuda.find_gpus()
    missing = list(tensorrt.missing_for((flavour,))) + ([] if problem is None else [problem])
    return missing, f"{label} on {', '.join(gpu.name for gpu in driver.gpus)}"


def _build_here() -> Findings:
    loaded = {flavour: _load(flavour) for flavour in Flavour}
    labels = [label for label, problem in loaded.values() if problem is None]
    driver = cuda.find_gpus()
    missing = [] if driver.problem is None else [driver.problem]
    if not labels:
        missing.append(_of_the_installed_or_first(loaded))
    means = f"{' or '.join(labels)} for {driver.gpus[0].name}" if driver.gpus else ""
    return [*missing, *_build_tools()], means


def _build_ahead() -> Findings:
    """TensorRT for RTX builds for GPUs that need not be present; the full TensorRT times kernels on the GPU."""
    label, problem = _load(Flavour.RTX)
    missing = [] if problem is None else [problem]
    return [*missing, *_build_tools()], f"{label}, for GeForce RTX (--flavour tensorrt-rtx)"


def _build_tools() -> list[str]:
    missing = list(_packages(extras.EXTRAS["engine"], "engine")[0])
    if libraries.find(Library.TENSORRT) is None:
        missing.append(f"{Library.TENSORRT.value} was not built: pip install . where nvcc is")
    return missing


def _load(flavour: Flavour) -> tuple[str, str | None]:
    """Name and version of a flavour, or what is wrong with it."""
    try:
        return tensorrt_flavour.load(flavour).name, None
    except LibraryMissingError as error:
        return "", str(error)


def _of_the_installed_or_first(loaded: dict[Flavour, tuple[str, str | None]]) -> str:
    """The problem of a flavour that is installed and does not load, else that none is installed."""
    broken = [str(problem) for flavour, (_, problem) in loaded.items() if flavour in tensorrt_flavour.installed()]
    return broken[0] if broken else f"no TensorRT is installed: {Flavour.TENSORRT.extra}, or {Flavour.RTX.extra}"


def _show() -> Findings:
    return missing_for_windows(), "OpenCV's windows"

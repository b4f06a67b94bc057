"""Diagnosis of a machine: hardware, packages, native libraries, backends, tasks and the default model."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hyperseg_runtime import key_report, libraries, machine
from hyperseg_runtime.backends import cuda
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.backends.selection import availability
from hyperseg_runtime.capabilities import Task, tasks
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import AmbiguousModelError, HyperSegError, LibraryMissingError
from hyperseg_runtime.graph_target import read_target
from hyperseg_runtime.key_report import KeyReport
from hyperseg_runtime.libraries import Library
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.names import as_unicode


class Verdict(str, Enum):
    """OK: works. MISSING: not there. BROKEN: there, but does not work. AMBIGUOUS: several, one must be named."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    verdict: Verdict
    detail: str

    def to_dict(self) -> dict[str, str]:
        return {"subject": self.subject, "verdict": self.verdict.value, "detail": as_unicode(self.detail)}


@dataclass(frozen=True)
class Diagnosis:
    """All findings, by section."""

    version: str
    """Of this package."""
    system: tuple[Finding, ...]
    packages: tuple[Finding, ...]
    libraries: tuple[Finding, ...]
    backends: tuple[Finding, ...]
    tasks: tuple[Task, ...]
    keys: KeyReport
    model: Finding

    @property
    def can_run(self) -> bool:
        """Whether the packages of every command load, and at least one backend works."""
        packages = all(finding.verdict is Verdict.OK for finding in self.packages)
        return packages and any(finding.verdict is Verdict.OK for finding in self.backends)

    def to_dict(self) -> dict[str, object]:
        return {
            "version": self.version,
            "can_run": self.can_run,
            "system": [finding.to_dict() for finding in self.system],
            "packages": [finding.to_dict() for finding in self.packages],
            "libraries": [finding.to_dict() for finding in self.libraries],
            "backends": [finding.to_dict() for finding in self.backends],
            "tasks": [task.to_dict() for task in self.tasks],
            "keys": self.keys.to_dict(),
            "model": self.model.to_dict(),
        }


def examine(folder: Path | None = None) -> Diagnosis:
    """Checks everything that a run can depend on. Never raises: failures are findings."""
    packages = tuple(_package(module, distributions) for module, distributions in _MODULES.items())
    broken = [f"{one.subject}: {one.detail}" for one in packages if one.verdict is not Verdict.OK]
    return Diagnosis(
        version=machine.own_version(),
        system=_system(),
        packages=packages,
        libraries=tuple(_library(library) for library in Library),
        backends=tuple(_backend(name) for name in BackendName),
        tasks=tasks(broken),
        keys=key_report.report(),
        model=_model(folder),
    )


_MODULES = {
    "numpy": ("numpy",),
    "cv2": ("opencv-python-headless", "opencv-python"),
    "av": ("av",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "rich": ("rich",),
}


def _system() -> tuple[Finding, ...]:
    gpus = machine.gpus()
    features = machine.cpu_features()
    return (
        Finding("CPU", Verdict.OK, f"{machine.cpu_name()}, {machine.available_cpus()} for this process"),
        Finding("CPU features", Verdict.OK if features else Verdict.MISSING, " ".join(features) or "none known"),
        Finding("GPU", Verdict.OK if gpus else Verdict.MISSING, "; ".join(gpus) or cuda.find_gpus().problem or "none"),
        Finding("Python", Verdict.OK, machine.versions()["python"]),
    )


def _package(module: str, distributions: tuple[str, ...]) -> Finding:
    installed = [f"{name} {found}" for name in distributions if (found := machine.version(name)) is not None]
    if not installed:
        return Finding(module, Verdict.MISSING, f"pip install {distributions[0]}")
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken installation may raise anything
        return Finding(module, Verdict.BROKEN, f"{', '.join(installed)}: {_one_line(error)}{_import_remedy(error)}")
    if len(installed) > 1 and module == "onnxruntime":
        return Finding(
            module, Verdict.BROKEN, f"{' and '.join(installed)} overwrite each other; uninstall both, keep one"
        )
    return Finding(module, Verdict.OK, ", ".join(installed))


def _import_remedy(error: Exception) -> str:
    if "libGL" in str(error):
        return "; apt-get install libgl1, or use opencv-python-headless instead of opencv-python"
    return ""


def key_findings(keys: KeyReport) -> tuple[Finding, ...]:
    """The report on the keys, line by line."""
    found = [Finding("problem", Verdict.BROKEN, problem) for problem in keys.problems]
    if keys.own is not None:
        detail = (
            f"{keys.own.fingerprint}; other machines accept its engines with --trust {keys.own_file}, or this line:"
        )
        found += [Finding("this machine's key", Verdict.OK, detail), Finding("", Verdict.OK, keys.own.line)]
    elif not keys.problems:
        found.append(
            Finding("this machine's key", Verdict.MISSING, "none yet; the first hyperseg-build-engine makes it")
        )
    for key in keys.trusted:
        detail = (
            f"{key.fingerprint} {key.comment or '(no comment)'}; to remove it, delete its line in {keys.trusted_file}"
        )
        found.append(Finding("trusted key", Verdict.OK, detail))
    return tuple(found)


def _library(library: Library) -> Finding:
    try:
        path = libraries.find(library)
    except LibraryMissingError as unusable:
        return Finding(library.value, Verdict.BROKEN, str(unusable))
    if path is None:
        folders = ", ".join(str(folder) for folder in libraries.search_path())
        instead = "; until then NumPy computes labels at a frame's size, slowly" if library is Library.CPU else ""
        return Finding(
            library.value, Verdict.MISSING, f"not in {folders}; pip install . builds it where it can{instead}"
        )
    error = libraries.load_error(library)
    if error is not None:
        return Finding(library.value, Verdict.BROKEN, f"{path}: {error}")
    return Finding(library.value, Verdict.OK, f"{path}{_label(library)}")


def _label(library: Library) -> str:
    if library is Library.ONNXRUNTIME and (isa := libraries.cpu_isa()) is not None:
        return f" (CPU operators: {libraries.isa_label(isa)})"
    if library is Library.CPU and (isa := libraries.cpu_isa()) is not None:
        return f" (labels at a frame's size: {libraries.isa_label(isa)})"
    if library is Library.TENSORRT and (headers := libraries.compiled_with(library, "TensorRT headers")) is not None:
        return f" (TensorRT headers: {headers})"
    return ""


def _backend(name: BackendName) -> Finding:
    try:
        found = availability(name)
    except Exception as error:  # a half-installed GPU stack may raise anything
        return Finding(name.value, Verdict.BROKEN, _one_line(error))
    return Finding(name.value, Verdict.OK if found.available else Verdict.MISSING, found.detail)


def _model(folder: Path | None) -> Finding:
    try:
        found = find_model(folder)
        target = _target(found.path)
    except AmbiguousModelError as error:
        return Finding("model", Verdict.AMBIGUOUS, str(error))
    except Exception as error:  # of a half-installed GPU stack too
        return Finding("model", Verdict.BROKEN, str(error) if isinstance(error, HyperSegError) else _one_line(error))
    return Finding("model", Verdict.OK, f"{found.path} ({found.reason}){target}")


def _target(model: Path) -> str:
    """What an ONNX file is for, and where its metadata are wrong about that."""
    if is_engine(model):
        return ""
    found = read_target(model)
    return f"; for target {found.target.value}" + ("" if found.contradiction is None else f"; {found.contradiction}")


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

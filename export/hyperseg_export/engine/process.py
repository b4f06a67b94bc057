"""Runs a build in a separate process.

TensorRT ends its process with SIGABRT or SIGSEGV on some inputs, so `worker` runs in a separate one. The two processes
exchange JSON only: a BuildRequest in a file, and one Event per line through a pipe.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import hyperseg_runtime
from hyperseg_runtime.backends.tensorrt_flavour import Flavour

import hyperseg_export
from hyperseg_export.errors import BuildCrashError, EngineError, UnsupportedOperatorError
from hyperseg_export.progress import Step

_WORKER = "hyperseg_export.engine.worker"
_PLUGIN_PREFIX = "hyperseg: "
_PATIENCE = 5.0
"""Seconds before a stopped build is killed."""

_RTX_PACKAGE = "tensorrt_rtx_libs"
_RTX_LIBRARIES = ("libtensorrt_rtx.so", "libtensorrt_onnxparser_rtx.so")


@dataclass(frozen=True)
class BuildRequest:
    """One build. Paths are absolute."""

    model: str
    """The prepared ONNX file."""
    plan: str
    """Where to write the plan."""
    flavour: Flavour
    plugin_library: str | None
    compute_capabilities: tuple[str, ...] = ()
    """Empty: the GPU of this machine."""
    profile: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """Least, best and most shape of each input with open dimensions."""
    timing_cache: str | None = None
    workspace: int | None = None
    """MiB."""
    optimization_level: int | None = None
    tf32: bool = True
    plugin_sha256: str | None = None
    """Of the plugin library, which must not change during the build, since the engine's sidecar names it; None: any."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> BuildRequest:
        content = json.loads(text)
        content["flavour"] = Flavour(content["flavour"])
        content["compute_capabilities"] = tuple(content["compute_capabilities"])
        content["profile"] = {
            name: tuple(tuple(shape) for shape in shapes) for name, shapes in content["profile"].items()
        }
        return BuildRequest(**content)


class EventKind(str, Enum):
    """PROGRESS: `text` is the phase, `value` the completed share. MESSAGE: TensorRT's text, `value` 1 for an error.
    LAYERS: the built engine's layers as TensorRT prints them. UNSUPPORTED: `text` is one operator and its node.
    FAILURE: the build is over. DONE: the plan is written; `value` is its size in bytes."""

    PROGRESS = "progress"
    MESSAGE = "message"
    LAYERS = "layers"
    UNSUPPORTED = "unsupported"
    FAILURE = "failure"
    DONE = "done"


@dataclass(frozen=True)
class Event:
    """One line from the building process."""

    kind: EventKind
    text: str = ""
    value: float = 0.0

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind.value, "text": self.text, "value": self.value})

    @staticmethod
    def from_json(text: str) -> Event:
        content: dict[str, Any] = json.loads(text)
        return Event(EventKind(content["kind"]), content["text"], content["value"])


class BuildListener(Protocol):
    """Receives the events of a build, in the thread that called `build_engine`."""

    def step(self, step: Step) -> None:
        """The stage of the build, and the share of it that is done."""

    def progress(self, phase: str, share: float) -> None:
        """TensorRT is in `phase`; `share` of the build is complete, 0 to 1."""

    def message(self, text: str) -> None:
        """TensorRT logged something (information, warning or error)."""

    def note(self, text: str) -> None:
        """A sentence on what the user should know although nothing failed."""


class NullListener:
    """Ignores all events."""

    def step(self, step: Step) -> None:
        pass

    def progress(self, phase: str, share: float) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def run_build(request: BuildRequest, listener: BuildListener) -> str:
    """Builds in a new process; returns TensorRT's list of layers, empty if it printed none.

    Raises EngineError with TensorRT's reason. Ctrl-C ends the process, then raises KeyboardInterrupt here.
    """
    with tempfile.TemporaryDirectory(prefix="hyperseg-build-") as name:
        folder = Path(name)
        written = folder / "request.json"
        written.write_text(request.to_json(), encoding="utf-8")
        log = folder / "log.txt"
        events = _Events(listener)
        status = _run(written, log, _environment(request.flavour, folder), events)
        output = log.read_text(encoding="utf-8", errors="replace")
    events.raise_failure(status, output)
    return events.layers


def _run(request: Path, log: Path, environment: dict[str, str], events: _Events) -> int:
    reading, writing = os.pipe()
    # `request`, `log` and what the request names are absolute.
    with os.fdopen(reading, encoding="utf-8", errors="replace") as channel, log.open("wb") as sink:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _WORKER, str(request), str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                # Not the user's: `-m` puts the working folder first on sys.path, and an empty entry of LD_LIBRARY_PATH
                # or PYTHONPATH means it (ld.so(8)), so that a file beside a model would be loaded as code.
                cwd=log.parent,
                pass_fds=(writing,),
                start_new_session=True,  # Ctrl-C is for us to pass on
            )
        finally:
            os.close(writing)
        try:
            for line in channel:
                events.receive(line)
            return process.wait()
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Events:
    """Collects the events of one build and forwards them."""

    def __init__(self, listener: BuildListener) -> None:
        self.layers = ""
        self._listener = listener
        self._unsupported: list[str] = []
        self._errors: list[str] = []
        self._failure: str | None = None
        self._done = False
        self._phase = "start"

    def receive(self, line: str) -> None:
        try:
            event = Event.from_json(line)
        except (ValueError, KeyError, TypeError):
            return  # the last line of a process that died while writing it
        if event.kind is EventKind.PROGRESS:
            self._phase = event.text
            self._listener.progress(event.text, event.value)
        elif event.kind is EventKind.MESSAGE:
            if event.value:
                self._errors.append(event.text)
            self._listener.message(event.text)
        elif event.kind is EventKind.LAYERS:
            self.layers = event.text
        elif event.kind is EventKind.UNSUPPORTED:
            self._unsupported.append(event.text)
        elif event.kind is EventKind.FAILURE:
            self._failure = event.text
        else:
            self._done = True

    def raise_failure(self, status: int, output: str) -> None:
        """Raises the error of the build, if there was one."""
        if self._unsupported:
            raise UnsupportedOperatorError("; ".join(self._unsupported))
        plugin = [line.removeprefix(_PLUGIN_PREFIX) for line in output.splitlines() if line.startswith(_PLUGIN_PREFIX)]
        reasons = plugin or self._errors
        if status < 0:
            name = signal.Signals(-status).name
            last = reasons[-1] if reasons else (output.strip().splitlines() or ["it gave no reason"])[-1]
            raise BuildCrashError(
                f"TensorRT ended the build process with {name} (phase: {self._phase}; {_line(last)}); "
                "nothing was written. Try another --optimization-level or --workspace, or another TensorRT"
            )
        if self._failure is not None:
            because = f": {_line(reasons[0])}" if reasons and _line(reasons[0])[:60] not in self._failure else ""
            raise EngineError(f"{self._failure}{because}")
        if status != 0 or not self._done:
            last = (output.strip().splitlines() or ["it gave no reason"])[-1]
            raise EngineError(f"the build process ended with code {status} ({_line(last)})")


def _line(text: str) -> str:
    return " ".join(text.split())[:500]


def _environment(flavour: Flavour, folder: Path) -> dict[str, str]:
    """The worker's environment, in which it finds our packages and the libraries that TensorRT opens by name."""
    environment = dict(os.environ)
    _keep(environment, "LD_LIBRARY_PATH", [entry for entry in _entries("LD_LIBRARY_PATH") if Path(entry).is_absolute()])
    _keep(environment, "PYTHONPATH", [str(Path(entry).absolute()) for entry in _entries("PYTHONPATH")])
    homes = [str(Path(package.__file__ or "").parent.parent) for package in (hyperseg_export, hyperseg_runtime)]
    _prepend(environment, "PYTHONPATH", homes)
    if flavour is Flavour.RTX:
        _prepend(environment, "LD_LIBRARY_PATH", [str(path) for path in link_rtx_libraries(folder)])
    return environment


def _entries(variable: str) -> list[str]:
    """Without the empty ones."""
    return [entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry]


def _keep(environment: dict[str, str], variable: str, entries: list[str]) -> None:
    environment.pop(variable, None)
    if entries:
        environment[variable] = os.pathsep.join(entries)


def _prepend(environment: dict[str, str], variable: str, folders: list[str]) -> None:
    given = environment.get(variable)
    environment[variable] = os.pathsep.join([*folders, *([given] if given else [])])


def link_rtx_libraries(folder: Path) -> list[Path]:
    """Links the wheel's libraries under their plain names in `folder`; returns the folders to search.

    With a plugin in the graph, the parser of TensorRT for RTX opens `libtensorrt_rtx.so`, but the wheel has
    `libtensorrt_rtx.so.1` only, and the process then dies with SIGABRT. Empty where no wheel is installed: system-wide
    installations have the plain names already.
    """
    spec = find_spec(_RTX_PACKAGE)
    if spec is None or spec.origin is None:  # without an origin: any folder of that name, as in the working folder
        return []
    home = Path(spec.origin).resolve().parent
    for name in _RTX_LIBRARIES:
        versioned = sorted(home.glob(f"{name}.*"))
        if versioned and not (home / name).exists():
            (folder / name).symlink_to(versioned[-1])
    return [folder, home]

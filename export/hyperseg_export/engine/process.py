"""Runs the building process and hears it out, so that nothing that TensorRT does to it reaches the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hyperseg_runtime
from hyperseg_runtime.backends.tensorrt_flavour import Flavour

import hyperseg_export
from hyperseg_export.engine.errors import BuildCrashError, EngineError, UnsupportedOperatorError
from hyperseg_export.engine.library_alias import make_alias
from hyperseg_export.engine.listener import BuildListener
from hyperseg_export.engine.request import BuildRequest, Event, EventKind

_WORKER = "hyperseg_export.engine.worker"
_PLUGIN_PREFIX = "hyperseg: "
_PATIENCE = 5.0
"""Seconds that a stopped build has to end by itself."""


@dataclass
class BuildOutcome:
    """What a build that ended well had to say."""

    layers: str = ""
    messages: list[str] = field(default_factory=list)


def run_build(request: BuildRequest, listener: BuildListener) -> BuildOutcome:
    """Builds in a process of its own. Raises EngineError with TensorRT's reason; Ctrl-C ends the process, then raises
    KeyboardInterrupt here."""
    with tempfile.TemporaryDirectory(prefix="hyperseg-build-") as name:
        folder = Path(name)
        written = folder / "request.json"
        written.write_text(request.to_json(), encoding="utf-8")
        log = folder / "log.txt"
        conversation = _Conversation(listener)
        status = _run(written, log, _environment(request.flavour, folder), conversation)
        output = log.read_text(encoding="utf-8", errors="replace")
    conversation.conclude(status, output)
    return conversation.outcome


def _run(request: Path, log: Path, environment: dict[str, str], conversation: _Conversation) -> int:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8", errors="replace") as channel, log.open("wb") as sink:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _WORKER, str(request), str(writing)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                pass_fds=(writing,),
                start_new_session=True,  # Ctrl-C is for us to pass on
            )
        finally:
            os.close(writing)
        try:
            for line in channel:
                conversation.hear(line)
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


class _Conversation:
    """Follows the events of one build."""

    def __init__(self, listener: BuildListener) -> None:
        self.outcome = BuildOutcome()
        self._listener = listener
        self._unsupported: list[str] = []
        self._errors: list[str] = []
        self._failure: str | None = None
        self._done = False
        self._phase = "start"

    def hear(self, line: str) -> None:
        try:
            event = Event.from_json(line)
        except (ValueError, KeyError, TypeError):
            return  # the last line of a process that died while writing it
        if event.kind is EventKind.PROGRESS:
            self._phase = event.text
            self._listener.progress(event.text, event.value)
        elif event.kind is EventKind.MESSAGE:
            self.outcome.messages.append(event.text)
            if event.value:
                self._errors.append(event.text)
            self._listener.message(event.text)
        elif event.kind is EventKind.LAYERS:
            self.outcome.layers = event.text
        elif event.kind is EventKind.UNSUPPORTED:
            self._unsupported.append(event.text)
        elif event.kind is EventKind.FAILURE:
            self._failure = event.text
        else:
            self._done = True

    def conclude(self, status: int, output: str) -> None:
        """Raises what the build ended with, unless it ended well."""
        if self._unsupported:
            raise UnsupportedOperatorError("; ".join(self._unsupported))
        plugin = [line.removeprefix(_PLUGIN_PREFIX) for line in output.splitlines() if line.startswith(_PLUGIN_PREFIX)]
        reasons = plugin or self._errors
        if status < 0:
            name = signal.Signals(-status).name
            last = reasons[-1] if reasons else (output.strip().splitlines() or ["it gave no reason"])[-1]
            raise BuildCrashError(
                f"TensorRT ended the building process with {name} (phase: {self._phase}; {_line(last)}); "
                "nothing was written. Try another --optimization-level or --workspace, or another TensorRT"
            )
        if self._failure is not None:
            because = f": {_line(reasons[0])}" if reasons and _line(reasons[0])[:60] not in self._failure else ""
            raise EngineError(f"{self._failure}{because}")
        if status != 0 or not self._done:
            last = (output.strip().splitlines() or ["it gave no reason"])[-1]
            raise EngineError(f"the building process ended with code {status} ({_line(last)})")


def _line(text: str) -> str:
    return " ".join(text.split())[:500]


def _environment(flavour: Flavour, folder: Path) -> dict[str, str]:
    """The worker's: it finds our packages where we have them from, and the libraries that TensorRT opens by name."""
    environment = dict(os.environ)
    homes = [str(Path(package.__file__ or "").parent.parent) for package in (hyperseg_export, hyperseg_runtime)]
    _prepend(environment, "PYTHONPATH", homes)
    if flavour is Flavour.RTX:
        _prepend(environment, "LD_LIBRARY_PATH", [str(path) for path in make_alias(folder)])
    return environment


def _prepend(environment: dict[str, str], variable: str, folders: list[str]) -> None:
    given = environment.get(variable)
    environment[variable] = os.pathsep.join([*folders, *([given] if given else [])])

"""The process that TensorRT builds in: `python -m hyperseg_export.engine.worker REQUEST DESCRIPTOR`.

REQUEST is a file with a BuildRequest; events go as JSON lines to the file descriptor (see `process`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime.backends import tensorrt_flavour
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.output_files import reason
from hyperseg_runtime.sealed_library import SealedLibrary, seal

from hyperseg_export.engine.network import configure, load_plugins, parse, read_timing_cache, write_timing_cache
from hyperseg_export.engine.process import BuildRequest, Event, EventKind
from hyperseg_export.errors import EngineError

LAYERS_HEADING = "Layers:"
"""Begins the message in which TensorRT for RTX lists the built engine's layers."""


def build(tensorrt: TensorRT, request: BuildRequest, send: Callable[[Event], None]) -> None:
    """Builds one engine. Raises HyperSegError, with TensorRT's reason if it gave one."""
    logger = make_logger(tensorrt.module, send)
    builder = tensorrt.module.Builder(logger)
    plugins = load_plugins(builder, sealed_plugins(request))
    network = parse(
        tensorrt, builder, logger, Path(request.model), lambda text: send(Event(EventKind.UNSUPPORTED, text))
    )
    config = configure(tensorrt, builder, request)
    set_flags(tensorrt.module, config, request)
    cache = read_timing_cache(config, request.timing_cache)
    config.progress_monitor = make_monitor(
        tensorrt.module, lambda phase, share: send(Event(EventKind.PROGRESS, phase, share))
    )
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{tensorrt.name} built no engine")
    try:
        size = Path(request.plan).write_bytes(plan)
        write_timing_cache(config, request.timing_cache)
    except OSError as error:
        raise EngineError(f"the engine was not written: {reason(error)}") from error
    send(Event(EventKind.DONE, value=size))
    del cache, plugins


def set_flags(trt: Any, config: Any, request: BuildRequest) -> None:
    """Sets the builder flags that differ from TensorRT's defaults."""
    if not request.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    # From 1.2 on: an engine that allocates nothing while it runs, so that its stream can be captured. The builder fails
    # where a graph makes that impossible; ours have no shapes that depend on data. The context then needs memory of the
    # application's, which only sessions of TensorRT for RTX give it (`rtx_context`).
    user_allocation = trt.BuilderFlag.__members__.get("REQUIRE_USER_ALLOCATION")
    if user_allocation is not None and request.flavour is Flavour.RTX:
        config.set_flag(user_allocation)


def sealed_plugins(request: BuildRequest) -> SealedLibrary | None:
    """The plugin library of the request. Raises EngineError if it has changed since the request was made."""
    if request.plugin_library is None:
        return None
    found = seal(Path(request.plugin_library))
    if request.plugin_sha256 not in (None, found.sha256):
        raise EngineError(f"{found.source} was changed during the build; build the engine again")
    return found


def make_logger(trt: Any, send: Callable[[Event], None]) -> Any:
    """A logger that forwards warnings and errors, and extracts the list of layers from the verbose messages."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                send(Event(EventKind.MESSAGE, msg, 1.0))
            elif severity in (trt.ILogger.WARNING, trt.ILogger.INFO):
                send(Event(EventKind.MESSAGE, msg))
            elif msg.startswith(LAYERS_HEADING):
                send(Event(EventKind.LAYERS, msg))

    return Logger()


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class PhaseTree:
    """Nested phases: a phase is a step of its parent, so the build has one share between 0 and 1."""

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {}
        self._furthest = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._phases[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, step: int) -> None:
        if name in self._phases:
            self._phases[name].done = min(step + 1, self._phases[name].steps)

    def finish(self, name: str) -> None:
        self._phases.pop(name, None)

    def share(self) -> float:
        """Completed share of the whole build; it never decreases when phases start or end."""
        roots = [name for name, phase in self._phases.items() if phase.parent not in self._phases]
        if roots:
            self._furthest = max(self._furthest, self._share_of(roots[0]))
        return self._furthest

    def _share_of(self, name: str) -> float:
        phase = self._phases[name]
        children = [child for child, other in self._phases.items() if other.parent == name]
        inner = max(map(self._share_of, children), default=0.0)
        return min(1.0, (phase.done + inner) / phase.steps)


def make_monitor(trt: Any, report: Callable[[str, float], None]) -> Any:
    """A progress monitor for this TensorRT. The class is created here, since its base is in the given module."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._tree = PhaseTree()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._tree.start(phase_name, parent_phase, num_steps)
            report(phase_name, self._tree.share())

        def phase_finish(self, phase_name: str) -> None:
            self._tree.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tree.step(phase_name, step)
            report(phase_name, self._tree.share())
            return True

    return Monitor()


def main() -> int:
    request = BuildRequest.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with os.fdopen(int(sys.argv[2]), "w", encoding="utf-8", buffering=1) as channel:

        def send(event: Event) -> None:
            try:
                channel.write(event.to_json() + "\n")
            except BrokenPipeError:  # nobody waits for this engine any more
                os._exit(1)

        try:
            build(tensorrt_flavour.load(request.flavour), request, send)
        except HyperSegError as error:
            send(Event(EventKind.FAILURE, str(error)))
            return 1
        except Exception as error:
            send(Event(EventKind.FAILURE, f"{type(error).__name__}: {' '.join(str(error).split())}"))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

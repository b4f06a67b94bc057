"""The process that TensorRT builds in: `python -m hyperseg_export.engine.worker REQUEST DESCRIPTOR`.

TensorRT ends its process with SIGABRT or SIGSEGV on some inputs, so it gets one of its own. REQUEST is a file with a
BuildRequest; events go as JSON lines to the file descriptor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyperseg_runtime.backends import tensorrt_flavour
from hyperseg_runtime.backends.tensorrt_flavour import TensorRT
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.output_files import reason

from hyperseg_export.engine.configuration import configure, read_timing_cache, write_timing_cache
from hyperseg_export.engine.errors import EngineError
from hyperseg_export.engine.network import load_plugins, parse
from hyperseg_export.engine.progress import make_monitor
from hyperseg_export.engine.request import BuildRequest, Event, EventKind

LAYERS_HEADING = "Layers:"
"""Begins the message in which TensorRT for RTX lists the built engine's layers."""


def build(tensorrt: TensorRT, request: BuildRequest, send: Callable[[Event], None]) -> None:
    """Builds one engine. Raises HyperSegError, with TensorRT's own reason where it gave one."""
    logger = make_logger(tensorrt.module, send)
    builder = tensorrt.module.Builder(logger)
    plugins = load_plugins(builder, request.plugin_library)
    network = parse(
        tensorrt, builder, logger, Path(request.model), lambda text: send(Event(EventKind.UNSUPPORTED, text))
    )
    config = configure(tensorrt, builder, request)
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


def make_logger(trt: Any, send: Callable[[Event], None]) -> Any:
    """A logger that passes warnings and errors on, and picks the list of layers out of the verbose messages."""

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

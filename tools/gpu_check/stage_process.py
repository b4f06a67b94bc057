"""Runs a stage in a separate process, so that a crash or a lost device ends only that stage."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path

from gpu_check.stage import ROOT, Context, Reporter, Run, SkipStageError, Stage, stage_named

_OWN = (".", "export", "runtime", "street", "tools")
"""Folders with the project's modules."""


def run_stage(name: str, context_file: str, descriptor: int) -> int:
    """Runs a stage and returns the exit code. Messages go to the descriptor, printed text to the log."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the parent process ends it
        signal.signal(number, signal.SIG_DFL)
    os.set_inheritable(descriptor, False)
    context = Context(**json.loads(Path(context_file).read_text()))
    with os.fdopen(descriptor, "w") as messages:
        reporter = Reporter(messages)
        try:
            _imported(stage_named(name))(context, reporter)
            reporter.done()
        except SkipStageError as skip:
            reporter.skip(str(skip))
        except Exception as error:
            traceback.print_exc()
            reporter.fail(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}{_remedy(error, context)}")
            return 1
    return 0


def _imported(stage: Stage) -> Run:
    """Imports a stage. Raises SkipStageError if a package is missing, ImportError if ours are of another checkout."""
    try:
        run: Run = import_module(f"gpu_check.stages.{stage.module}").run
    except ModuleNotFoundError as missing:
        if missing.name is None or any((ROOT / folder / missing.name.partition(".")[0]).exists() for folder in _OWN):
            raise
        raise SkipStageError(f"the Python package {missing.name} is not installed for {sys.executable}") from None
    for name in ("hyperseg", "hyperseg_export", "hyperseg_runtime", "hyperseg_street", "vectors"):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and ROOT not in Path(file).resolve().parents:
            raise ImportError(f"{name} is that of {file}, not of {ROOT}: remove it from PYTHONPATH")
    return run


def _remedy(error: Exception, context: Context) -> str:
    if isinstance(error, OSError) and str(error.filename or context.work).startswith(context.work):
        return "; choose another folder for temporary files: TMPDIR=/path scripts/gpu_check.sh"
    return ""

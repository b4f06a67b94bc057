"""The hosts that a build writes files for: checked together before the build, written after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_export.engine.build import plan_outputs
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.options import EngineOptions, choose_target
from hyperseg_export.engine.process import BuildListener
from hyperseg_export.engine.report import EngineReport
from hyperseg_export.hosts import deepstream, triton
from hyperseg_export.hosts.deepstream import DeepStreamModel
from hyperseg_export.hosts.folder import Files
from hyperseg_export.hosts.triton import TritonModel


@dataclass(frozen=True)
class HostModels:
    """The models that will be written; None: not asked for."""

    triton: TritonModel | None = None
    deepstream: DeepStreamModel | None = None

    def write(self, report: EngineReport, listener: BuildListener) -> tuple[Files, ...]:
        """Writes them after the build of `report`. Raises HyperSegError of one line; the engine is kept then."""
        written = []
        if self.triton is not None:
            written.append(self.triton.write(report))
        if self.deepstream is not None:
            written.append(self.deepstream.write(listener))
        return tuple(written)


@dataclass(frozen=True)
class HostFolders:
    """The folders to write models to; None: not asked for."""

    triton: Path | None = None
    deepstream: Path | None = None

    def options(self, options: EngineOptions) -> EngineOptions:
        """Those of the engine itself: Triton gets a copy of it, and its clients see the file's outputs alone."""
        return options if self.triton is None else replace(options, low_logits=False)

    def plan(self, source: Path, engine: Path, options: EngineOptions) -> HostModels:
        """Checks all that can be checked before the build of `engine` from `source`. Creates nothing.

        Raises HyperSegError of one line, also where two of all the files would be one.
        """
        if self.triton is None and self.deepstream is None:
            return HostModels()
        model, target = read_model(source), choose_target(options)
        models = HostModels(
            None if self.triton is None else triton.plan_model(self.triton, engine, model, target, options),
            None if self.deepstream is None else deepstream.plan_model(self.deepstream, engine, model, target, options),
        )
        outputs = plan_outputs(source, engine, options)
        for each in (models.triton, models.deepstream):
            if each is not None:
                each.files.check(outputs)
        return models

"""A model in a host's format: its name, and its files, which appear together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.model_kinds import without_suffix
from hyperseg_runtime.output_files import make_folder, replacing
from hyperseg_runtime.planned_outputs import PlannedOutputs

from hyperseg_export.engine.options import BuildTarget
from hyperseg_export.errors import EngineError

LABELS = "labels.txt"
"""One class name per line, in the order of the labels."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def model_name(engine: Path) -> str:
    """The model's name in the host: the engine's, without its suffix. Raises OutputError where it is not valid there.

    It becomes a folder, a part of a URL (Triton) and a value in key files, so only letters, digits and _ . - are taken.
    """
    name = without_suffix(engine)
    if not _NAME.fullmatch(name):
        raise OutputError(
            f"{name!r} cannot be the name of a served model, which has letters, digits and _ . - only; "
            "name the engine so (-o NAME.engine)"
        )
    return name


def refuse_rtx(host: str, target: BuildTarget) -> None:
    """Raises EngineError where the build is by TensorRT for RTX: these hosts link the full TensorRT."""
    if target.tensorrt.flavour is Flavour.RTX:
        raise EngineError(
            f"--{host.lower()}: {host} runs plans of TensorRT, not of TensorRT for RTX; "
            f"build on the GPU that it runs on, with --flavour {Flavour.TENSORRT.value} ({Flavour.TENSORRT.extra})"
        )


def labels_text(class_names: tuple[str, ...]) -> str:
    """The text of the labels file."""
    return "".join(f"{' '.join(name.split())}\n" for name in class_names)


@dataclass(frozen=True)
class Files:
    """A model's files in the format of a host, by their use.

    Attributes:
        host: "Triton" or "DeepStream".
        folder: the model's.
        config, labels, plan: the files.
    """

    host: str
    folder: Path
    config: Path
    labels: Path
    plan: Path

    def check(self, outputs: PlannedOutputs) -> None:
        """Adds them to a command's files. Raises OutputError."""
        for path, role in ((self.config, "configuration"), (self.labels, "labels"), (self.plan, "plan")):
            outputs.add_folder(path.parent)
            outputs.add(path, f"{self.host}'s {role}")

    @contextmanager
    def drafts(self, force: bool) -> Iterator[Files]:
        """Gives drafts of the files, to be renamed if the block ends well, the configuration last; else they are
        deleted, and so are folders that were missing. Raises OutputError."""
        made = [missing for folder in {self.folder, self.plan.parent} for missing in make_folder(folder)]
        try:
            with (
                replacing(self.config, force) as config,
                replacing(self.labels, force) as labels,
                replacing(self.plan, force) as plan,
            ):
                yield replace(self, config=config, labels=labels, plan=plan)
        except BaseException:
            for folder in sorted(made, key=lambda path: len(path.parts), reverse=True):
                with suppress(OSError):  # not empty: a file was published, or another program wrote one
                    folder.rmdir()
            raise

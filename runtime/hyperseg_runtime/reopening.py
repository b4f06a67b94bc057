"""Opening a Segmenter's model once more, for pickled and copied Segmenters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperseg_runtime.backends.protocol import BackendName, SessionOptions, ignore
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.provenance import FileState

if TYPE_CHECKING:
    from hyperseg_runtime.segmenter import Segmenter


@dataclass(frozen=True)
class Recipe:
    """What a pickled Segmenter consists of."""

    path: Path
    digests: tuple[str, ...]
    """SHA-256 of the model and of the files that it loads."""
    backend: BackendName
    options: SessionOptions
    resolution: Size | None
    fit: Fit
    warm_up: bool


@dataclass(frozen=True)
class Reopening:
    """What is needed to open a Segmenter's model once more."""

    files: Sequence[FileState]
    options: SessionOptions
    resolution: Size | None
    fit: Fit
    warm_up: bool

    def recipe(self, backend: BackendName) -> Recipe:
        """Raises ModelError if a file was changed since it was opened."""
        digests = tuple(file.digest() for file in self.files)
        return Recipe(self.files[0].path, digests, backend, self.options, self.resolution, self.fit, self.warm_up)


def reopen(kind: type[Segmenter], recipe: Recipe) -> Segmenter:
    """Opens the same model with the same options. Raises ModelError if it is another one now."""
    from hyperseg_runtime.segmenter import Segmenter

    options = recipe.options
    opened = kind.__new__(kind)
    Segmenter.__init__(  # a subclass may take other arguments; its own attributes are pickled
        opened,
        recipe.path,
        backend=recipe.backend.value,
        threads=options.threads,
        providers=options.providers,
        precision=options.precision,
        device=options.device,
        resolution=recipe.resolution,
        fit=recipe.fit,
        warm_up=recipe.warm_up,
        allow_host_code=options.allow_host_code,
        note=ignore,  # said when it was opened first
    )
    try:
        if opened.recipe().digests != recipe.digests:
            raise ModelError(f"{recipe.path} is not the model any more that was opened first; open the model again")
    except BaseException:
        opened.close()
        raise
    return opened

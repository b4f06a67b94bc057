"""What a pickled or copied Segmenter consists of: its model's file, hash and options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.provenance import FileState


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

    def check_version(self) -> None:
        """Raises ModelError if it was pickled by a version with other options: attributes are restored as they were."""
        for pickled in (self, self.options):
            if set(vars(pickled)) != {known.name for known in fields(pickled)}:
                raise ModelError(
                    f"{self.path}: this Segmenter was pickled by another version of hyperseg; open the model instead"
                )


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

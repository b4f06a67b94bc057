"""A model under measurement: its session, its images, and its timed runs (protocols A and B)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperseg_runtime.backends.protocol import AUTO, BackendName, Images, Note, Outputs, ignore
from hyperseg_runtime.benchmark.protocols import Protocol
from hyperseg_runtime.errors import InputError, MetadataError, ModelError
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.onnx_file import read_external_files
from hyperseg_runtime.preprocess import Size
from hyperseg_runtime.segmenter import Segmenter

_IMAGES = 8


@dataclass(frozen=True)
class Opening:
    """How every session of a benchmark is opened."""

    backend: str = AUTO
    threads: int | None = None
    """CPU threads of one inference; None: one for each physical core."""
    resolution: Size | None = None
    allow_host_code: bool = False

    def open(self, path: Path, note: Note = ignore) -> Segmenter:
        """Opens a model, and runs it once with the fewest images that it takes. Errors about a model name its file.

        For `note` see Segmenter.
        """
        try:
            segmenter = Segmenter(
                path,
                backend=self.backend,
                threads=self.threads,
                resolution=self.resolution,
                allow_host_code=self.allow_host_code,
                warm_up=False,
                note=note,
            )
            try:
                segmenter.session.run(natural_images(segmenter, segmenter.session.batch_range[0], 1)[0])
            except BaseException:
                segmenter.close()
                raise
        except (InputError, ModelError, MetadataError) as error:
            if str(path) in str(error):
                raise
            raise type(error)(f"{path}: {error}") from error
        return segmenter


@dataclass(frozen=True)
class Subject:
    """An open model. `name` differs from those of the other models."""

    name: str
    path: Path
    segmenter: Segmenter
    opening: Opening
    state: tuple[object, ...]
    """Of the model's files before it was opened."""

    @staticmethod
    def open(name: str, path: Path, opening: Opening, note: Note = ignore) -> Subject:
        """Raises HyperSegError."""
        state = _state(path)
        return Subject(name, path, opening.open(path, note), opening, state)

    def check_unchanged(self) -> None:
        """Raises ModelError where the files are others now: opened again, they would be another model."""
        if _state(self.path) != self.state:
            raise ModelError(f"{self.path} was changed or removed during the measurement")

    @property
    def batch(self) -> int:
        """The fewest images that the model takes at once: 1, unless it is fixed to more."""
        return self.segmenter.session.batch_range[0]

    @property
    def on_gpu(self) -> bool:
        return self.segmenter.backend in (BackendName.TENSORRT, BackendName.ONNXRUNTIME_CUDA)

    def takes(self, batch: int) -> bool:
        least, most = self.segmenter.session.batch_range
        return least <= batch and (most is None or batch <= most)


def weight_files(model: Path) -> list[Path]:
    """The model's file, and those that it loads weights from."""
    if is_engine(model):
        return [model]
    return [model, *(model.parent / name for name in sorted(read_external_files(model)))]


def _state(model: Path) -> tuple[object, ...]:
    """Identity, size and time of the model's files; None for those that are gone."""
    try:
        found = [file.stat() for file in weight_files(model)]
    except (OSError, ModelError):
        return (None,)
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


@dataclass(frozen=True)
class SingleRun:
    """A `Timed` run of protocol A or B."""

    subject: Subject
    protocol: Protocol
    pool: Sequence[Images]

    @staticmethod
    def of(subject: Subject, protocol: Protocol) -> SingleRun:
        return SingleRun(subject, protocol, natural_images(subject.segmenter, subject.batch))

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def images(self) -> int:
        return self.subject.batch

    def seconds(self, number: int) -> float:
        images = self.pool[number % len(self.pool)]
        session = self.subject.segmenter.session
        if self.protocol is Protocol.DEVICE_ONLY:
            return session.run_timed(images).device_seconds
        start = time.perf_counter()
        all_labels(session.run(images))  # `run` returns when the results are on the host
        return time.perf_counter() - start


def all_labels(outputs: Outputs) -> None:
    """Ends a run as the protocol asks: with labels as bytes, from the logits where the model has no labels."""
    if outputs.labels is None:
        assert outputs.logits is not None
        outputs.logits.argmax(axis=1).astype(np.uint8)


def natural_images(segmenter: Segmenter, batch: int = 1, count: int = _IMAGES, seed: int = 0) -> list[Images]:
    """`count` inputs of `batch` random images of large shapes and some noise, so that the data is not constant."""
    rng = np.random.default_rng(seed)
    made = [segmenter.prepare(_image(rng, segmenter.size)) for _ in range(max(count, min(batch, _IMAGES)))]
    # Large batches repeat images: their memory, not the variety of the data, is the limit.
    return [np.concatenate([made[(at + step) % len(made)] for step in range(batch)]) for at in range(count)]


def _image(rng: np.random.Generator, size: Size) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    height, width = size
    frame = np.zeros((height, width, 3), np.uint8)
    for _ in range(24):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        down, right = top + int(rng.integers(1, height)), left + int(rng.integers(1, width))
        frame[top:down, left:right] = rng.integers(0, 256, 3)
    noise = rng.integers(0, 16, frame.shape, dtype=np.uint8)
    return np.where(frame > 239, frame, frame + noise).astype(np.uint8)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """A name for each model: its file's, with as many of its folders as tell it from the others; a model that is named
    twice gets a number, since a comparison of a model with itself shows what the machine's noise amounts to."""
    places = [path.absolute().parts for path in paths]
    names: list[str] = []
    for place in places:
        shown = next(
            (
                "/".join(place[-count:])
                for count in range(1, len(place) + 1)
                if all(other == place or other[-count:] != place[-count:] for other in places)
            ),
            "/".join(place),
        )
        name, number = printable(shown), 1
        while name in names:
            number += 1
            name = f"{printable(shown)} ({number})"
        names.append(name)
    return names


def printable(text: str) -> str:
    """A file's name for a table or a page: bytes that are not UTF-8, and control characters, as escapes."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in clean)

"""The `Segmenter`: semantic segmentation of frames with one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from hyperseg_runtime.backends.protocol import AUTO, BackendName, Images, Note, Session, SessionOptions, ignore
from hyperseg_runtime.backends.selection import open_session
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.metadata import Metadata, Precision
from hyperseg_runtime.preprocess import Frame, Labels, Size, check_frame, labels_of, prepare, restore
from hyperseg_runtime.provenance import FileState, opened_files


class Segmenter:
    """Segments frames of any size with one model.

        segment = Segmenter("model.onnx")
        labels = segment(frame)            # uint8 [h, w, 3] BGR -> uint8 [h, w]

    The frame is resized to the network's input (by area when shrinking, else bilinearly; the aspect ratio is not kept,
    as in the published evaluation), and the labels are resized back to the frame by nearest neighbour.

    Calls may come from several threads at once. Use it as a context manager, or call `close`. Pickling it (for another
    process) or copying it opens the same file again with the same options; that raises ModelError if the file was
    changed or the Segmenter is closed.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        backend: str = AUTO,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        precision: Precision | None = None,
        device: int = 0,
        resolution: Size | None = None,
        warm_up: bool = True,
        allow_host_code: bool = False,
        note: Note | None = None,
    ) -> None:
        """Opens a model and runs it once on a grey image, so that the first frame is as fast as the rest.

        model: an ONNX file, an engine, or the name of a shipped model ("camvid-lite"); None: the one in the working
            folder, else the shipped one. See `discovery` for the rules.
        backend: "auto" (the fastest that can run here and that the file was exported for), or a BackendName's value.
        threads: CPU threads of one inference; None: one for each core that this process may use.
        providers: ONNX Runtime's execution providers, in order, instead of the backend's.
        precision: lets OpenVINO compute in bfloat16 or float16.
        device: index of the GPU.
        resolution: height and width for the network, where the model was exported with --dynamic.
        warm_up: False leaves out the first run, which a model that is fixed to several images at once does not take.
        allow_host_code: loads an engine although it carries executables of the host, which hyperseg-build-engine does
            not make. It must be signed by a trusted key all the same.
        note: receives a sentence where the model runs otherwise than expected, e.g. on the CPU of a machine with a GPU;
            by default it is a warning. It may also be called while the model runs or is closed.

        Raises ModelError, MetadataError, LibraryMissingError, BackendUnavailableError, InputError.
        """
        path = locate(model, backend=backend, device=device).path
        chosen = None if providers is None else tuple(providers)
        options = SessionOptions(
            threads=threads, device=device, providers=chosen, precision=precision, allow_host_code=allow_host_code
        )
        files = opened_files(path)
        opening = _Warnings()
        self._session = open_session(path, backend, options, opening if note is None else note)
        try:
            for text in opening.opened():
                warnings.warn(text, stacklevel=2)
            self._size = network_size(self._session.metadata, resolution)
            self._path = path
            self._reopening: Reopening | None = Reopening(files, options, resolution)
            if warm_up:
                self.infer(prepare(np.full((*self._size, 3), 127, np.uint8), self.metadata.input, self._size))
        except BaseException:
            self._session.close()
            raise

    @property
    def path(self) -> Path:
        return self._path

    @property
    def metadata(self) -> Metadata:
        return self._session.metadata

    @property
    def backend(self) -> BackendName:
        return self._session.backend

    @property
    def description(self) -> str:
        """One line to display: runtime, version, device, threads."""
        return self._session.description

    @property
    def size(self) -> Size:
        """Height and width of the network's input."""
        return self._size

    @property
    def session(self) -> Session:
        return self._session

    def __call__(self, frame: Frame) -> Labels:
        """uint8 [h, w, 3] BGR -> uint8 [h, w]. Raises InputError on anything else, ModelError once closed."""
        check_frame(frame)
        return restore(self.infer(self.prepare(frame)), (frame.shape[0], frame.shape[1]))

    def prepare(self, frame: Frame) -> Images:
        """The first stage of a call: the frame as the network's input."""
        return prepare(frame, self.metadata.input, self._size)

    def infer(self, images: Images) -> Labels:
        """The second stage: the network's labels at its own resolution."""
        return labels_of(self._session.run(images))

    def close(self) -> None:
        """Frees the model; may be called again."""
        self._reopening = None
        self._session.close()

    def __reduce__(self) -> tuple[Callable[..., Segmenter], tuple[object, ...], dict[str, object] | None]:
        if self._reopening is None:
            raise ModelError(f"{self._path}: this Segmenter is closed; open the model again")
        own = {name: value for name, value in self.__dict__.items() if name not in _OPENED}  # of a subclass
        return _reopen, (type(self), self.backend, *self._reopening.recipe()), own or None

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Warnings:
    """The Note of callers that give none. What is said while a model is opened waits, so that the warning names the
    caller's line; what is said later is a warning at once."""

    def __init__(self) -> None:
        self._waiting: list[str] | None = []

    def __call__(self, text: str) -> None:
        if self._waiting is None:
            warnings.warn(text, stacklevel=2)
        else:
            self._waiting.append(text)

    def opened(self) -> list[str]:
        """What was said so far."""
        said, self._waiting = self._waiting or [], None
        return said


@dataclass(frozen=True)
class Reopening:
    """What is needed to open a Segmenter's model once more."""

    files: Sequence[FileState]
    options: SessionOptions
    resolution: Size | None

    def recipe(self) -> tuple[Path, list[str], SessionOptions, Size | None]:
        """The model, the SHA-256 of it and of the files that it loads, and the options.

        Raises ModelError if a file was changed since it was opened.
        """
        return self.files[0].path, [file.digest() for file in self.files], self.options, self.resolution


def _reopen(
    kind: type[Segmenter],
    backend: BackendName,
    path: Path,
    digests: list[str],
    options: SessionOptions,
    resolution: Size | None,
) -> Segmenter:
    opened = kind.__new__(kind)
    Segmenter.__init__(  # a subclass may take other arguments; its own attributes are pickled
        opened,
        path,
        backend=backend.value,
        threads=options.threads,
        providers=options.providers,
        precision=options.precision,
        device=options.device,
        resolution=resolution,
        allow_host_code=options.allow_host_code,
        note=ignore,  # said when it was opened first
    )
    try:
        if opened._reopening is None or opened._reopening.recipe()[1] != digests:
            raise ModelError(f"{path} is not the model any more that was opened first; open the model again")
    except BaseException:
        opened.close()
        raise
    return opened


_OPENED = ("_session", "_size", "_path", "_reopening")


def network_size(metadata: Metadata, resolution: Size | None) -> Size:
    """The network's height and width for a requested resolution. Raises InputError if the model does not take it."""
    spec = metadata.input
    if resolution is None or resolution == (spec.height, spec.width):
        return spec.height, spec.width
    if not spec.dynamic_size:
        raise InputError(
            f"resolution {resolution[0]}x{resolution[1]}: this model is fixed to {spec.height}x{spec.width}; "
            "export it with --dynamic, or at that resolution"
        )
    if any(value < spec.multiple or value % spec.multiple for value in resolution):
        nearest = [max(1, round(value / spec.multiple)) * spec.multiple for value in resolution]
        raise InputError(
            f"resolution {resolution[0]}x{resolution[1]} is not a multiple of {spec.multiple}; "
            f"use {nearest[0]}x{nearest[1]}"
        )
    return resolution

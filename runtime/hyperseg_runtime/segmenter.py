"""The `Segmenter`: semantic segmentation of frames with one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from hyperseg_runtime.backends.protocol import AUTO, BackendName, Images, Note, Session, SessionOptions, ignore
from hyperseg_runtime.backends.selection import open_session
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.fitting import Fit, area_of
from hyperseg_runtime.forking import OpenedSession
from hyperseg_runtime.inference import Inference, PreparedFrame, Probabilities
from hyperseg_runtime.metadata import Metadata, Precision
from hyperseg_runtime.network import Network
from hyperseg_runtime.preprocess import Frame, Labels, Size, batch_labels, check_frame, check_labels, prepare
from hyperseg_runtime.provenance import opened_files
from hyperseg_runtime.reopening import Recipe, Reopening
from hyperseg_runtime.resolution import network_size
from hyperseg_runtime.tile_inference import inference_of

if TYPE_CHECKING:
    from hyperseg_runtime.output.render import Appearance
    from hyperseg_runtime.pipeline import LogitFilter
    from hyperseg_runtime.video.sources import Selection


class Segmenter:
    """Segments frames of any size with one model.

        segment = Segmenter("model.onnx")
        labels = segment(frame)            # uint8 [h, w, 3] BGR -> uint8 [h, w]

    A frame of the network's input size gets the model's own labels. One of another size is brought to the network's
    input as `fit` says, and its labels are the largest of the network's logits, which are enlarged bilinearly to the
    frame's size.

    Calls may come from several threads at once. Use it as a context manager, or call `close`. Pickling it (for another
    process) or copying it opens the same file again with the same options; that raises ModelError if the file was
    changed or the Segmenter is closed. In a process that was forked since, it raises ModelError, since the threads
    that run a model are not there.
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
        fit: Fit | str = Fit.STRETCH,
        warm_up: bool = True,
        allow_host_code: bool = False,
        note: Note | None = None,
    ) -> None:
        """Opens a model and runs it once on a grey image, so that the first frame is as fast as the rest.

        model: an ONNX file, an engine, or the name of a shipped model ("camvid-lite"); None: the one in the working
            folder, else the shipped one (docs/architecture.md has the rules).
        backend: "auto" (the fastest that can run here and that the file was exported for), or a BackendName's value.
        threads: CPU threads of one inference; None: one for each core that this process may use.
        providers: ONNX Runtime's execution providers, in order, instead of the backend's.
        precision: lets OpenVINO compute in bfloat16 or float16.
        device: index of the GPU.
        resolution: height and width for the network, where the model was exported with --dynamic.
        fit: how frames are brought to the network's input size. "stretch" resizes them (by area when shrinking, else
            bilinearly) and does not keep the aspect ratio, as in the published evaluation; "letterbox" keeps it, on a
            ground of the mean colour; "tile" does not resize, but blends the logits of overlapping windows.
        warm_up: False leaves out the first run.
        allow_host_code: loads an engine although it carries executables of the host, which hyperseg-build-engine does
            not make. It must be signed by a trusted key all the same.
        note: receives a sentence where the model runs otherwise than expected, e.g. on the CPU of a machine with a GPU;
            by default it is a warning. It may also be called while the model runs or is closed.

        Raises ModelError, MetadataError, LibraryMissingError, BackendUnavailableError, InputError.
        """
        self._fit = _fit(fit)
        path = locate(model, backend=backend, device=device).path
        chosen = None if providers is None else tuple(providers)
        options = SessionOptions(
            threads=threads, device=device, providers=chosen, precision=precision, allow_host_code=allow_host_code
        )
        files = opened_files(path)
        opening = _Warnings()
        session = open_session(path, backend, options, opening if note is None else note)
        try:
            for text in opening.opened():
                warnings.warn(text, stacklevel=2)
            self._size = network_size(session.metadata, resolution)
            self._path = path
            self._opened = OpenedSession(session)
            self._reopening: Reopening | None = Reopening(files, options, resolution, self._fit, warm_up)
            on_gpu, engine = session.backend in _ON_GPU, session.backend is BackendName.TENSORRT
            network = Network(session, session.metadata.input, self._size, on_gpu, threads, engine)
            self._inference: Inference = inference_of(network, self._fit)
            if warm_up:
                session.run(network.grey_image())
        except BaseException:
            session.close()
            raise

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._path

    @property
    def metadata(self) -> Metadata:
        """What the model's file says of itself."""
        return self._opened.session.metadata

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names; a label is an index of them."""
        return self.metadata.class_names

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """The colour of each class: red, green and blue, each from 0 to 255."""
        return self.metadata.palette

    @property
    def backend(self) -> BackendName:
        """What runs the model."""
        return self._opened.session.backend

    @property
    def description(self) -> str:
        """One line to display: runtime, version, device, threads."""
        return self._opened.session.description

    @property
    def size(self) -> Size:
        """Height and width of the network's input."""
        return self._size

    @property
    def fit(self) -> Fit:
        """How frames are brought to the network's input size."""
        return self._fit

    @property
    def session(self) -> Session:
        """The open model itself, which takes images of the network's input size.

        Raises ModelError in a process that was forked since it was opened.
        """
        self._opened.check_process(self._path)
        return self._opened.session

    def __call__(self, frame: Frame) -> Labels:
        """uint8 [h, w, 3] BGR -> uint8 [h, w]. Raises InputError on anything else, ModelError once closed."""
        return self.prepared(frame).labels()

    def batch(self, frames: Iterable[Frame]) -> list[Labels]:
        """The labels of several frames, of any sizes: a list of uint8 [h, w, 3] BGR -> a list of uint8 [h, w].

        A model that takes any number of images runs on up to eight at once on a GPU, and one by one on a CPU, where
        more are not faster. One that is fixed to a number runs on as many, the last of them repeated where frames lack.

        Raises InputError, before anything runs, naming the index of what is no frame; ModelError once closed.
        """
        frames = list(frames)  # an iterator would be spent by the check
        for index, frame in enumerate(frames):
            check_frame(frame, f"frame {index} of the batch")
        self._opened.check_process(self._path)
        return self._inference.batch(frames)

    def probabilities(self, frame: Frame) -> Probabilities:
        """The probability of each class: uint8 [h, w, 3] BGR -> float16 [classes, h, w], the softmax of the logits.

        Takes 2 bytes for each class and pixel: 46 MB for eleven classes at 1080p. Raises as a call, and ModelError for
        an engine that gives labels alone.
        """
        return self.prepared(frame).probabilities()

    def confidence(self, frame: Frame) -> Probabilities:
        """The probability of each pixel's likeliest class: uint8 [h, w, 3] BGR -> float16 [h, w].

        Raises as `probabilities`.
        """
        return self.prepared(frame).confidence()

    def overlay(self, frame: Frame, labels: Labels, appearance: Appearance | None = None) -> Frame:
        """The labels drawn over their frame, as hyperseg-run does: uint8 [h, w, 3] BGR and uint8 [h, w] -> a new frame.

        appearance: style, opacity, palette, legend; None: half transparent colours of the model's palette, with lines
            between the areas. The style side-by-side gives [h, 2w, 3].

        Raises InputError where frame and labels do not belong together.
        """
        from hyperseg_runtime.output.render import Appearance, Renderer

        check_frame(frame)
        check_labels(labels, frame)
        return Renderer(self.metadata, appearance or Appearance())(frame, labels, self.line_grid(labels.shape))

    def video(
        self,
        source: str | Path | int,
        *,
        selection: Selection | None = None,
        logit_filter: LogitFilter | None = None,
    ) -> Generator[tuple[Frame, Labels], None, None]:
        """The frames of a video with their labels: uint8 [h, w, 3] BGR and uint8 [h, w].

            for frame, labels in segment.video("drive.mp4"):
                ...

        Decoding and inference run in threads of their own, a few frames ahead. Of a camera or a stream that is faster
        than the model, frames are dropped.

        source: a video file, the URL of a stream, or the index of a camera.
        selection: which frames to take; None: all.
        logit_filter: changes the logits of each frame, in order, before the labels are computed.

        Raises InputError for what cannot be read, after the frames before; what is only damaged is a warning.
        """
        from hyperseg_runtime.labelled_video import labelled_frames

        return labelled_frames(source, self, selection, logit_filter)

    def prepared(self, frame: Frame) -> PreparedFrame:
        """The stage of a call before the network, for a pipeline whose stages overlap. Raises InputError."""
        self._opened.check_process(self._path)
        return self._inference.prepare(frame)

    def prepare(self, frame: Frame) -> Images:
        """The frame as the network's input, resized as `fit` says: [1, ...].

        Raises InputError for what is no frame, and with fit "tile", which makes several inputs of one frame.
        """
        check_frame(frame)
        size = (frame.shape[0], frame.shape[1])
        if self._fit is Fit.TILE and size != self._size:
            raise InputError("a frame that is cut into tiles is not one input; use fit stretch or letterbox")
        area = area_of(size, self._size, self._fit is Fit.LETTERBOX)
        return prepare(frame, self.metadata.input, self._size, area)

    def infer(self, images: Images) -> Labels:
        """The network's labels of one input at its own resolution: [1, ...] as `prepare` gives it -> uint8 [H, W].

        Raises InputError for several inputs, ModelError once closed.
        """
        if len(images) != 1:
            raise InputError(
                f"infer takes one image, not {len(images)}; use batch for several frames, session.run for their images"
            )
        labels: Labels = batch_labels(self.session.run(images))[0]
        return labels

    def line_grid(self, frame: Size) -> Size | None:
        """The resolution at which lines between the areas of a frame are smooth: the network's; None: the frame's."""
        return None if self._fit is Fit.TILE else area_of(frame, self._size, self._fit is Fit.LETTERBOX).size

    def close(self) -> None:
        """Frees the model; may be called again."""
        self._reopening = None
        self._opened.close()

    def recipe(self) -> Recipe:
        """What is needed to open the same model once more. Raises ModelError if it is closed or was changed."""
        if self._reopening is None:
            raise ModelError(f"{self._path}: this Segmenter is closed; open the model again")
        return self._reopening.recipe(self.backend)

    def __reduce__(self) -> tuple[Callable[..., Segmenter], tuple[object, ...], dict[str, object] | None]:
        recipe = self.recipe()
        own = {name: value for name, value in self.__dict__.items() if name not in _OPENED}  # of a subclass
        return _reopen, (type(self), recipe), own or None

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_ON_GPU = frozenset({BackendName.TENSORRT, BackendName.ONNXRUNTIME_CUDA})
_OPENED = ("_opened", "_size", "_path", "_reopening", "_fit", "_inference")


def _reopen(kind: type[Segmenter], recipe: Recipe) -> Segmenter:
    """Opens the same model with the same options. Raises ModelError if it is another one now."""
    recipe.check_version()
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


def _fit(wanted: Fit | str) -> Fit:
    try:
        return Fit(wanted)
    except ValueError:
        raise InputError(f"there is no fit {wanted!r}; choose one of {', '.join(fit.value for fit in Fit)}") from None


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

"""Backends of ONNX Runtime: the CPU with our operators, CUDA, and OpenVINO's execution provider plugin."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from hyperseg_runtime import machine
from hyperseg_runtime.backends import cuda, openvino, placement
from hyperseg_runtime.backends.frame_labels import check_placements, labels_on_host
from hyperseg_runtime.backends.protocol import (
    Availability,
    BackendName,
    BatchRange,
    Images,
    Note,
    Outputs,
    SessionOptions,
    TimedOutputs,
    batch_range,
    check_images,
    check_signature,
    ignore,
    refuse_to_pickle,
)
from hyperseg_runtime.errors import BackendUnavailableError, HyperSegError, LibraryMissingError, ModelError
from hyperseg_runtime.graph_end import low_logits_name, with_output
from hyperseg_runtime.graph_target import GraphTarget, read_target
from hyperseg_runtime.libraries import Library, find, isa_error
from hyperseg_runtime.metadata import InputType, Metadata
from hyperseg_runtime.onnx_file import read_nodes
from hyperseg_runtime.provenance import unchanging
from hyperseg_runtime.upsampling import LowLogits, Placement

if TYPE_CHECKING:
    import onnxruntime

    from hyperseg_runtime.preprocess import Labels

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_CUDA_PROVIDER = "CUDAExecutionProvider"
_CPU_PROVIDER = "CPUExecutionProvider"
_OUTPUTS = ("labels", "logits")
"""The outputs of a file. What else a session has is the low-resolution logits."""


def availability(name: BackendName) -> Availability:
    """Checks the installation for the CPU, CUDA or OpenVINO."""
    installed = [package for package in _DISTRIBUTIONS if machine.version(package)]
    if not installed:
        return Availability.lacking("onnxruntime is not installed; pip install onnxruntime")
    if len(installed) > 1:
        return Availability.lacking(_mixed_wheels())
    label = f"{installed[0]} {machine.version(installed[0])}"
    if name is BackendName.ONNXRUNTIME_OPENVINO:
        return openvino.availability()
    if name is BackendName.ONNXRUNTIME_CUDA:
        return _cuda_availability(label)
    if find(Library.ONNXRUNTIME) is None:
        return Availability(
            True, f"{label}, without our operators ({Library.ONNXRUNTIME.value} is not built): portable models only"
        )
    return Availability(True, f"{label} with our operators")


def _mixed_wheels() -> str:
    return (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; "
        "pip uninstall both, then install one"
    )


def _cuda_availability(label: str) -> Availability:
    import onnxruntime

    missing = []
    if _CUDA_PROVIDER not in onnxruntime.get_available_providers():
        missing.append(f"{label} has no CUDA provider; pip uninstall onnxruntime, pip install onnxruntime-gpu")
    driver = cuda.find_gpus()
    if driver.problem is not None:
        missing.append(driver.problem)
    if missing:
        return Availability.lacking(*missing)
    return Availability(True, f"{label} on {', '.join(gpu.name for gpu in driver.gpus)}")


def open_session(model: Path, name: BackendName, options: SessionOptions, note: Note = ignore) -> OnnxRuntimeSession:
    """Opens an ONNX file for the CPU, CUDA or OpenVINO; see Backend.open_session.

    On CUDA the placement of the nodes is checked: ModelError for a file with operators that only the CPU has,
    BackendUnavailableError where our library has no CUDA kernels, a `note` where standard operators run on the CPU.
    """
    if all(machine.version(package) for package in _DISTRIBUTIONS):
        raise BackendUnavailableError(_mixed_wheels())
    if not model.is_file():
        raise ModelError(f"{model} is not a file; name an ONNX file (--model FILE)")
    settings = _session_options(options)
    if name is not BackendName.ONNXRUNTIME_CUDA:
        return _wrapped(_create(model, name, options, settings), model, name, options)
    if options.providers is not None:  # the caller's own choice, which is not judged
        return _wrapped(_create_on_cuda(model, options, settings), model, name, options)
    file = read_target(model)
    if file.cuda_refusal is not None:
        raise ModelError(file.cuda_refusal)
    with placement.watched(settings, _onnxruntime().InferenceSession) as read:
        session = _create_on_cuda(model, options, settings)
        opened = _wrapped(session, model, name, options)
        try:
            placed = read(session, lambda: opened.run(_blank(opened)))
        except placement.PlacementError as error:
            note(f"{model}: whether ONNX Runtime runs all of it on CUDA is not known ({error})")
        else:
            _check_placement(file, placed, note)
    return opened


def _create_on_cuda(
    model: Path, options: SessionOptions, settings: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    session = _create(model, BackendName.ONNXRUNTIME_CUDA, options, settings)
    if _CUDA_PROVIDER not in session.get_providers():
        raise BackendUnavailableError(
            "ONNX Runtime could not start its CUDA provider (see hyperseg-doctor); use --backend onnxruntime"
        )
    return session


def _check_placement(file: GraphTarget, placed: list[placement.PlacedNode], note: Note) -> None:
    found = placement.Placement.of(placed, file.nodes, file.own, _CUDA_PROVIDER)
    if (refusal := found.refusal(file.model)) is not None:
        raise BackendUnavailableError(refusal)
    if (text := found.note(file.model)) is not None:
        note(text)


def _blank(session: OnnxRuntimeSession) -> Images:
    """Black images, as few as the model takes."""
    spec, count = session.metadata.input, session.batch_range[0]
    if spec.dtype is InputType.UINT8:
        return np.zeros((count, spec.height, spec.width, 3), np.uint8)
    return np.zeros((count, 3, spec.height, spec.width), np.float32)


def _wrapped(
    session: onnxruntime.InferenceSession, model: Path, name: BackendName, options: SessionOptions
) -> OnnxRuntimeSession:
    """The session with the file's metadata, which its inputs and outputs have to fit."""
    properties = session.get_modelmeta().custom_metadata_map
    metadata = Metadata.from_properties(properties, str(model))
    check_signature(
        metadata,
        {node.name: (node.type, node.shape) for node in session.get_inputs()},
        {node.name: (node.type, node.shape) for node in session.get_outputs() if node.name in _OUTPUTS},
        str(model),
    )
    return OnnxRuntimeSession(session, metadata, name, options)


def _onnxruntime() -> Any:
    """The package. Raises LibraryMissingError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise LibraryMissingError(f"onnxruntime does not load ({error}); pip install onnxruntime") from error
    return onnxruntime


def _create(
    model: Path, name: BackendName, options: SessionOptions, settings: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    if any("\ud800" <= letter <= "\udfff" for letter in str(model)):
        raise ModelError(f"{str(model)!r}: ONNX Runtime takes only names in UTF-8; rename the file")
    registered = _register_operators(settings)
    providers: list[Any] | None = [_CPU_PROVIDER]
    if options.providers is not None:
        providers = _known_providers(options.providers)
    elif name is BackendName.ONNXRUNTIME_CUDA:
        providers = [(_CUDA_PROVIDER, {"device_id": options.device}), _CPU_PROVIDER]
    elif name is BackendName.ONNXRUNTIME_OPENVINO:
        openvino.add_to(settings, options)
        providers = None
    try:
        # Without its fallback: a provider that does not start is an error here, not a slower run.
        with unchanging(model) as file:
            content = _with_low_logits(file, model)
            return _onnxruntime().InferenceSession(content, settings, providers=providers, enable_fallback=False)
    except HyperSegError:
        raise
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise _explain(model, error, registered) from error


def _with_low_logits(file: Path, model: Path) -> bytes | str:
    """The file with its low-resolution logits as one more output; its path where it has none.

    file: `model`, or its copy in a folder of our own, which ONNX Runtime needs to find the weights beside it.
    """
    name = low_logits_name(read_nodes(file))
    if name is None:
        return str(file)
    content = with_output(file.read_bytes(), name)
    if file == model:
        return content
    file.write_bytes(content)
    return str(file)


def _known_providers(wanted: tuple[str, ...]) -> list[Any]:
    """Checks the requested providers. ONNX Runtime itself would drop missing ones with only a warning."""
    import onnxruntime

    known = onnxruntime.get_available_providers()
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise BackendUnavailableError(
            f"this onnxruntime has no provider {', '.join(missing) or 'to run without'}; it has {', '.join(known)}"
        )
    return list(wanted)


def _session_options(options: SessionOptions) -> onnxruntime.SessionOptions:
    settings = _onnxruntime().SessionOptions()
    settings.intra_op_num_threads = options.threads or machine.inference_threads()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    # Between two runs the cores belong to decoding, encoding, or the other model of a comparison.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if options.profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(options.profile)
    return settings


def _register_operators(settings: onnxruntime.SessionOptions) -> str | None:
    """Registers our operators; returns the reason if they are missing (a portable model does not need them).

    Raises BackendUnavailableError if HYPERSEG_MAX_CPU_ISA is invalid.
    """
    library = find(Library.ONNXRUNTIME)
    if library is None:
        return f"{Library.ONNXRUNTIME.value} is not built"
    if (wrong := isa_error()) is not None:
        raise BackendUnavailableError(wrong)
    try:
        settings.register_custom_ops_library(str(library))
    except Exception as error:  # ONNX Runtime's own classes have no common base
        return f"{library} does not load: {_one_line(error)}"
    return None


def _explain(model: Path, error: Exception, missing_operators: str | None) -> HyperSegError:
    text = _one_line(error)
    if missing_operators is not None and "hyperseg" in text.replace(str(model), ""):
        return LibraryMissingError(
            f"{model} needs our operators, but {missing_operators}; install hyperseg with a C++ compiler, "
            "or export with --portable"
        )
    if "InvalidProtobuf" in type(error).__name__ or "Protobuf parsing failed" in text:
        return ModelError(f"{model} is not an ONNX file, or it is damaged; export the model again")
    return ModelError(f"ONNX Runtime cannot load {model}: {text}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:400] + "…"


class OnnxRuntimeSession:
    """A session of ONNX Runtime. `run` may be called from several threads at once."""

    def __init__(
        self, session: onnxruntime.InferenceSession, metadata: Metadata, name: BackendName, options: SessionOptions
    ) -> None:
        self._session: onnxruntime.InferenceSession | None = session
        self._metadata = metadata
        self._name = name
        self._options = options
        names = [node.name for node in session.get_outputs()]
        self._outputs = tuple(name for name in names if name in _OUTPUTS)
        self._low_logits = next((name for name in names if name not in _OUTPUTS), None)
        self._batch_range = batch_range(metadata.input, session.get_inputs()[0].shape[0])
        self._closing = threading.Lock()

    def __reduce__(self) -> NoReturn:
        raise refuse_to_pickle(self)

    @property
    def backend(self) -> BackendName:
        return self._name

    @property
    def metadata(self) -> Metadata:
        return self._metadata

    @property
    def description(self) -> str:
        package = next((package for package in _DISTRIBUTIONS if machine.version(package)), "onnxruntime")
        place = {BackendName.ONNXRUNTIME_CUDA: f"CUDA device {self._options.device}"}.get(
            self._name, f"CPU, {machine.threads_text(self._options.threads or machine.inference_threads())}"
        )
        plugin = " with OpenVINO" if self._name is BackendName.ONNXRUNTIME_OPENVINO else ""
        return f"{package} {machine.version(package)}{plugin} ({place})"

    @property
    def batch_range(self) -> BatchRange:
        return self._batch_range

    @property
    def gives_low_logits(self) -> bool:
        return self._low_logits is not None

    def run(self, images: Images) -> Outputs:
        return self._named(self._run(self._outputs, images))

    def run_low(self, images: Images) -> LowLogits:
        if self._low_logits is None:
            raise ModelError("the model's graph has no logits before its end; export it again")
        logits: LowLogits = self._run((self._low_logits,), images)[0]
        return logits

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]:
        check_placements(images, placements)
        return labels_on_host(self.run_low(images), placements, self._options.threads)

    def _run(self, names: tuple[str, ...], images: Images) -> list[Any]:
        session = self._opened()
        check_images(self._metadata.input, images, self._batch_range)
        try:
            values = session.run(list(names), {"image": images})
        except Exception as error:  # ONNX Runtime's own classes have no common base
            raise ModelError(f"ONNX Runtime failed while it ran the model: {_one_line(error)}") from error
        return [np.asarray(value) for value in values]

    def run_timed(self, images: Images) -> TimedOutputs:
        if self._name is BackendName.ONNXRUNTIME_CUDA:
            return self._run_timed_on_gpu(images)
        start = time.perf_counter()
        outputs = self.run(images)
        return TimedOutputs(outputs, time.perf_counter() - start)

    def _run_timed_on_gpu(self, images: Images) -> TimedOutputs:
        import onnxruntime

        session = self._opened()
        check_images(self._metadata.input, images, self._batch_range)
        binding = session.io_binding()
        device = self._options.device
        binding.bind_ortvalue_input("image", onnxruntime.OrtValue.ortvalue_from_numpy(images, "cuda", device))
        for name in self._outputs:
            binding.bind_output(name, "cuda", device)
        binding.synchronize_inputs()
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        seconds = time.perf_counter() - start
        return TimedOutputs(self._named(binding.copy_outputs_to_cpu()), seconds)

    def _named(self, values: list[Any]) -> Outputs:
        by_name = dict(zip(self._outputs, values, strict=True))
        return Outputs(labels=by_name.get("labels"), logits=by_name.get("logits"))

    def end_profile(self) -> Path:
        """Ends profiling (SessionOptions.profile) and returns the file that ONNX Runtime wrote."""
        return Path(self._opened().end_profiling())

    def close(self) -> None:
        with self._closing:
            self._session = None

    def _opened(self) -> onnxruntime.InferenceSession:
        session = self._session
        if session is None:
            raise ModelError("this session is closed; open the model again")
        return session

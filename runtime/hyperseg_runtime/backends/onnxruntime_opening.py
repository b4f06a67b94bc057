"""Opening an ONNX file: session options, our operators, providers, and errors that carry the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg_runtime import machine
from hyperseg_runtime.backends import openvino
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.errors import BackendUnavailableError, HyperSegError, LibraryMissingError, ModelError
from hyperseg_runtime.libraries import Library, find, isa_error

if TYPE_CHECKING:
    import onnxruntime

CUDA_PROVIDER = "CUDAExecutionProvider"
_CPU_PROVIDER = "CPUExecutionProvider"


def create(model: Path, name: BackendName, options: SessionOptions) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise LibraryMissingError(f"onnxruntime does not load ({error}); pip install onnxruntime") from error
    if not model.is_file():
        raise ModelError(f"{model} is not a file; name an ONNX file (--model FILE)")
    settings = _session_options(options)
    registered = _register_operators(settings)
    providers: list[Any] | None = [_CPU_PROVIDER]
    if options.providers is not None:
        providers = _known_providers(options.providers)
    elif name is BackendName.ONNXRUNTIME_CUDA:
        providers = [(CUDA_PROVIDER, {"device_id": options.device}), _CPU_PROVIDER]
    elif name is BackendName.ONNXRUNTIME_OPENVINO:
        openvino.add_to(settings, options)
        providers = None
    try:
        # Without its fallback: a provider that does not start is an error here, not a slower run.
        return onnxruntime.InferenceSession(str(model), settings, providers=providers, enable_fallback=False)
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise _explain(model, error, registered) from error


def _known_providers(wanted: tuple[str, ...]) -> list[Any]:
    """The providers as asked for. ONNX Runtime itself would drop the ones that it has not with a mere warning."""
    import onnxruntime

    known = onnxruntime.get_available_providers()
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise BackendUnavailableError(
            f"this onnxruntime has no provider {', '.join(missing) or 'to run without'}; it has {', '.join(known)}"
        )
    return list(wanted)


def _session_options(options: SessionOptions) -> onnxruntime.SessionOptions:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
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
    """Registers our operators where they are built; returns why they are not there (a portable model needs none).

    Raises BackendUnavailableError where HYPERSEG_MAX_CPU_ISA has no meaning.
    """
    library = find(Library.ONNXRUNTIME)
    if library is None:
        return f"{Library.ONNXRUNTIME.value} is not built"
    if (wrong := isa_error()) is not None:
        raise BackendUnavailableError(wrong)
    try:
        settings.register_custom_ops_library(str(library))
    except Exception as error:  # ONNX Runtime's own classes have no common base
        return f"{library} does not load: {one_line(error)}"
    return None


def _explain(model: Path, error: Exception, missing_operators: str | None) -> HyperSegError:
    text = one_line(error)
    if missing_operators is not None and "hyperseg" in text.replace(str(model), ""):
        return LibraryMissingError(
            f"{model} needs our operators, but {missing_operators}; install hyperseg with a C++ compiler at hand, "
            "or export with --portable"
        )
    if "InvalidProtobuf" in type(error).__name__ or "Protobuf parsing failed" in text:
        return ModelError(f"{model} is not an ONNX file, or it is damaged; export the model again")
    return ModelError(f"ONNX Runtime does not take {model}: {text}")


def one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:400] + "…"

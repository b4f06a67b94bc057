"""Loads an ONNX file into ONNX Runtime: providers, our operators, and the logits before the graph's end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

from hyperseg_runtime import machine
from hyperseg_runtime.backends import openvino
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.errors import BackendUnavailableError, HyperSegError, LibraryMissingError, ModelError
from hyperseg_runtime.graph_end import low_logits_name, output_field
from hyperseg_runtime.libraries import Library, find, isa_error
from hyperseg_runtime.onnx_file import GraphNode, read_nodes, read_outputs
from hyperseg_runtime.provenance import unchanging

if TYPE_CHECKING:
    import onnxruntime

CUDA_PROVIDER = "CUDAExecutionProvider"
_CPU_PROVIDER = "CPUExecutionProvider"
_NO_END = "its graph does not end in a bilinear enlargement and an arg max"
_UNKNOWN = 0
"""Dimensions of a shape that ONNX Runtime does not know, as behind our operators in a file without shapes: the session
checks the first result."""
_FLOATS = ("tensor(float)", "tensor(float16)")


@dataclass(frozen=True)
class LoadedModel:
    """A model in ONNX Runtime."""

    session: onnxruntime.InferenceSession
    low_logits: str | None
    """The output with the logits at the network's own output size (`graph_end`); None where it has none."""
    without: str | None = None
    """Why it has none."""
    added: str | None = None
    """The output that the file does not have: the same one, or None."""


def package() -> Any:
    """The package onnxruntime. Raises LibraryMissingError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise LibraryMissingError(f"onnxruntime does not load ({error}); pip install onnxruntime") from error
    return onnxruntime


def session_options(options: SessionOptions) -> onnxruntime.SessionOptions:
    """ONNX Runtime's options of a session. Raises LibraryMissingError."""
    settings = package().SessionOptions()
    settings.intra_op_num_threads = options.threads or machine.inference_threads()
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    # Between two runs the cores belong to decoding, encoding, or the other model of a comparison.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if options.profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(options.profile)
    return settings


def load(
    model: Path,
    name: BackendName,
    options: SessionOptions,
    settings: onnxruntime.SessionOptions,
    nodes: Sequence[GraphNode] | None = None,
) -> LoadedModel:
    """Loads the file, with its low-resolution logits as one more output where the graph has them.

    nodes: of the file, where the caller has read them.

    Raises ModelError, LibraryMissingError, BackendUnavailableError.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in str(model)):
        raise ModelError(f"{str(model)!r}: ONNX Runtime takes only names in UTF-8; rename the file")
    registered = _register_operators(settings)
    providers = _providers(name, options, settings)

    def opened(file: Path) -> onnxruntime.InferenceSession:
        # Without its fallback: a provider that does not start is an error here, not a slower run.
        return package().InferenceSession(str(file), settings, providers=providers, enable_fallback=False)

    try:
        with unchanging(model) as file:
            try:
                low_logits = low_logits_name(read_nodes(file) if nodes is None else nodes)
                given = low_logits in read_outputs(file)
            except ModelError:  # ONNX Runtime reads what we do not, such as names that are no UTF-8
                return LoadedModel(opened(file), None, "its graph cannot be read")
            if low_logits is None:
                return LoadedModel(opened(file), None, _NO_END)
            if given:
                return LoadedModel(opened(file), low_logits)
            try:
                with _copy_with_output(file, low_logits, None if file == model else file.parent) as copy:
                    return _checked(opened(copy), low_logits)
            except OSError as error:
                reason = f"it cannot be copied to {gettempdir()} ({error.strerror or error})"
            except Exception as error:  # ONNX Runtime's own classes have no common base
                reason = f"ONNX Runtime does not give them ({one_line(error)})"
            return LoadedModel(opened(file), None, reason)  # an error of the file itself shows here, with its own name
    except HyperSegError:
        raise
    except Exception as error:  # as above
        raise _explain(model, error, registered) from error


@contextmanager
def _copy_with_output(file: Path, name: str, folder: Path | None) -> Iterator[Path]:
    """A copy of the file on the disk with one more output. ONNX Runtime reads it without a second copy in memory, where
    it would keep the bytes of a model that it is given for as long as the session lives.

    folder: of our own, with the weights that the file loads; None: it loads none. Raises OSError.
    """
    with ExitStack() as stack:
        if folder is None:
            temporary = TemporaryDirectory(prefix="hyperseg-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
        copy = folder / "hyperseg-low-logits.onnx"
        copyfile(file, copy)
        with copy.open("ab") as appended:
            appended.write(output_field(name))
        yield copy


def _checked(session: onnxruntime.InferenceSession, name: str) -> LoadedModel:
    output = next(node for node in session.get_outputs() if node.name == name)
    if output.type in _FLOATS and len(output.shape) in (4, _UNKNOWN):
        return LoadedModel(session, name, None, name)
    return LoadedModel(session, None, f"what it enlarges is {output.type} of {len(output.shape)} dimensions", name)


def _providers(name: BackendName, options: SessionOptions, settings: onnxruntime.SessionOptions) -> list[Any] | None:
    if options.providers is not None:
        return _known_providers(options.providers)
    if name is BackendName.ONNXRUNTIME_CUDA:
        return [(CUDA_PROVIDER, {"device_id": options.device}), _CPU_PROVIDER]
    if name is BackendName.ONNXRUNTIME_OPENVINO:
        openvino.add_to(settings, options)
        return None
    return [_CPU_PROVIDER]


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
        return f"{library} does not load: {one_line(error)}"
    return None


def _explain(model: Path, error: Exception, missing_operators: str | None) -> HyperSegError:
    text = one_line(error)
    if missing_operators is not None and "hyperseg" in text.replace(str(model), ""):
        return LibraryMissingError(
            f"{model} needs our operators, but {missing_operators}; install hyperseg with a C++ compiler, "
            "or export with --portable"
        )
    if "InvalidProtobuf" in type(error).__name__ or "Protobuf parsing failed" in text:
        return ModelError(f"{model} is not an ONNX file, or it is damaged; export the model again")
    return ModelError(f"ONNX Runtime cannot load {model}: {text}")


def one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:400] + "…"

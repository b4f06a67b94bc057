"""Origin of model files: their hashes, and whether what a file was made from is still what lies beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from shutil import copyfile
from tempfile import TemporaryDirectory, gettempdir

from hyperseg_runtime.errors import HyperSegError, ModelError
from hyperseg_runtime.graph_target import read_target
from hyperseg_runtime.metadata import InputType, Metadata, OutputKind, Precision, Target
from hyperseg_runtime.model_kinds import Kind, is_engine, kind_of, without_suffix
from hyperseg_runtime.onnx_file import read_external_files, read_properties
from hyperseg_runtime.regular_files import open_regular
from hyperseg_runtime.sidecar import Sidecar, path_of

_CHUNK = 1 << 20


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises ModelError."""
    found = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while block := file.read(_CHUNK):
                found.update(block)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    return found.hexdigest()


@dataclass(frozen=True)
class FileState:
    """A file as it was when it was opened, so that a later change is noticed without its content."""

    path: Path
    size: int
    modified_ns: int
    inode: int

    @staticmethod
    def of(path: Path) -> FileState:
        """Raises ModelError."""
        try:
            found = path.stat()
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
        return FileState(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def digest(self) -> str:
        """SHA-256 of the file. Raises ModelError if it is not the one that was opened any more."""
        content = digest(self.path)
        if FileState.of(self.path) != self:
            raise ModelError(f"{self.path} was changed after it was opened; open the model again")
        return content


def opened_files(model: Path) -> tuple[FileState, ...]:
    """A model file, those that it loads weights from and an engine's description, as they are now; empty for what is no
    model file."""
    if not model.is_file():
        return ()
    model = model.absolute()  # the working folder may be another one by then
    names = sorted(read_external_files(model)) if kind_of(model) is Kind.ONNX else []
    if is_engine(model):
        names = [path_of(model).name]  # which has the classes and the palette
    return tuple(FileState.of(file) for file in (model, *(model.parent / name for name in names)) if file.is_file())


def source_name(engine: Path, sidecar: Sidecar) -> str:
    """The name of the ONNX file that an engine was built from; by its own name if the sidecar does not say."""
    if sidecar.engine.onnx_name is not None:
        return sidecar.engine.onnx_name
    return f"{_stem(engine)}.onnx"


def stale_engine(engine: Path, sidecar: Sidecar) -> str | None:
    """One line if the ONNX file that the engine was built from lies beside it and has changed since."""
    source = engine.with_name(source_name(engine, sidecar))
    if not source.is_file() or digest(source) == sidecar.engine.onnx_sha256:
        return None
    return (
        f"{engine} was built from another export than {source.name} beside it; "
        f"build it again (hyperseg-build-engine {quote(source.name)}{_options_of(engine, source, sidecar)} --force)"
    )


def _options_of(engine: Path, source: Path, sidecar: Sidecar) -> str:
    """The options that write an engine of this name and precision again."""
    half = sidecar.metadata.precision is Precision.FLOAT16 and not _computes_in_half(source)
    usual = engine.name == f"{source.stem}{'.fp16' if half else ''}.engine"
    return f"{' --fp16' if half else ''}{'' if usual else f' -o {quote(engine.name)}'}"


def _computes_in_half(model: Path) -> bool:
    try:
        return Metadata.from_properties(read_properties(model), str(model)).precision is Precision.FLOAT16
    except HyperSegError:
        return False  # said when it is opened


def stale_export(model: Path, metadata: Metadata) -> str | None:
    """One line if a checkpoint of the model's name lies beside it and is not the one that it was exported from."""
    wanted = metadata.checkpoint_sha256
    if wanted is None:
        return None
    stem = _stem(model)
    try:
        beside = sorted(model.parent.iterdir())
        same_name = [path for path in beside if kind_of(path) is Kind.CHECKPOINT and _stem(path) == stem]
        same_name = [path for path in same_name if path.is_file()]
    except OSError as error:
        raise ModelError(f"the folder {model.parent} cannot be read ({error.strerror or error})") from error
    if not same_name or any(digest(path) == wanted for path in same_name):
        return None
    checkpoint = same_name[0].name
    if is_engine(model):
        then = f"export and build it again (hyperseg-export --ckpt {quote(checkpoint)} --onnx, hyperseg-build-engine)"
        return f"{model} is of another checkpoint than {checkpoint} beside it; {then}"
    options = _options_of_export(model, same_name[0], metadata)
    return (
        f"{model} was exported from another checkpoint than {checkpoint} beside it; export it again "
        f"(hyperseg-export --ckpt {quote(checkpoint)} --onnx{options} --force)"
    )


def _options_of_export(model: Path, checkpoint: Path, metadata: Metadata) -> str:
    """The options that write an ONNX file of this name, target, precision and resolution again, as far as it records
    them."""
    spec, config, target = metadata.input, metadata.config or {}, _target_of_export(model, metadata)
    own = config.get("resolution")  # of any type, as everything in a file that may come from anywhere
    usual = not isinstance(own, (list, tuple)) or list(own) in ([], [spec.height, spec.width])
    options = {
        quote(model.name): model.name != f"{without_suffix(checkpoint)}.onnx",
        f"--target {target.value}": target is not Target.CPU,
        "--fp16": metadata.precision is Precision.FLOAT16,
        "--int8 --calibrate IMAGES": metadata.precision is Precision.INT8,
        "--dynamic": spec.dynamic_size,
        f"--resolution {spec.height}x{spec.width}": not (usual or spec.dynamic_size),
        "--input-type float": spec.dtype is not InputType.UINT8,
        f"--output-type {metadata.output.value}": metadata.output is not OutputKind.LABELS,
    }
    return "".join(f" {option}" for option, given in options.items() if given)


def _target_of_export(model: Path, metadata: Metadata) -> Target:
    """The target of the command that wrote an ONNX file, as far as the file tells."""
    if metadata.target is not None:
        return metadata.target
    try:
        found = read_target(model).target
    except HyperSegError:
        return Target.CPU  # said when it is opened
    # Of earlier versions: without further options, files in float16 had no operators that only the CPU has.
    return Target.CPU if found is Target.CUDA and metadata.precision is Precision.FLOAT16 else found


def same_origin(onnx: Path, metadata: Metadata, engine: Sidecar) -> bool:
    """Whether an engine is of the same network as an ONNX file: built from it or from the file that has its weights, or
    of the same checkpoint."""
    checkpoint, source = engine.metadata.checkpoint_sha256, engine.engine.onnx_sha256
    if checkpoint is not None and checkpoint == metadata.checkpoint_sha256:
        return True
    return source in metadata.external.values() or digest(onnx) == source


@contextmanager
def unchanging(model: Path) -> Iterator[Path]:
    """The path to open an ONNX file by: its own, or that of a copy while weights are loaded from another file.

    ONNX Runtime maps such a file into memory, so that a session would compute with whatever is written into the file
    later, or end the process if it gets shorter. The copy is deleted at the end; the mapping outlives its name.

    Raises ModelError as check_borrowed_weights, or if there is no room for the copy.
    """
    names = sorted(read_external_files(model))
    if not names:
        yield model
        return
    metadata = Metadata.from_properties(read_properties(model), str(model))
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="hyperseg-", ignore_cleanup_errors=True)))
            for name in (model.name, *names):
                if Path(name).is_absolute() or ".." in Path(name).parts:
                    raise ModelError(
                        f"{model} loads weights from {name}, outside of its folder; export the model again"
                    )
                if (model.parent / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    copyfile(model.parent / name, folder / name)
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(f"{model} and its weights cannot be copied to {gettempdir()} ({reason})") from error
        check_borrowed_weights(model, metadata, folder)
        yield folder / model.name


def check_borrowed_weights(model: Path, metadata: Metadata, folder: Path | None = None) -> None:
    """Checks the files that an ONNX file loads weights from (NAME.portable.onnx loads NAME.onnx's).

    Raises ModelError if one is missing or is not the one that the model was made with. Offsets into a file that was
    exported anew would give wrong weights, not an error. folder: where the files are; None: beside the model.
    """
    for name in sorted(read_external_files(model)):
        file, expected = (folder or model.parent) / name, metadata.external.get(name)
        again = "write both again, or copy both from one place"
        if not file.is_file():
            raise ModelError(f"{model} loads its weights from {name}, which is missing beside it; {again}")
        if expected is None and kind_of(file) is not Kind.ONNX:
            continue  # weights moved to a file of their own by another tool, which no export rewrites
        if expected is None or digest(file) != expected:
            raise ModelError(
                f"{model} loads its weights from {name}, which is not the file that it was made with; {again}"
            )


def _stem(path: Path) -> str:
    """The name without the suffixes that the commands add: m.fp16.engine, m.portable.onnx and m.pth.tar are of m."""
    name = without_suffix(path)
    for suffix in (".fp16", ".portable"):
        name = name.removesuffix(suffix)
    return name

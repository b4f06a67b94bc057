"""The native libraries: where they are installed, and whether they load."""

from __future__ import annotations

import ctypes
import json
import os
from enum import Enum
from pathlib import Path

from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.names import shown

ENVIRONMENT_VARIABLE = "HYPERSEG_LIBRARY_DIR"
ISA_VARIABLE = "HYPERSEG_MAX_CPU_ISA"


class Library(Enum):
    """A native library of the project; the value is its file name."""

    ONNXRUNTIME = "libhyperseg_ort.so"
    TENSORRT = "libhyperseg_trt.so"
    PYTORCH = "libhyperseg_cuda.so"
    """Loaded by `hyperseg`, not here, except for labels in a GPU's memory."""
    CPU = "libhyperseg_cpu.so"
    """Labels at a frame's size, on the CPU; without it they are computed by NumPy, which takes much longer."""

    @property
    def remedy(self) -> str:
        """How to get it."""
        return "build it (pip install . with a C++ compiler)"


class HostLibrary(Enum):
    """A native library that other programs open (docs/foreign-hosts.md), and never this one: opening it registers
    plugins. The value is its file name."""

    REGISTRATION = "libhyperseg_trt_register.so"
    """Registers the plugins of libhyperseg_trt.so with the host's TensorRT."""
    NVINFER = "libhyperseg_nvinfer.so"
    """The same, and DeepStream's parser of our labels. Built where DeepStream's headers are."""

    @property
    def remedy(self) -> str:
        """How to get it."""
        where = "DeepStream is" if self is HostLibrary.NVINFER else "nvcc and TensorRT's headers are"
        return f"install hyperseg where {where} (pip install .)"


def search_path() -> tuple[Path, ...]:
    """The folders searched, in order: HYPERSEG_LIBRARY_DIR if it is set, then the package's own `lib`.

    Neither the working folder nor a model's is ever searched. Raises LibraryMissingError where the variable is not an
    absolute path: it would mean another folder in every working folder.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    packaged = Path(__file__).resolve().parent / "lib"
    if not chosen:
        return (packaged,)
    if not Path(chosen).is_absolute():
        raise LibraryMissingError(
            f"{ENVIRONMENT_VARIABLE} is {shown(chosen)}, not an absolute path; set it to the libraries' folder, or "
            "unset it"
        )
    return Path(chosen), packaged


def find(library: Library | HostLibrary) -> Path | None:
    """The library's file, or None if it was not built. Raises LibraryMissingError as `search_path`, and where a folder
    cannot be looked into: another folder's library may not be the one that was meant."""
    for folder in search_path():
        path: Path = folder / library.value
        try:
            if path.is_file():
                return path.resolve()
        except (OSError, RuntimeError) as error:
            problem = getattr(error, "strerror", None) or error
            raise LibraryMissingError(
                f"{shown(folder)[:200]} cannot be read ({problem}); set {ENVIRONMENT_VARIABLE} to the libraries' "
                "folder, or unset it"
            ) from error
    return None


def require(library: Library | HostLibrary) -> Path:
    """The library's file. Raises LibraryMissingError, which names the folders searched and the remedy."""
    path = find(library)
    if path is None:
        folders = ", ".join(str(folder) for folder in search_path())
        raise LibraryMissingError(
            f"{library.value} was not found in {folders}; {library.remedy}, or set {ENVIRONMENT_VARIABLE} to its folder"
        )
    return path


def compiled_with(library: Library, dependency: str) -> str | None:
    """Where the build found a dependency of the library, e.g. "TensorRT headers"; None if unknown.

    It is in native.json, the table that CMake prints and installs beside the libraries.
    """
    path = find(library)
    if path is None:
        return None
    try:
        table = json.loads(path.with_name("native.json").read_text(encoding="utf-8"))
        return str(table[dependency]["detail"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def cpu_isa() -> str | None:
    """The instruction set that our CPU operators use, e.g. "AVX3_ZEN4"; None if unknown."""
    text = _isa_text()
    return None if text.startswith(ISA_VARIABLE) else text or None


_ISA_NAMES = {
    "SSE2": "SSE2",
    "SSSE3": "SSSE3",
    "SSE4": "SSE4.2",
    "AVX2": "AVX2",
    "AVX3": "AVX-512",
    "AVX3_DL": "AVX-512 of Ice Lake and later",
    "AVX3_ZEN4": "AVX-512 of Zen 4 and later",
    "AVX3_SPR": "AVX-512 of Sapphire Rapids and later",
    "AVX10_2": "AVX10.2",
}


def isa_label(name: str) -> str:
    """The usual name of one of Highway's targets; what has none, such as NEON, keeps Highway's."""
    return _ISA_NAMES.get(name, name)


def isa_error() -> str | None:
    """The problem with the value of HYPERSEG_MAX_CPU_ISA, as one line; None if it is valid or unset."""
    if not os.environ.get(ISA_VARIABLE):
        return None
    text = _isa_text()
    return text if text.startswith(ISA_VARIABLE) else None


def _isa_text() -> str:
    try:
        built = find(Library.ONNXRUNTIME) or require(Library.CPU)
        function = ctypes.CDLL(str(built)).hyperseg_cpu_isa
    except (OSError, AttributeError, LibraryMissingError):
        return ""
    function.restype = ctypes.c_char_p
    return str(function().decode())


def load_error(library: Library) -> str | None:
    """The reason why the library does not load, as one line; None if it loads."""
    try:
        ctypes.CDLL(str(require(library)), mode=os.RTLD_LOCAL | os.RTLD_NOW)
    except (OSError, LibraryMissingError) as error:
        return " ".join(str(error).split())
    return isa_error() if library in (Library.ONNXRUNTIME, Library.CPU) else None

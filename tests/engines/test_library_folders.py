"""Native libraries come from the package or from the folder that the user names, never from where the models lie."""

from __future__ import annotations

import errno
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from hyperseg_export.engine import build_engine, process, require_graph_tools
from hyperseg_export.errors import EngineError
from hyperseg_runtime import libraries, sealed_library, sidecar
from hyperseg_runtime.backends import tensorrt_flavour
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.extras import EXTRAS
from hyperseg_runtime.libraries import ENVIRONMENT_VARIABLE, HostLibrary, Library
from hyperseg_runtime.sealed_library import seal

from hyperseg import cuda_library

from .graphs import miniature, save


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an attacker's libraries in it."""
    for library in (*Library, *HostLibrary):
        (tmp_path / library.value).write_bytes(b"of the attacker")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    return tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_the_working_folder_is_not_searched(folder: Path, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
    packaged = Path(libraries.__file__).resolve().parent / "lib"
    assert libraries.search_path() == cuda_library.search_path() == (packaged,)
    assert all(found is None or found.parent == packaged for found in map(libraries.find, (*Library, *HostLibrary)))


@pytest.mark.parametrize("value", [".", "./", "lib", "../models", "~/lib", " "])
def test_a_folder_that_depends_on_the_working_folder(folder: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
    message = r"HYPERSEG_LIBRARY_DIR is .*, not an absolute path; set it to the libraries' folder, or unset it"
    with pytest.raises(LibraryMissingError, match=message):
        libraries.find(Library.TENSORRT)
    with pytest.raises(cuda_library.CudaLibraryError, match=message):
        cuda_library.open_library()


def test_a_folder_that_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(folder))
    assert libraries.find(Library.TENSORRT) == folder / Library.TENSORRT.value
    assert cuda_library.search_path()[0] == folder


def test_a_folder_named_like_our_package_is_no_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds a folder of the wanted name in the working folder, as a namespace package, where the package itself
    is not installed."""
    named = ModuleSpec("hyperseg_runtime", None, is_package=True)
    named.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(cuda_library, "find_spec", lambda _: named)
    assert cuda_library.search_path() == ()


def test_a_folder_named_like_tensorrts_package_is_no_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tensorrt_rtx_libs").mkdir()
    (folder / "tensorrt_rtx_libs" / "libtensorrt_rtx.so.1").write_bytes(b"of the attacker")
    monkeypatch.delitem(sys.modules, "tensorrt_rtx_libs", raising=False)
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "PathFinder" in str(finder)])
    links = folder / "links"
    links.mkdir()
    assert process.link_rtx_libraries(links) == [] and list(links.iterdir()) == []


def test_folders_named_like_the_builds_packages_are_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EXTRAS["engine"]:
        (folder / name).mkdir()
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "PathFinder" in str(finder)])
    with pytest.raises(EngineError, match=f"needs {', '.join(EXTRAS['engine'])}, missing here; pip install"):
        require_graph_tools()


@pytest.mark.parametrize(
    ("variable", "value", "kept"),
    [
        ("LD_LIBRARY_PATH", "", None),
        ("LD_LIBRARY_PATH", ":", None),
        ("LD_LIBRARY_PATH", "/a:", "/a"),
        ("LD_LIBRARY_PATH", ":/a::/b:.:lib", "/a:/b"),
        ("PYTHONPATH", ":/a::/b", "/a:/b"),
    ],
)
def test_the_builds_search_paths(
    folder: Path, variable: str, value: str, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty entry means the working folder: ld.so(8), "LD_LIBRARY_PATH"; Python's PYTHONPATH likewise."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(process, "_prepend", lambda *_: None)
    assert process._environment(Flavour.TENSORRT, folder).get(variable) == kept


def test_a_relative_python_path_means_the_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "src")
    entries = process._environment(Flavour.TENSORRT, folder)["PYTHONPATH"].split(os.pathsep)
    assert entries[-1] == str(folder / "src")


@pytest.mark.usefixtures("builder", "no_gpu")
def test_a_build_runs_no_code_of_the_models_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnx", "numpy", "hyperseg_runtime"):
        (folder / f"{module}.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n", encoding="utf-8")
    monkeypatch.setenv("LD_LIBRARY_PATH", ":")
    report = build_engine(save(miniature(), folder / "m.onnx"))
    assert not (folder / "ran").exists()
    library = libraries.require(Library.TENSORRT)
    assert report.facts.plugin_sha256 == seal(library).sha256 != seal(folder / library.name).sha256


@pytest.mark.usefixtures("builder", "no_gpu")
def test_what_is_signed_is_what_was_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to the engine's folder exchanges every file in it while the build is not finished."""
    from hyperseg_export.engine import build as building

    verify = building.verify_engine

    def exchange(*arguments: object) -> object:
        for path in folder.iterdir():
            if path.suffix == ".part":
                path.write_bytes(b"of the attacker")
        return verify(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "verify_engine", exchange)
    report = build_engine(save(miniature(), folder / "m.onnx"))
    _, plan = sidecar.read_plan(report.engine)
    assert len(plan) == report.bytes and b"of the attacker" not in plan


def test_a_folder_named_like_tensorrt_is_no_tensorrt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script in a folder of engines has that folder on sys.path."""
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        (folder / name).mkdir()
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "PathFinder" in str(finder)])
    assert tensorrt_flavour.installed() == ()


def test_a_folder_that_cannot_be_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, f"/{'a' * 300}")  # as one without permission, which root always has
    with pytest.raises(LibraryMissingError, match=r"cannot be read .*; set HYPERSEG_LIBRARY_DIR"):
        libraries.find(Library.TENSORRT)


def test_descriptors_that_somebody_closed(tmp_path: Path) -> None:
    """As daemons do. The number then is another file's, whose bytes nobody hashed."""
    source, attackers = tmp_path / "lib.so", tmp_path / "other.so"
    source.write_bytes(os.urandom(32))
    attackers.write_bytes(b"of the attacker")
    number = int(seal(source).path.name)
    taken = os.open(attackers, os.O_RDONLY)
    try:
        os.dup2(taken, number)  # which closes the library's copy
        assert seal(source).path.read_bytes() == source.read_bytes()
    finally:
        os.close(taken)
        os.close(number)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_a_sandbox_without_memory_files(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, flags: int) -> int:
        raise OSError(code, os.strerror(code))

    (tmp_path / "lib.so").write_bytes(os.urandom(32))
    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(LibraryMissingError, match=r"lib\.so cannot be copied into memory .*; allow memfd_create"):
        seal(tmp_path / "lib.so")


def test_a_sandbox_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib.so").write_bytes(os.urandom(32))
    monkeypatch.setattr(sealed_library, "_FOLDER", tmp_path / "proc")
    with pytest.raises(LibraryMissingError, match=r"lib\.so cannot be copied into memory .*; allow memfd_create"):
        seal(tmp_path / "lib.so")


def test_a_sealed_library_cannot_be_changed(tmp_path: Path) -> None:
    source = tmp_path / "lib.so"
    source.write_bytes(b"as it was hashed")
    sealed = seal(source)
    source.write_bytes(b"changed")
    assert sealed.path.read_bytes() == b"as it was hashed"
    with pytest.raises(OSError):
        sealed.path.write_bytes(b"changed")
    assert seal(source).path != sealed.path  # a number is not used again: the linker would return the former library
    source.write_bytes(b"as it was hashed")
    assert seal(source) == sealed
    with pytest.raises(LibraryMissingError, match=r"gone\.so cannot be read"):
        seal(tmp_path / "gone.so")

"""The libraries that register our plugins in hosts which only open them, in a double of such a host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cuda_on_cpu.build import ROOT
from hyperseg_runtime import libraries

from .plugin_build import INTERFACE

DOUBLES = Path(__file__).parent / "doubles" / "native"
SECONDS = 300
VERSIONS = (10, 11)
PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(hosts LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN")
list(APPEND CMAKE_MODULE_PATH "{root}/cmake")
set(HYPERSEG_CUDA OFF)
include(HypersegParts)
include(HypersegWarnings)
include(HypersegTensorRT)
set(CUDAToolkit_INCLUDE_DIRS "{cuda}")
add_subdirectory("{root}/trt_plugins/hosts" hosts)
hyperseg_print_parts()
foreach(version IN ITEMS 10 11)  # doubles of TensorRT, each in a folder of its own
  if(TARGET hyperseg_tensorrt_${{version}})
    add_library(nvinfer_${{version}} SHARED "{doubles}/registry.cpp")
    set_target_properties(nvinfer_${{version}} PROPERTIES OUTPUT_NAME nvinfer SOVERSION ${{version}}
      LIBRARY_OUTPUT_DIRECTORY "${{CMAKE_BINARY_DIR}}/tensorrt-${{version}}")
    target_link_libraries(nvinfer_${{version}} PRIVATE hyperseg_tensorrt_${{version}} ${{CMAKE_DL_LIBS}})
  endif()
endforeach()
"""
OPEN = """
import ctypes, sys
loaded = [ctypes.CDLL(path) for path in sys.argv[1:]]
counts = [library.double_plugin_count() for library in loaded if hasattr(library, "double_plugin_count")]
print(*counts or ["no TensorRT"])
"""


@dataclass(frozen=True)
class Built:
    """Installed libraries, and doubles of their hosts."""

    folder: Path
    build: Path
    nvinfer: Path

    @property
    def register(self) -> Path:
        return self.folder / "libhyperseg_trt_register.so"

    def tensorrt(self, version: int) -> Path:
        """A double of the TensorRT of this major version."""
        return self.build / f"tensorrt-{version}" / f"libnvinfer.so.{version}"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )


def succeed(*command: str | Path) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def build(folder: Path, *options: str) -> Built:
    """Configures, builds and installs the libraries with the doubles. Skips where a tool is missing."""
    plugins = libraries.find(libraries.Library.TENSORRT)
    if plugins is None:
        pytest.skip("libhyperseg_trt.so is not built (nvcc and TensorRT's headers are needed)")
    cuda = Path("/usr/local/cuda/include")
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cmake, compiler = shutil.which("cmake", path=search), shutil.which("g++")
    if not cuda.is_dir() or cmake is None or compiler is None:
        pytest.skip("the libraries need CUDA's headers, CMake and g++")
    (folder / "CMakeLists.txt").write_text(PROJECT.format(root=ROOT, cuda=cuda, doubles=DOUBLES))
    succeed(
        cmake, "-S", folder, "-B", folder / "build", "-DHYPERSEG_WERROR=ON", "-DHYPERSEG_DOWNLOAD=OFF",
        f"-DDEEPSTREAM_ROOT={DOUBLES}", "-DCMAKE_BUILD_TYPE=Release", *options,
    )  # fmt: skip
    succeed(cmake, "--build", folder / "build")
    succeed(cmake, "--install", folder / "build", "--prefix", folder)
    installed = folder / "hyperseg_runtime" / "lib"
    shutil.copy(plugins, installed)
    nvinfer = folder / "nvinfer"
    succeed(compiler, "-std=c++17", "-I", DOUBLES / "sources/includes", DOUBLES / "nvinfer.cpp", "-o", nvinfer, "-ldl")
    return Built(installed, folder / "build", nvinfer)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """With NVIDIA's headers of a version where they are found, else with our declarations of its interface."""
    headers = f"-DHYPERSEG_HEADERS={ROOT / 'build' / 'headers'}"
    return build(tmp_path_factory.mktemp("hosts"), headers, "-DHYPERSEG_TENSORRT_TEST_INTERFACE=ON")


@pytest.fixture(scope="module")
def built_for_11(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Where only headers of TensorRT 11 are found: a folder of the user's, and no network."""
    folder = tmp_path_factory.mktemp("hosts-11")
    shutil.copytree(INTERFACE, folder / "TensorRT" / "include")
    return build(folder, f"-DHYPERSEG_HEADERS={folder / 'nowhere'}", f"-DTensorRT_ROOT={folder / 'TensorRT'}")


@pytest.mark.parametrize("version", VERSIONS)
def test_opening_the_library_registers_the_plugins(built: Built, version: int) -> None:
    """One build, whichever TensorRT the host has: its registry's vtable is another one in each."""
    done = run(sys.executable, "-c", OPEN, built.tensorrt(version), built.register)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_process_with_both_versions(built: Built) -> None:
    done = run(sys.executable, "-c", OPEN, built.tensorrt(10), built.tensorrt(11), built.register)
    assert (done.stdout.strip(), done.stderr) == ("3 3", "")


def test_no_symbol_of_tensorrt_can_be_taken_for_another_versions(built: Built) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed (binutils)")
    symbols = run("nm", "-C", built.register).stdout
    for version in VERSIONS:
        assert f"hyperseg::hosts::register_plugins<{version}>" in symbols
    assert "nvinfer1" not in symbols and "getPluginRegistry" not in symbols


def test_a_library_that_only_exports_its_plugins_registers_none(built: Built) -> None:
    """Why there is another one: hosts that call dlopen get nothing from libhyperseg_trt.so itself."""
    done = run(sys.executable, "-c", OPEN, built.tensorrt(11), built.folder / "libhyperseg_trt.so")
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_both_libraries_register_once(built: Built) -> None:
    done = run(sys.executable, "-c", OPEN, built.tensorrt(11), built.folder / "libhyperseg_nvinfer.so", built.register)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_tensorrt_that_loaded_the_plugins_itself(built: Built, tmp_path: Path) -> None:
    """A second copy of the library, from another folder, finds the plugins registered."""
    for name in ("libhyperseg_trt.so", built.register.name):
        shutil.copy(built.folder / name, tmp_path)
    done = run(sys.executable, "-c", OPEN, built.tensorrt(11), built.register, tmp_path / built.register.name)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_host_without_tensorrt(built: Built) -> None:
    done = run(sys.executable, "-c", OPEN, built.register)
    assert (done.returncode, done.stdout.strip()) == (0, "no TensorRT")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "hyperseg: libnvinfer.so.10 or libnvinfer.so.11 is not loaded, so no plugins were registered"
    )
    assert line.endswith("open this library after TensorRT (not with LD_PRELOAD)")


def test_a_build_for_another_version_than_the_hosts(built: Built, built_for_11: Built) -> None:
    """Its registry's vtable would be another one: nothing of it is called. CMake said so before."""
    done = run(sys.executable, "-c", OPEN, built.tensorrt(10), built_for_11.register)
    assert (done.returncode, done.stdout.strip()) == (0, "0")
    (line,) = done.stderr.splitlines()
    assert "libnvinfer.so.11 is not loaded, so no plugins were registered" in line
    assert "build it with the headers of the host's TensorRT" in line
    assert run(sys.executable, "-c", OPEN, built.tensorrt(11), built_for_11.register).stdout.strip() == "3"
    parts = json.loads((built_for_11.folder / "native.json").read_text())
    found = {version: parts[f"TensorRT {version} in other hosts"] for version in VERSIONS}
    assert (found[10]["found"], found[11]["found"]) == ("no", "yes")
    assert "no headers of it, so libhyperseg_trt_register.so is not for it: set TensorRT_ROOT" in found[10]["detail"]


def test_without_the_plugin_library(built: Built, tmp_path: Path) -> None:
    register = shutil.copy(built.register, tmp_path)
    done = run(sys.executable, "-c", OPEN, built.tensorrt(11), register)
    assert (done.returncode, done.stdout.strip()) == (0, "0")
    assert done.stderr.strip().endswith("was not loaded by TensorRT; install both libraries from one build")
    assert str(tmp_path / "libhyperseg_trt.so") in done.stderr


def test_nvinfers_parser(built: Built) -> None:
    library = built.folder / "libhyperseg_nvinfer.so"
    done = run(built.nvinfer, built.tensorrt(11), library, "labels", "3")
    assert (done.stdout.strip(), done.stderr) == ("3 plugins: 0 1 2 3 4 11", "")


@pytest.mark.parametrize(("layer", "kind"), [("logits", "3"), ("labels", "0")])
def test_nvinfers_parser_refuses_other_plans(built: Built, layer: str, kind: str) -> None:
    done = run(built.nvinfer, built.tensorrt(11), built.folder / "libhyperseg_nvinfer.so", layer, kind)
    assert done.stdout.strip() == "refused"
    assert "no output `labels`, INT32 [2, 3, 1]; build it with hyperseg-build-engine --deepstream" in done.stderr

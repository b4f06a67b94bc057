"""The libraries that register our plugins in hosts which only open them, in a double of such a host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cuda_on_cpu.build import ROOT
from hyperseg_runtime import libraries

from .plugin_build import tensorrt_include

DOUBLES = Path(__file__).parent / "doubles" / "native"
SECONDS = 300
PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(hosts LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_INSTALL_RPATH "$ORIGIN")
list(APPEND CMAKE_MODULE_PATH "{root}/cmake")
include(HypersegParts)
include(HypersegWarnings)
add_library(hyperseg_tensorrt_headers INTERFACE)
target_include_directories(hyperseg_tensorrt_headers SYSTEM INTERFACE "{tensorrt}" "{cuda}")
add_subdirectory("{root}/trt_plugins/hosts" hosts)
"""
OPEN = """
import ctypes, sys
loaded = [ctypes.CDLL(path) for path in sys.argv[1:]]
count = getattr(loaded[0], "double_plugin_count", None)
print(count() if count else "no TensorRT")
"""


@dataclass(frozen=True)
class Built:
    """Installed libraries, and doubles of their hosts."""

    folder: Path
    tensorrt: Path
    """A double of the TensorRT whose headers were compiled with, and of another one."""
    other: Path
    nvinfer: Path

    @property
    def register(self) -> Path:
        return self.folder / "libhyperseg_trt_register.so"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )


def succeed(*command: str | Path) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    plugins = libraries.find(libraries.Library.TENSORRT)
    if plugins is None:
        pytest.skip("libhyperseg_trt.so is not built (nvcc and TensorRT's headers are needed)")
    cuda = Path("/usr/local/cuda/include")
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cmake, compiler = shutil.which("cmake", path=search), shutil.which("g++")
    if not cuda.is_dir() or cmake is None or compiler is None:
        pytest.skip("the libraries need CUDA's headers, CMake and g++")
    headers, folder = tensorrt_include(), tmp_path_factory.mktemp("hosts")
    (folder / "major.cpp").write_text("#include <NvInferVersion.h>\nNV_TENSORRT_MAJOR\n")
    major = run(compiler, "-E", "-P", "-isystem", headers, folder / "major.cpp").stdout.split()[-1]

    (folder / "CMakeLists.txt").write_text(PROJECT.format(root=ROOT, tensorrt=headers, cuda=cuda))
    succeed(
        cmake, "-S", folder, "-B", folder / "build", "-DHYPERSEG_WERROR=ON", f"-DDEEPSTREAM_ROOT={DOUBLES}",
        "-DCMAKE_BUILD_TYPE=Release",
    )  # fmt: skip
    succeed(cmake, "--build", folder / "build")
    succeed(cmake, "--install", folder / "build", "--prefix", folder)
    installed = folder / "hyperseg_runtime" / "lib"
    shutil.copy(plugins, installed)

    doubles = []
    for number in (int(major), int(major) - 1):
        double = folder / f"libnvinfer.so.{number}"
        succeed(
            compiler, "-std=c++17", "-O1", "-shared", "-fPIC", f"-Wl,-soname,{double.name}", "-isystem", headers,
            "-isystem", cuda, DOUBLES / "registry.cpp", "-o", double, "-ldl",
        )  # fmt: skip
        doubles.append(double)
    nvinfer = folder / "nvinfer"
    succeed(compiler, "-std=c++17", "-I", DOUBLES / "sources/includes", DOUBLES / "nvinfer.cpp", "-o", nvinfer, "-ldl")
    return Built(installed, doubles[0], doubles[1], nvinfer)


def test_opening_the_library_registers_the_plugins(built: Built) -> None:
    done = run(sys.executable, "-c", OPEN, built.tensorrt, built.register)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_library_that_only_exports_its_plugins_registers_none(built: Built) -> None:
    """Why there is another one: hosts that call dlopen get nothing from libhyperseg_trt.so itself."""
    done = run(sys.executable, "-c", OPEN, built.tensorrt, built.folder / "libhyperseg_trt.so")
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_both_libraries_register_once(built: Built) -> None:
    done = run(sys.executable, "-c", OPEN, built.tensorrt, built.folder / "libhyperseg_nvinfer.so", built.register)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_tensorrt_that_loaded_the_plugins_itself(built: Built, tmp_path: Path) -> None:
    """A second copy of the library, from another folder, finds the plugins registered."""
    for name in ("libhyperseg_trt.so", built.register.name):
        shutil.copy(built.folder / name, tmp_path)
    done = run(sys.executable, "-c", OPEN, built.tensorrt, built.register, tmp_path / built.register.name)
    assert (done.stdout.strip(), done.stderr) == ("3", "")


@pytest.mark.parametrize("host", ["none", "other"])
def test_a_host_without_this_tensorrt(built: Built, host: str) -> None:
    """Its registry's vtable would be another one: nothing of it is called."""
    loaded = [built.other] if host == "other" else []
    done = run(sys.executable, "-c", OPEN, *loaded, built.register)
    assert done.returncode == 0 and done.stdout.strip() == ("0" if loaded else "no TensorRT")
    (line,) = done.stderr.splitlines()
    assert f"hyperseg: {built.tensorrt.name} is not loaded, so no plugins were registered" in line
    assert "build it with the headers of the host's TensorRT" in line


def test_without_the_plugin_library(built: Built, tmp_path: Path) -> None:
    register = shutil.copy(built.register, tmp_path)
    done = run(sys.executable, "-c", OPEN, built.tensorrt, register)
    assert (done.returncode, done.stdout.strip()) == (0, "0")
    assert done.stderr.strip().endswith("was not loaded by TensorRT; install both libraries from one build")
    assert str(tmp_path / "libhyperseg_trt.so") in done.stderr


def test_nvinfers_parser(built: Built) -> None:
    library = built.folder / "libhyperseg_nvinfer.so"
    done = run(built.nvinfer, built.tensorrt, library, "labels", "3")
    assert (done.stdout.strip(), done.stderr) == ("3 plugins: 0 1 2 3 4 11", "")


@pytest.mark.parametrize(("layer", "kind"), [("logits", "3"), ("labels", "0")])
def test_nvinfers_parser_refuses_other_plans(built: Built, layer: str, kind: str) -> None:
    done = run(built.nvinfer, built.tensorrt, built.folder / "libhyperseg_nvinfer.so", layer, kind)
    assert done.stdout.strip() == "refused"
    assert "no output `labels`, INT32 [2, 3]; build it with hyperseg-build-engine --deepstream" in done.stderr

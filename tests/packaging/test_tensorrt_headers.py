"""Where CMake takes TensorRT's headers from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cmake_projects import ROOT, configure, parts, program, unwrapped

pytestmark = pytest.mark.slow
NEW = "class IPluginV3OneBuild : public IPluginCapability\n"


def _headers(folder: Path, text: str = NEW) -> Path:
    folder.mkdir(parents=True)
    (folder / "NvInferRuntime.h").write_text(text, encoding="utf-8")
    return folder


def _configured(folder: Path, *options: str) -> str:
    """The line about TensorRT's headers."""
    done = configure(folder / "build", "-DHYPERSEG_CUDA=OFF", f"-DHYPERSEG_HEADERS={folder}/nowhere", *options)
    assert done.returncode == 0, done.stderr
    return str(parts(folder / "build")["TensorRT headers"]["detail"])


@pytest.mark.parametrize("product", ["Enterprise", "RTX"])
@pytest.mark.parametrize("place", ["cmake", "lib/cmake/TensorRT"])
def test_nvidias_cmake_packages(product: str, place: str, tmp_path: Path) -> None:
    """Release notes of TensorRT 11.2.1: find_package(TensorRT-<Product>), files in the archive's folder cmake/."""
    prefix = tmp_path / "TensorRT-11.2.1"
    include = _headers(prefix / "include")
    package = prefix / (place if place == "cmake" else f"{place}-{product}")
    package.mkdir(parents=True)
    (package / f"TensorRT-{product}Config.cmake").write_text("# a package\n", encoding="utf-8")
    assert Path(_configured(tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")).resolve() == include


def test_the_users_folder_is_taken_first_and_no_package_is_loaded(tmp_path: Path) -> None:
    """A package of TensorRT that ends the configuration was reported; TensorRT_ROOT is the way around it."""
    prefix, root = tmp_path / "TensorRT-11.2.1", tmp_path / "mine"
    _headers(prefix / "include")
    (prefix / "cmake").mkdir()
    (prefix / "cmake/TensorRT-EnterpriseConfig.cmake").write_text("message(FATAL_ERROR broken)\n", encoding="utf-8")
    _headers(root / "include")
    assert configure(tmp_path / "broken", "-DHYPERSEG_CUDA=OFF", f"-DCMAKE_PREFIX_PATH={prefix}").returncode != 0
    found = _configured(tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}", f"-DTensorRT_ROOT={root}")
    assert Path(found) == root / "include"


@pytest.mark.parametrize("named_by", ["an option", "the environment"])
def test_a_folder_without_headers_is_an_error(named_by: str, tmp_path: Path) -> None:
    options = [f"-DTensorRT_ROOT={tmp_path}"] if named_by == "an option" else []
    variables = {} if options else {**os.environ, "TensorRT_ROOT": str(tmp_path)}
    done = configure(tmp_path / "build", "-DHYPERSEG_CUDA=OFF", *options, **variables)
    assert done.returncode != 0
    assert f"TensorRT_ROOT={tmp_path} has no include/NvInferRuntime.h" in unwrapped(done.stderr)


def test_older_headers_are_not_taken(tmp_path: Path) -> None:
    _headers(tmp_path / "old" / "include", "class IPluginV2DynamicExt : public nvinfer1::IPluginV2Ext\n")
    found = _configured(tmp_path, f"-DTensorRT_ROOT={tmp_path}/old")
    assert "is older than TensorRT 10, no libhyperseg_trt.so: set TensorRT_ROOT to newer headers" in found


def test_declarations_of_the_tests_are_the_last_choice_and_only_on_request(tmp_path: Path) -> None:
    isolated = [f"-DCMAKE_FIND_ROOT_PATH={tmp_path}", "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY"]
    assert "not found, no libhyperseg_trt.so" in _configured(tmp_path, *isolated)
    asked = _configured(tmp_path, *isolated, "-DHYPERSEG_TENSORRT_TEST_INTERFACE=ON")
    assert asked.startswith("not NVIDIA's but the tests' declarations, ")
    assert asked.endswith("trt_plugins/tests/tensorrt_interface")
    include = _headers(tmp_path / "mine" / "include")
    root = f"-DTensorRT_ROOT={tmp_path}/mine"
    assert Path(_configured(tmp_path, "-DHYPERSEG_TENSORRT_TEST_INTERFACE=ON", root)) == include


def test_a_package_is_never_built_with_the_declarations_of_the_tests(tmp_path: Path) -> None:
    """SKBUILD is set by scikit-build-core: pip install, pip wheel."""
    asked = "-DHYPERSEG_TENSORRT_TEST_INTERFACE=ON"
    done = configure(tmp_path / "build", "-DHYPERSEG_CUDA=OFF", asked, "-DSKBUILD=2")
    assert done.returncode != 0
    assert f"{asked[2:]}: a package is built with NVIDIA's headers only; leave the option out" in unwrapped(done.stderr)


_HEADERS_ONLY = """
cmake_minimum_required(VERSION 3.22)
project(headers LANGUAGES NONE)
list(APPEND CMAKE_MODULE_PATH "{root}/cmake")
include(HypersegParts)
include(HypersegTensorRT)
hyperseg_print_parts()
"""


def test_a_build_folder_of_an_earlier_version_of_the_project(tmp_path: Path) -> None:
    """It cached HYPERSEG_TENSORRT_RELEASE=10.14, the default then, for which no SHA-256 is known now."""
    (tmp_path / "CMakeLists.txt").write_text(_HEADERS_ONLY.format(root=ROOT), encoding="utf-8")
    build = tmp_path / "build"
    command = [
        str(program("cmake")), "-S", str(tmp_path), "-B", str(build), "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={program('ninja')}", f"-DCMAKE_FIND_ROOT_PATH={tmp_path}",
        "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY", "-DHYPERSEG_TENSORRT_RELEASE:STRING=10.14", "-DHYPERSEG_CUDA=AUTO",
        "-DHYPERSEG_NVCC=/bin/true", "-DHYPERSEG_DOWNLOAD=ON", f"-DHYPERSEG_TENSORRT_URL={tmp_path.as_uri()}/nowhere",
    ]  # fmt: skip
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert f"Fetching {tmp_path.as_uri()}/nowhere/NvInferImpl.h failed" in done.stdout
        assert "not found, no libhyperseg_trt.so" in parts(build)["TensorRT headers"]["detail"]
        command = [part for part in command if not part.startswith("-DHYPERSEG_TENSORRT_RELEASE")]  # cached

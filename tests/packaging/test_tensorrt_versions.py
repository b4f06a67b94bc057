"""Which headers the library that registers the plugins in other hosts is compiled with, for each major version."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cmake_projects import ROOT, parts, program, run_script, unwrapped

# NvInferVersion.h of TensorRT 10.3.0 and 11.1, and of TensorRT for RTX, which Triton and DeepStream do not load.
_VERSION_HEADERS = {
    "10": "#define NV_TENSORRT_MAJOR 10 //!< TensorRT major version.\n",
    "11": "#define TRT_MAJOR_ENTERPRISE 11\n#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE //!< Major version.\n",
    "": "#define TRT_MAJOR_RTX 1\n#define NV_TENSORRT_MAJOR TRT_MAJOR_RTX\n",
}
_PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(versions LANGUAGES NONE)
list(APPEND CMAKE_MODULE_PATH "{root}/cmake")
include(HypersegParts)
include(HypersegTensorRT)
include(HypersegTensorRTVersions)
hyperseg_tensorrt_versions(versions)
message(NOTICE "versions: ${{versions}}.")
hyperseg_print_parts()
"""


def _headers(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "NvInferVersion.h").write_text(_VERSION_HEADERS[version], encoding="utf-8")
    (folder / "NvInferRuntime.h").write_text("class IPluginV3OneBuild : public IPluginCapability\n", encoding="utf-8")
    return folder


def _configured(folder: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """The versions found, and the table of dependencies."""
    (folder / "CMakeLists.txt").write_text(_PROJECT.format(root=ROOT), encoding="utf-8")
    command = [
        str(program("cmake")), "-S", str(folder), "-B", str(folder / "build"), "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={program('ninja')}", "-DHYPERSEG_DOWNLOAD=OFF", "-DHYPERSEG_CUDA=OFF",
        f"-DHYPERSEG_HEADERS={folder}/headers", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"versions: (.*)\.", unwrapped(done.stderr))
    assert found is not None, done.stderr
    return found[1], parts(folder / "build")


@pytest.mark.parametrize("version", _VERSION_HEADERS)
def test_the_major_version_of_headers(version: str, tmp_path: Path) -> None:
    folder = _headers(tmp_path / "include", version)
    done = run_script(
        tmp_path, "include(HypersegTensorRTVersions)", f'hyperseg_tensorrt_version("{folder}" v)', 'message("v=${v}.")'
    )
    assert done.stderr.strip() == f"v={version}."


@pytest.mark.parametrize("users", ["10", "11"])
def test_the_users_headers_serve_their_version_and_fetched_ones_the_other(users: str, tmp_path: Path) -> None:
    mine = _headers(tmp_path / "mine" / "include", users)
    fetched = {"10": tmp_path / "headers/tensorrt-10.16/include", "11": tmp_path / "headers/tensorrt-11.1/include"}
    for version, folder in fetched.items():
        _headers(folder, version)
    versions, table = _configured(tmp_path, f"-DTensorRT_ROOT={tmp_path}/mine")
    assert versions == "10;11"
    for version, folder in {**fetched, users: mine}.items():
        assert table[f"TensorRT {version} in other hosts"] == {"found": "yes", "detail": str(folder)}


@pytest.mark.parametrize(("users", "expected"), [("10", "10"), ("11", "11"), ("", "")])
def test_without_network_the_users_version_only_and_said(users: str, expected: str, tmp_path: Path) -> None:
    _headers(tmp_path / "mine" / "include", users)
    versions, table = _configured(tmp_path, f"-DTensorRT_ROOT={tmp_path}/mine")
    assert versions == expected
    for version in ("10", "11"):
        part = table[f"TensorRT {version} in other hosts"]
        assert part["found"] == ("yes" if version == expected else "no")
        assert ("libhyperseg_trt_register.so is not for it: set TensorRT_ROOT" in part["detail"]) != (
            version == expected
        )


def test_declarations_of_the_tests_are_named_as_such(tmp_path: Path) -> None:
    _headers(tmp_path / "mine" / "include", "11")
    asked = "-DHYPERSEG_TENSORRT_TEST_INTERFACE=ON"
    versions, table = _configured(tmp_path, f"-DTensorRT_ROOT={tmp_path}/mine", asked)
    assert versions == "10;11"
    assert table["TensorRT 10 in other hosts"]["detail"].startswith("not NVIDIA's but the tests' declarations, ")
    assert table["TensorRT 11 in other hosts"]["detail"] == str(tmp_path / "mine" / "include")


def test_the_headers_that_are_fetched_have_known_hashes() -> None:
    text = (ROOT / "cmake/HypersegTensorRTVersions.cmake").read_text(encoding="utf-8")
    releases = dict(re.findall(r"set\(HYPERSEG_TENSORRT_(\d+)_RELEASE (\S+)\)", text))
    assert set(releases) == {"10", "11"}
    for version, release in releases.items():
        assert release.startswith(f"{version}.") and (ROOT / f"cmake/tensorrt_headers/{release}.sha256").is_file()

"""Wheel and source distribution: contents, size, and installation into a clean environment without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
MEGABYTE = 1_000_000


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("scikit_build_core", reason="scikit-build-core is not installed (requirements/pinned.txt)")
    folder = tmp_path_factory.mktemp("sdist")
    code = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=root)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def wheel(
    root: Path, unpacked: Path, compiler_launcher: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The wheel, built from the source distribution, which tests that the latter is complete."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from scikit_build_core.build import build_wheel; build_wheel({str(folder)!r})"
    defines = f"HYPERSEG_CUDA=OFF;HYPERSEG_DOWNLOAD=OFF;HYPERSEG_HEADERS={root / 'build/headers'}"
    run(sys.executable, "-c", code, cwd=unpacked, SKBUILD_CMAKE_DEFINE=defines, **compiler_launcher)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and its dependencies; no torch."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile"]
    pinned = Path(__file__).resolve().parents[2] / "requirements/pinned.txt"
    done = subprocess.run(
        list(map(str, [*install, "-c", pinned, wheel])), capture_output=True, text=True, timeout=600, check=False
    )
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_source_distribution_carries_what_a_build_needs(unpacked: Path) -> None:
    for name in ("CMakeLists.txt", "cmake/HypersegParts.cmake", "trt_plugins/CMakeLists.txt", "LICENSE", "README.md"):
        assert (unpacked / name).exists(), name
    assert not list(unpacked.rglob("*.so*"))


def test_the_wheel_carries_libraries_model_and_types_in_30_megabytes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for library in ("libhyperseg_ort.so", "libhyperseg_cpu.so"):
        assert f"hyperseg_runtime/lib/{library}" in names
    assert any(name.startswith("hyperseg_runtime/models/") and name.endswith(".onnx") for name in names)
    packages = {"hyperseg", "hyperseg_export", "hyperseg_runtime", "hyperseg_street"}
    for package in packages:
        assert f"{package}/py.typed" in names
        assert f"{package}/__init__.py" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == packages
    assert wheel.stat().st_size < 30 * MEGABYTE


def test_the_wheel_segments_a_clip_in_a_clean_environment(installed: Path, tmp_path: Path) -> None:
    without_tools = f"{installed / 'bin'}:/nonexistent"  # no compiler, no cmake, no ffmpeg
    run(installed / "bin/hyperseg-street", "street.mp4", "--seconds", "0.5", cwd=tmp_path, PATH=without_tools)
    run(installed / "bin/hyperseg-run", "street.mp4", cwd=tmp_path, PATH=without_tools)
    assert (tmp_path / "street.segmented.mp4").stat().st_size > 0
    run(installed / "bin/python", "-c", "import sys; sys.modules['torch'] = None; import hyperseg", cwd=tmp_path)


def test_the_doctor_speaks_where_almost_nothing_is_installed(installed: Path, tmp_path: Path) -> None:
    assert "onnxruntime" in run(installed / "bin/hyperseg-doctor", cwd=tmp_path).lower()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with cmake and ninja, for PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in (Path(sys.executable).with_name(name) for name in ("cmake", "ninja")):
        if not tool.exists():
            pytest.skip(f"{tool.name} is not installed (requirements/pinned.txt)")
        (folder / tool.name).symlink_to(tool)
    return folder


def configure(source: Path, build: Path, path: str, *options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            "cmake",
            "-S",
            source,
            "-B",
            build,
            "-G",
            "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja', path=path)}",
            *options,
        ],
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_machine_without_a_compiler_gets_a_package_and_one_clear_message(
    unpacked: Path, tools: Path, tmp_path: Path
) -> None:
    assert "No C++ compiler found" in configure(unpacked, tmp_path / "build", str(tools)).stderr


def test_missing_headers_are_named_with_their_remedy(unpacked: Path, tools: Path, tmp_path: Path) -> None:
    nowhere = [f"-DCMAKE_FIND_ROOT_PATH={tmp_path}", "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY"]
    options = ["-DHYPERSEG_DOWNLOAD=OFF", "-DHYPERSEG_CUDA=OFF", f"-DHYPERSEG_HEADERS={tmp_path}", *nowhere]
    said = configure(unpacked, tmp_path / "build", f"{tools}:{os.environ['PATH']}", *options).stdout
    assert "Highway: not found, no CPU operators: install libhwy-dev" in said
    assert "ONNX Runtime headers: not found, no libhyperseg_ort.so: install libonnxruntime-dev" in said
    parts = json.loads((tmp_path / "build/native.json").read_text())
    assert [name for name, part in parts.items() if part["found"] == "no"] == [
        "Highway", "ONNX Runtime headers", "TensorRT headers", "CUDA",
    ]  # fmt: skip

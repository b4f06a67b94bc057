"""The C++ examples: built with CMake as a user builds them, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime import Segmenter
from hyperseg_runtime.discovery import PACKAGED_MODELS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "cpp"
SECONDS = 300
SEARCH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
MODEL = PACKAGED_MODELS / "camvid-lite.onnx"
HEADERS = {
    "our declarations": ROOT / "trt_plugins" / "tests" / "tensorrt_interface",
    **{path.parent.name: path for path in sorted((ROOT / "build" / "headers").glob("tensorrt-*/include"))},
}
"""Of TensorRT: NVIDIA's where scripts/fetch_headers.sh fetched them."""
TENSORRT = """
#include <NvInferRuntime.h>
// createInferRuntime returns nullptr where TensorRT cannot start.
extern "C" void* createInferRuntime_INTERNAL(void*, int32_t) noexcept { return nullptr; }
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )


def build(folder: Path, *options: str) -> Path:
    """Configures and builds; returns the folder of the programs. Skips without CMake or a compiler."""
    cmake = shutil.which("cmake", path=SEARCH)
    if cmake is None or shutil.which("c++") is None:
        pytest.skip("the examples need CMake and a C++ compiler")
    configured = run(cmake, "-S", EXAMPLES, "-B", folder, f"-DPython3_EXECUTABLE={sys.executable}", *options)
    assert configured.returncode == 0, configured.stderr
    made = run(cmake, "--build", folder)
    assert made.returncode == 0, made.stdout + made.stderr
    (folder / "configured.txt").write_text(configured.stdout)
    return folder


@pytest.fixture(scope="module")
def segment_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = build(tmp_path_factory.mktemp("cpp")) / "segment_onnx"
    if not program.is_file():
        pytest.skip("ONNX Runtime's headers are not here (scripts/fetch_headers.sh)")
    return program


def frame(height: int, width: int) -> np.ndarray:
    """A smooth image: on noise all classes are nearly equal."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 32, width // 32, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


@pytest.mark.slow
@pytest.mark.parametrize("portable", [False, True])
def test_the_labels_are_the_segmenters(segment_onnx: Path, library: Path, tmp_path: Path, portable: bool) -> None:
    model = MODEL.with_name("camvid-lite.portable.onnx") if portable else MODEL
    with Segmenter(model, backend="onnxruntime") as segment:
        size = segment.metadata.input.height, segment.metadata.input.width
        image = frame(*size)
        expected = segment(image)
    cv2.imwrite(str(tmp_path / "in.ppm"), image)
    done = run(segment_onnx, model, "-" if portable else library, tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert (done.returncode, done.stderr) == (0, "")
    labels = cv2.imread(str(tmp_path / "out.pgm"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, expected)
    assert len(np.unique(labels)) > 1


def test_a_model_with_open_sizes_takes_others(segment_onnx: Path, library: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.ppm"), frame(128, 192))
    assert run(segment_onnx, MODEL, library, tmp_path / "in.ppm", tmp_path / "out.pgm").returncode == 0
    assert cv2.imread(str(tmp_path / "out.pgm"), cv2.IMREAD_UNCHANGED).shape == (128, 192)


HEADER = b"P6\n# of a camera\n64 64\n255\n"
PIXELS = bytes(64 * 64 * 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "in.ppm cannot be opened; name a PPM image"),
        (b"\x89PNG\r\n", "in.ppm is no binary PPM image with samples up to 255; convert it"),
        (b"P6\n64 64\n65535\n", "in.ppm is no binary PPM image with samples up to 255; convert it"),
        (b"P6\n99999999999999999999 64\n255\n", "in.ppm is no binary PPM image"),
        (b"P6\n-64 64\n255\n", "in.ppm is no binary PPM image"),
        (HEADER + PIXELS[1:], "in.ppm ends before its last pixel; convert the image again"),
    ],
)
def test_images_that_are_none(
    segment_onnx: Path, library: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "in.ppm").write_bytes(content)
    done = run(segment_onnx, MODEL, library, tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert done.returncode == 1 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out.pgm").exists()


def test_a_comment_in_the_header_is_passed_over(segment_onnx: Path, library: Path, tmp_path: Path) -> None:
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    assert run(segment_onnx, MODEL, library, tmp_path / "in.ppm", tmp_path / "out.pgm").returncode == 0


def test_a_model_of_another_size(segment_onnx: Path, library: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(MODEL)
    for axis, size in enumerate((1, 576, 768)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    done = run(segment_onnx, tmp_path / "m.onnx", library, tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert done.returncode == 1
    assert "takes images of shape [1, 576, 768, 3], not [1, 64, 64, 3]; resize the image (ffmpeg" in done.stderr


@pytest.mark.parametrize("batch", [False, True], ids=["logits", "batch"])
def test_models_for_something_else(segment_onnx: Path, library: Path, tmp_path: Path, batch: bool) -> None:
    import onnx

    model = onnx.load(MODEL)
    if batch:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    else:
        name = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["logits" if output == name else output for output in node.output]
        model.graph.output[0].name = "logits"
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    done = run(segment_onnx, tmp_path / "m.onnx", library, tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    remedy = "takes 2 images at once; export it without --batch" if batch else "export it with --output-type labels"
    assert remedy in done.stderr


@pytest.mark.parametrize("lost", ["in.ppm", "link.ppm", "m.onnx"])
def test_inputs_are_kept(segment_onnx: Path, library: Path, tmp_path: Path, lost: str) -> None:
    shutil.copy(MODEL, tmp_path / "m.onnx")
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    (tmp_path / "link.ppm").symlink_to("in.ppm")
    done = run(segment_onnx, tmp_path / "m.onnx", library, tmp_path / "in.ppm", tmp_path / lost)
    assert done.returncode == 1 and "is an input, which would be lost; name another file" in done.stderr
    assert (tmp_path / "in.ppm").read_bytes() == HEADER + PIXELS
    assert (tmp_path / "m.onnx").read_bytes() == MODEL.read_bytes()


def test_the_library_of_operators_is_needed(segment_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    done = run(segment_onnx, MODEL, "-", tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert done.returncode == 1 and "hyperseg" in done.stderr


@pytest.fixture(scope="module", params=HEADERS.values(), ids=HEADERS.keys())
def segment_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linked with a double of libnvinfer that starts no runtime."""
    headers, cuda = request.param, Path("/usr/local/cuda")
    if not (cuda / "lib64/libcudart.so").exists():
        pytest.skip("segment_engine needs CUDA's toolkit")
    root = tmp_path_factory.mktemp("tensorrt")
    (root / "include").symlink_to(headers)
    (root / "lib").mkdir()
    (root / "double.cpp").write_text(TENSORRT)
    double = run(
        "c++", "-shared", "-fPIC", "-isystem", headers, "-isystem", cuda / "include", root / "double.cpp",
        "-o", root / "lib/libnvinfer.so",
    )  # fmt: skip
    assert double.returncode == 0, double.stderr
    options = [f"-DTensorRT_ROOT={root}", f"-DCUDAToolkit_ROOT={cuda}", f"-DCMAKE_CUDA_COMPILER={cuda}/bin/nvcc"]
    folder = build(tmp_path_factory.mktemp("engine"), *options)
    program = folder / "segment_engine"
    assert program.is_file(), (folder / "configured.txt").read_text()
    return program


def test_the_engines_program_reports_tensorrts_refusal(segment_engine: Path, tmp_path: Path) -> None:
    """It is compiled without a warning, and linked; engines are not run here."""
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    (tmp_path / "m.engine").write_bytes(b"ftrt")
    done = run(segment_engine, tmp_path / "m.engine", "plugins.so", tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["segment_engine: TensorRT did not start; see its messages above"],
    )


def test_the_engines_program_without_an_engine(segment_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "in.ppm").write_bytes(HEADER + PIXELS)
    done = run(segment_engine, tmp_path / "m.engine", "plugins.so", tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert done.returncode == 1 and "m.engine cannot be read, or is empty; build it with" in done.stderr


def test_what_cannot_be_built_is_named(tmp_path: Path) -> None:
    nowhere = ["-DCMAKE_FIND_ROOT_PATH=/nonexistent", "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY"]
    folder = build(tmp_path, f"-DHYPERSEG_HEADERS={tmp_path}", *nowhere)
    said = " ".join((folder / "configured.txt").read_text().split())
    assert "segment_onnx is not built: ONNX Runtime's library (pip install onnxruntime) or its headers" in said
    assert "segment_engine is not built: the CUDA toolkit, or TensorRT's library or headers" in said

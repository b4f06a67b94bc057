"""Plans in other programs, on the device: nvinfer's plan, the C++ example, trtexec, and the library that registers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from engines.graphs import HEIGHT, WIDTH, miniature, save
from engines.sessions import random_images
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.engine.build import build_plan, prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.options import choose_target
from hyperseg_export.engine.process import NullListener
from hyperseg_export.hosts.nvinfer_graph import for_nvinfer
from hyperseg_export.options import Resolution
from hyperseg_export.reference import LabelCheck
from hyperseg_runtime import libraries
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.protocol import BackendName, Images, SessionOptions
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.metadata import Precision

from .device import run_plan

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("tensorrt_gpu")]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "cpp"
SECONDS = 600


@pytest.fixture
def full_tensorrt() -> None:
    if choose_target(EngineOptions()).tensorrt.flavour is not Flavour.TENSORRT:
        pytest.skip("TensorRT for RTX has no such programs")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return build_engine(save(miniature(), tmp_path / "m.onnx")).engine


def labels_of(engine: Path, images: Images) -> Images:
    session = tensorrt.open_session(engine, BackendName.TENSORRT, SessionOptions())
    labels = session.run(images).labels
    session.close()
    assert labels is not None
    return labels


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_plan_for_nvinfer(engine: Path) -> None:
    """Planar pixels in, INT32 labels out, judged as `verify_engine` judges the ordinary plan."""
    options = EngineOptions(low_logits=False)
    target = choose_target(options)
    edited = for_nvinfer(read_model(engine.with_suffix(".onnx")), Resolution(HEIGHT, WIDTH))
    graph = prepare(edited, options, target.tensorrt.flavour).proto
    built = build_plan(graph, edited.metadata.input, options, target, NullListener())
    images = random_images(HEIGHT, WIDTH)
    outputs = run_plan(
        built.plan,
        {"image": images.transpose(0, 3, 1, 2).astype(np.float32)},
        tensorrt=target.tensorrt,
        cuda=import_module("pycuda.driver"),
        plugin_library=libraries.require(libraries.Library.TENSORRT),
    )
    assert outputs["labels"].dtype == np.int32
    comparison = LabelCheck(miniature(), Precision.FLOAT16).compare(images, outputs["labels"][..., 0])
    assert comparison.explained, comparison


@pytest.mark.usefixtures("full_tensorrt")
def test_the_cpp_example(engine: Path, tmp_path: Path) -> None:
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("the example needs CMake")
    configured = run(cmake, "-S", EXAMPLES, "-B", tmp_path / "cpp")
    assert run(cmake, "--build", tmp_path / "cpp").returncode == 0, configured.stderr
    program = tmp_path / "cpp" / "segment_engine"
    if not program.is_file():
        pytest.skip("TensorRT's library and headers for C++ are not here (libnvinfer-dev, or TensorRT_ROOT)")
    images = random_images(HEIGHT, WIDTH)
    cv2.imwrite(str(tmp_path / "in.ppm"), images[0, ..., ::-1])
    plugins = libraries.require(libraries.Library.TENSORRT)
    done = run(program, engine, plugins, tmp_path / "in.ppm", tmp_path / "out.pgm")
    assert done.returncode == 0, done.stderr
    found = cv2.imread(str(tmp_path / "out.pgm"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, labels_of(engine, images)[0])


@pytest.mark.usefixtures("full_tensorrt")
def test_trtexec_loads_the_engine(engine: Path) -> None:
    trtexec = shutil.which("trtexec") or shutil.which("trtexec", path="/usr/src/tensorrt/bin")
    if trtexec is None:
        pytest.skip("trtexec is not here")
    plugins = libraries.require(libraries.Library.TENSORRT)
    done = run(trtexec, f"--loadEngine={engine}", f"--dynamicPlugins={plugins}", "--iterations=1", "--duration=0")
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.usefixtures("full_tensorrt")
def test_opening_the_registration_library_registers_the_plugins() -> None:
    library = libraries.find(libraries.HostLibrary.REGISTRATION)
    if library is None:
        pytest.skip(f"{libraries.HostLibrary.REGISTRATION.value} is not built")
    script = (
        "import ctypes, sys, tensorrt; ctypes.CDLL(sys.argv[1])\n"
        "creators = tensorrt.get_plugin_registry().all_creators\n"
        "print(*(one.name for one in creators if one.plugin_namespace == 'hyperseg'))"
    )
    done = run(sys.executable, "-c", script, library)
    if "is not loaded, so no plugins were registered" in done.stderr:
        pytest.skip("the library was built with the headers of another TensorRT")
    assert sorted(done.stdout.split()) == ["DPWConv", "DPWInvertedResidual", "UpsampleArgmax"], done.stderr

"""The Segmenter: frames of any size, every kind of model, errors."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime import Segmenter
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.errors import BackendUnavailableError, HyperSegError, InputError, MetadataError, ModelError
from hyperseg_runtime.metadata import InputType, OutputKind, Precision

from .stand_in import SIZE, assert_labels, metadata, write_model


def random_frame(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("output", OutputKind)
@pytest.mark.parametrize("dtype", InputType)
def test_labels_are_the_networks(tmp_path: Path, output: OutputKind, dtype: InputType) -> None:
    frame = random_frame(SIZE)
    with Segmenter(write_model(tmp_path / "m.onnx", output=output, dtype=dtype)) as segment:
        labels = segment(frame)
    assert labels.dtype == np.uint8
    assert_labels(labels, frame[..., ::-1])


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (63, 97), (360, 480), (96, 64), (1080, 1920)])
def test_any_size_of_frame(segmenter: Segmenter, size: tuple[int, int]) -> None:
    labels = segmenter(random_frame(size))
    assert labels.shape == size
    assert labels.max() < 12


def test_labels_come_back_by_nearest_neighbour(segmenter: Segmenter) -> None:
    frame = random_frame((128, 192))
    small = cv2.resize(frame, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA)
    expected = segmenter(small).repeat(2, axis=0).repeat(2, axis=1)
    assert (segmenter(frame) == expected).all()


def test_frames_that_are_views_are_taken(segmenter: Segmenter) -> None:
    wide = random_frame((64, 192))
    assert (segmenter(wide[:, ::2]) == segmenter(wide[:, ::2].copy())).all()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        None,
        "frame.png",
    ],
    ids=["grey", "alpha", "float", "empty", "batch", "none", "path"],
)
def test_what_is_no_frame_is_refused(segmenter: Segmenter, frame: object) -> None:
    with pytest.raises(InputError):
        segmenter(frame)  # type: ignore[arg-type]


def test_many_threads_at_once(segmenter: Segmenter) -> None:
    frames = [random_frame((50 + number, 70), number) for number in range(16)]
    alone = [segmenter(frame) for frame in frames]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(segmenter, frames * 4))
    for number, labels in enumerate(together):
        assert (labels == alone[number % 16]).all()


def test_closed_is_closed(model: Path) -> None:
    segment = Segmenter(model)
    segment.close()
    segment.close()
    with pytest.raises(ModelError, match="closed"):
        segment(random_frame(SIZE))


def test_dynamic_resolution(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", dynamic=True)
    with Segmenter(model, resolution=(128, 160)) as segment:
        assert segment.size == (128, 160)
        frame = random_frame((128, 160))
        assert_labels(segment(frame), frame[..., ::-1])
    with pytest.raises(InputError, match="128x160"):
        Segmenter(model, resolution=(130, 150))


def test_fixed_resolution_stays(model: Path) -> None:
    with pytest.raises(InputError, match="fixed to 64x96"):
        Segmenter(model, resolution=(128, 192))


def test_backends_by_name(model: Path, tmp_path: Path) -> None:
    with Segmenter(model, backend="onnxruntime", threads=1) as segment:
        assert segment.backend is BackendName.ONNXRUNTIME
        assert "1 thread)" in segment.description
    with pytest.raises(BackendUnavailableError, match="choose one of auto, tensorrt"):
        Segmenter(model, backend="caffe")
    with pytest.raises(ModelError, match="not an engine"):
        Segmenter(model, backend="tensorrt")
    engine = tmp_path / "m.engine"
    engine.write_bytes(b"plan")
    with pytest.raises(ModelError, match="only backend tensorrt"):
        Segmenter(engine, backend="onnxruntime")
    with pytest.raises(HyperSegError):
        Segmenter(engine)


def test_providers_by_name(model: Path) -> None:
    with Segmenter(model, providers=["CPUExecutionProvider"]) as segment:
        assert segment(random_frame(SIZE)).shape == SIZE
    for wrong in (["NoSuchProvider", "CPUExecutionProvider"], []):
        with pytest.raises(BackendUnavailableError, match=r"it has .*CPUExecutionProvider"):
            Segmenter(model, providers=wrong)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    for name, content in {"empty.onnx": b"", "text.onnx": b"not a model", "zeros.onnx": bytes(1000)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HyperSegError, match=name):
            Segmenter(tmp_path / name)
    with pytest.raises(ModelError, match="does not exist"):
        Segmenter(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="folder"):
        Segmenter(tmp_path)
    with pytest.raises(MetadataError, match="hyperseg-export"):
        Segmenter(write_model(tmp_path / "foreign.onnx", properties={}))
    wrong = metadata(OutputKind.LABELS, InputType.UINT8, (128, 96)).to_json()
    with pytest.raises(MetadataError, match="64x96"):
        Segmenter(write_model(tmp_path / "wrong.onnx", properties={"hyperseg": wrong}))
    wrong = metadata(OutputKind.LOGITS, InputType.UINT8, SIZE).to_json()
    with pytest.raises(MetadataError, match="outputs"):
        Segmenter(write_model(tmp_path / "wrong.onnx", properties={"hyperseg": wrong}))


def test_a_name_that_is_not_utf8(model: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/m\xff.onnx"))
    path.write_bytes(model.read_bytes())
    with pytest.raises(ModelError, match="only names in UTF-8; rename the file"):
        Segmenter(path)


def test_openvino_is_given_threads_and_precision(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin offers a device on Intel's processors only; ONNX Runtime's own CPU device replaces it here."""
    import onnxruntime
    from hyperseg_runtime.backends import openvino

    if not hasattr(onnxruntime, "get_ep_devices"):
        pytest.skip(f"onnxruntime {onnxruntime.__version__} knows no plugins")

    device = next(one for one in onnxruntime.get_ep_devices() if one.ep_name == "CPUExecutionProvider")
    monkeypatch.setattr(openvino, "_cpu_device", lambda: device)
    monkeypatch.setattr(openvino.machine, "version", lambda package: "0" if package != "onnxruntime-gpu" else None)
    frame = random_frame(SIZE)
    with Segmenter(model, backend="onnxruntime-openvino", threads=1, precision=Precision.BFLOAT16) as segment:
        assert "OpenVINO" in segment.description
        assert segment(frame).shape == SIZE

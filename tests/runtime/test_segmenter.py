"""The Segmenter: frames of any size, every kind of model, errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime import Segmenter
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.errors import BackendUnavailableError, HyperSegError, InputError, MetadataError, ModelError
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.metadata import InputType, OutputKind, Precision
from hyperseg_runtime.output.render import Appearance, Style
from hyperseg_runtime.preprocess import restore
from hyperseg_runtime.upsampling import LowLogits
from hyperseg_runtime.video.reader import VideoReader
from hyperseg_runtime.video.sources import Selection, SourceFrame

from .clips import write_clip
from .conftest import Finished
from .stand_in import SIZE, assert_labels, metadata, write_model


def smooth_frame(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Large shapes with soft borders, as a network's logits have."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


def enlarged(low: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float64 [C, h, w], bilinearly with half-pixel centres (align_corners=False)."""
    for axis, count in ((1, size[0]), (2, size[1])):
        extent = low.shape[axis]
        position = ((np.arange(count) + 0.5) * extent / count - 0.5).clip(0, extent - 1)
        before = np.minimum(position.astype(int), max(0, extent - 2))
        shape = [1, 1, 1]
        shape[axis] = count
        weight = (position - before).reshape(shape)
        low = low.take(before, axis) * (1 - weight) + low.take(before + 1, axis) * weight
    return low


def assert_largest(labels: np.ndarray, logits: np.ndarray) -> None:
    """Labels [h, w] of logits [C, h, w], where rounding may decide between nearly equal ones: three linear
    interpolations of values below the largest, each of which rounds three times."""
    given = np.take_along_axis(logits, labels[None].astype(np.int64), axis=0)[0]
    bound = 2 * 9 * 2.0**-24 * np.abs(logits).max()
    assert (given >= logits.max(axis=0) - bound).all()


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


@pytest.mark.parametrize("output", OutputKind)
@pytest.mark.parametrize("size", [(128, 192), (97, 211), (30, 40)], ids=["twice", "larger", "smaller"])
def test_labels_follow_the_enlarged_logits(tmp_path: Path, output: OutputKind, size: tuple[int, int]) -> None:
    """Not labels of the network's size enlarged by nearest neighbour, whose steps are seen."""
    frame = smooth_frame(size)
    with Segmenter(write_model(tmp_path / "m.onnx", output=output, stride=2)) as segment:
        labels = segment(frame)
        low = segment.session.run_low(segment.prepare(frame))[0]
        coarse = restore(segment.infer(segment.prepare(frame)), size)
    assert_largest(labels, enlarged(low.astype(np.float64), size))
    assert (labels != coarse).mean() > 0.001  # which the test would not tell apart otherwise


def test_a_frame_of_the_networks_size_gets_the_files_own_labels(tmp_path: Path) -> None:
    frame = smooth_frame(SIZE)
    with Segmenter(write_model(tmp_path / "m.onnx", stride=2)) as segment:
        own = segment.session.run(segment.prepare(frame)).labels
        assert own is not None
        for fit in Fit:
            with Segmenter(segment.path, fit=fit) as other:
                assert (other(frame) == own[0]).all()


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


def test_a_frame_that_opencv_could_not_read_is_told(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match=r"a frame is None, which cv2\.imread gives for a file that it cannot read"):
        segmenter(cv2.imread("missing.png"))  # type: ignore[arg-type]


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


MIXED = [(63, 97), SIZE, (1, 1), (200, 100), SIZE, (64, 97), (30, 400)]


@pytest.mark.parametrize(
    "kind", [{}, {"dynamic": True}, {"fixed_batch": 4}, {"stride": 2, "dynamic": True}, {"stride": 4, "fixed_batch": 3}]
)
@pytest.mark.parametrize("fit", Fit)
def test_a_batch_is_the_same_frames_one_by_one(tmp_path: Path, kind: dict[str, int], fit: Fit) -> None:
    frames = [random_frame(size, number) for number, size in enumerate(MIXED)]
    model = write_model(tmp_path / "m.onnx", **kind)  # type: ignore[arg-type]
    with Segmenter(model, fit=fit) as segment:
        assert segment.batch([]) == []
        together = segment.batch(frames)
        for labels, frame in zip(together, frames, strict=True):
            assert labels.shape == frame.shape[:2]
            assert (labels == segment(frame)).all()


def test_a_batch_runs_as_often_as_the_file_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [random_frame((70, 90), number) for number in range(9)]
    with Segmenter(write_model(tmp_path / "m.onnx", fixed_batch=4, stride=2)) as segment:
        taken: list[int] = []
        run = segment.session.run_labels
        monkeypatch.setattr(
            segment.session, "run_labels", lambda images, at: (taken.append(len(images)), run(images, at))[1]
        )
        assert len(segment.batch(frames)) == 9
    assert taken == [4, 4, 4]


def test_a_batch_names_the_frame_that_is_none(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match=r"frame 1 of the batch is uint8 .* not float32 \[4, 4, 3\]"):
        segmenter.batch([random_frame(SIZE), np.zeros((4, 4, 3), np.float32)])  # type: ignore[list-item]


def test_infer_takes_one_image(tmp_path: Path) -> None:
    with Segmenter(write_model(tmp_path / "m.onnx", dynamic=True)) as segment:
        image = segment.prepare(random_frame(SIZE))
        assert segment.infer(image).shape == SIZE
        with pytest.raises(InputError, match="one image, not 2; use batch"):
            segment.infer(np.concatenate([image, image]))


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("output", OutputKind)
def test_probabilities_and_confidence(tmp_path: Path, output: OutputKind, fit: Fit) -> None:
    frame = smooth_frame((130, 100))
    with Segmenter(write_model(tmp_path / "m.onnx", output=output, stride=2), fit=fit) as segment:
        labels, found, sure = segment(frame), segment.probabilities(frame), segment.confidence(frame)
        assert found.dtype == sure.dtype == np.float16
        assert found.shape == (len(segment.classes), 130, 100)
    assert sure.shape == (130, 100)
    # float16 rounds each of twelve probabilities by 2**-11 of it at most.
    assert np.abs(found.astype(np.float64).sum(axis=0) - 1).max() < 2 * 2.0**-11
    assert (found.max(axis=0) == sure).all()
    assert (np.take_along_axis(found, labels[None].astype(np.int64), axis=0)[0] >= sure * (1 - 2.0**-10)).all()


def test_classes_palette_and_overlay(segmenter: Segmenter) -> None:
    assert segmenter.classes == segmenter.metadata.class_names
    assert len(segmenter.palette) == len(segmenter.classes)
    frame = random_frame((80, 120))
    labels = np.full((80, 120), 3, np.uint8)
    red_green_blue = segmenter.overlay(frame, labels, Appearance(Style.MASK))[0, 0, ::-1]
    assert tuple(red_green_blue) == segmenter.palette[3]
    before = frame.copy()
    assert segmenter.overlay(frame, labels).shape == frame.shape
    assert (frame == before).all()
    for wrong in (labels[:-1], labels.astype(np.int64)):
        with pytest.raises(InputError, match=r"labels of this frame are uint8 \[80, 120\]"):
            segmenter.overlay(frame, wrong)


def test_the_overlay_is_that_of_hyperseg_run(
    segmenter: Segmenter, hyperseg_run: Callable[..., Finished], tmp_path: Path
) -> None:
    frame = smooth_frame((200, 300))
    cv2.imwrite(str(tmp_path / "frame.png"), frame)
    assert hyperseg_run("frame.png").code == 0
    written = cv2.imread(str(tmp_path / "frame.segmented.png"))
    assert written is not None
    assert (written == segmenter.overlay(frame, segmenter(frame))).all()


def test_a_video_gives_its_frames_and_labels(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=5)
    with closing(VideoReader(str(clip))) as reader:
        images = [frame.image for frame in reader.frames()]
    given = list(segmenter.video(clip))
    assert len(given) == len(images) == 5
    for (frame, labels), image in zip(given, images, strict=True):
        assert (frame == image).all()
        assert (labels == segmenter(image)).all()
    assert len(list(segmenter.video(clip, selection=Selection(every=2)))) == 3
    with pytest.raises(InputError, match=r"missing\.mp4"):
        list(segmenter.video(tmp_path / "missing.mp4"))


@pytest.mark.parametrize("fit", [Fit.STRETCH, Fit.LETTERBOX])
def test_a_logit_filter_sees_the_frames_in_order(tmp_path: Path, fit: Fit) -> None:
    """Its logits are those of the frame alone, without a letterbox's bars, and the labels are of what it returns."""
    clip = write_clip(tmp_path / "clip.mp4", count=6, size=(200, 96))
    seen: list[int] = []

    def only_pavement(logits: LowLogits, frame: SourceFrame) -> LowLogits:
        seen.append(frame.index)
        shapes.add(logits.shape)
        logits[4] = np.float32(1e4)
        return logits

    shapes: set[tuple[int, ...]] = set()
    with Segmenter(write_model(tmp_path / "m.onnx", stride=2), fit=fit) as segment:
        labels = [labels for _, labels in segment.video(clip, logit_filter=only_pavement)]
    assert seen == list(range(6))
    assert shapes == ({(12, 32, 48)} if fit is Fit.STRETCH else {(12, 32, 16)})  # 64 x 31 pixels, from 32 on
    assert all((one == 4).all() for one in labels)


def test_tiles_have_no_logits_to_filter(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    with (
        Segmenter(write_model(tmp_path / "m.onnx"), fit=Fit.TILE) as segment,
        pytest.raises(InputError, match="use fit stretch or letterbox"),
    ):
        list(segment.video(clip, logit_filter=lambda logits, _: logits))


def test_an_unknown_fit_names_the_others(model: Path) -> None:
    with pytest.raises(InputError, match="no fit 'crop'; choose one of stretch, letterbox, tile"):
        Segmenter(model, fit="crop")


def test_a_model_without_logits_says_so(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """As engines that were built without them: labels come by nearest neighbour, the rest is an error."""
    monkeypatch.setattr(type(segmenter.session), "gives_low_logits", False)
    frame = smooth_frame((128, 192))
    own = segmenter.infer(segmenter.prepare(frame))
    assert (segmenter(frame) == restore(own, (128, 192))).all()
    for wanted in (segmenter.probabilities, segmenter.confidence):
        with pytest.raises(ModelError, match="gives labels alone, and no logits"):
            wanted(frame)
    with pytest.raises(ModelError, match="gives labels alone"):
        Segmenter(segmenter.path, fit="tile")


def test_frames_that_nobody_may_write_to_are_taken(segmenter: Segmenter) -> None:
    frame = random_frame((70, 100))
    expected = segmenter(frame)
    frame.flags.writeable = False
    assert (segmenter(frame) == expected).all()
    assert (segmenter(np.asfortranarray(frame)) == expected).all()
    assert (segmenter(frame[::-1])[::-1].shape) == expected.shape

"""Street renderer: deterministic frames, exact labels, clips and datasets."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_street import Label, Street
from hyperseg_street.clip import Drive, write_clip, write_dataset

from hyperseg.data import CAMVID_11, Layout, open_split

SIZE = (96, 128)


def test_a_frame_is_a_function_of_seed_and_time() -> None:
    first, again, other = (Street(seed, *SIZE).frame(1.0) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.label, again.label)
    assert not np.array_equal(first.label, other.label)
    assert not np.array_equal(first.label, Street(3, *SIZE).frame(2.0).label)


def test_every_pixel_has_a_class_and_every_class_occurs() -> None:
    counts = np.zeros(256, np.int64)
    for seed in range(6):
        label = Street(seed, *SIZE).frame(1.0).label
        assert label.shape == SIZE
        counts += np.bincount(label.ravel(), minlength=256)
    assert (counts[: len(CAMVID_11)] > 0).all() and counts[len(CAMVID_11) :].sum() == 0


def test_labels_name_the_classes_of_camvid() -> None:
    assert [label.name.lower() for label in Label] == list(CAMVID_11.names)


def test_images_agree_with_their_labels() -> None:
    """Sky over road, and the sky the brightest: a swap of channels or rows would show."""
    frame = Street(1, *SIZE).frame(0.0)
    rows = {name: np.mean(np.nonzero(frame.label == name)[0]) for name in (Label.SKY, Label.ROAD)}
    assert rows[Label.SKY] < rows[Label.ROAD]
    assert frame.image[frame.label == Label.SKY].mean() > frame.image[frame.label == Label.ROAD].mean()


def test_a_clip_has_its_frames_and_labels(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(Drive(Street(0, *SIZE), 3, 10.0), clip, tmp_path / "labels", lambda _: None)
    video = cv2.VideoCapture(str(clip))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 3
    labels = cv2.imread(str(tmp_path / "labels" / "000002.png"), cv2.IMREAD_UNCHANGED)
    assert labels is not None and np.array_equal(labels, Street(0, *SIZE).frame(0.2).label)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "labels"]


def test_a_dataset_opens_as_camvid(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"train": 2, "val": 1}, SIZE, 5, lambda _: None)
    train = open_split(Layout.CAMVID, tmp_path, "train")
    assert len(train) == 2 and np.array_equal(train[0].label, Street(5, *SIZE).frame(1.0).label)


def test_every_module_imports_without_torch_and_the_other_packages() -> None:
    code = """
import importlib, pkgutil, sys
for name in ("torch", "hyperseg", "hyperseg_export", "hyperseg_runtime"):
    sys.modules[name] = None  # any import of it raises
import hyperseg_street
for module in pkgutil.walk_packages(hyperseg_street.__path__, "hyperseg_street."):
    importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr


def test_a_failure_keeps_the_previous_clip_and_leaves_no_draft(tmp_path: Path) -> None:
    clip = tmp_path / f"{'c' * 251}.mp4"  # as long as names may be
    clip.write_bytes(b"previous")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(Drive(Street(0, *SIZE), 3, 10.0), clip, None, interrupted)
    assert [path.name for path in tmp_path.iterdir()] == [clip.name] and clip.read_bytes() == b"previous"
    write_clip(Drive(Street(0, *SIZE), 1, 10.0), clip, None, lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == [clip.name] and clip.read_bytes() != b"previous"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either a CLIP"),
        (["there.mp4"], "exists and was kept"),
        (["--size", "9x", "x.mp4"], "HEIGHTxWIDTH"),
        (["folder/there.mp4/clip.mp4"], "error:"),
    ],
)
def test_wrong_usage_ends_in_a_message(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "there.mp4").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "there.mp4").touch()
    command = [sys.executable, "-m", "hyperseg_street.cli", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr


def test_labels_of_another_clip_are_kept(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "000001.png").write_bytes(b"precious")
    command = [sys.executable, "-m", "hyperseg_street.cli", "new.mp4", "--labels", "labels", "--frames", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 1 and "labels/000001.png exists and was kept" in done.stderr
    assert [path.name for path in tmp_path.rglob("*.*")] == ["000001.png"]


@pytest.mark.usefixtures("closing_terminal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_draft(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "hyperseg_street.cli", "new.mp4", "--frames", "100000", "--size", "64x64"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=_environment()) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".*.part*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.Signals[name])
        try:
            assert process.wait(60) == 130
        finally:
            process.kill()  # else leaving the block waits for all frames
    assert not list(tmp_path.iterdir())


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}

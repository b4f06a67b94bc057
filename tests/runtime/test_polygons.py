"""Polygons: filled again, they are the labels; the file is what COCO's tools read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.metadata import InputType, OutputKind
from hyperseg_runtime.output.coco import CocoFile
from hyperseg_runtime.output.polygons import regions
from hyperseg_runtime.video.sources import SourceFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from .clips import images, write_clip
from .conftest import ENVIRONMENT, Finished
from .png import read_indices
from .stand_in import NAMES, SIZE, metadata

Run = Callable[..., Finished]
EVERY = frozenset(range(256))


def filled(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres are inside by the even-odd rule, bool [h, w]."""
    height, width = shape
    crossings = np.zeros((height, width + 1), int)
    for ends in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = sorted(ends, key=lambda point: int(point[1]))
        rows = np.arange(y0, y1)
        at = x0 + (rows + 0.5 - y0) * (x1 - x0) / max(y1 - y0, 1)
        np.add.at(crossings, (rows, np.clip(np.ceil(at - 0.5), 0, width).astype(int)), 1)
    return np.asarray(crossings.cumsum(axis=1)[:, :-1] % 2 == 1)


def holes_within_holes() -> np.ndarray:
    labels = np.zeros((40, 50), np.uint8)
    for number, inset in enumerate(range(2, 18, 3)):
        labels[inset : 40 - inset, inset : 50 - inset] = (number + 1) % 3
    labels[1::5, ::7] = 4
    return labels


CASES = {
    "one pixel": np.array([[7]], np.uint8),
    "one class": np.zeros((5, 9), np.uint8),
    "a row": np.array([[0, 1, 1, 0, 255]], np.uint8),
    "four pixels": np.array([[0], [1], [1], [0]], np.uint8),
    "diagonal": np.eye(7, dtype=np.uint8),
    "chess": np.indices((8, 9)).sum(axis=0).astype(np.uint8) % 2,
    "holes": holes_within_holes(),
    "many holes": (np.random.default_rng(4).random((40, 60)) < 0.1).astype(np.uint8),
    "noise": np.random.default_rng(3).integers(0, 4, (60, 80)).astype(np.uint8),
}


def check(labels: np.ndarray) -> None:
    made = np.full(labels.shape, -1)
    for region in regions(labels, EVERY):
        inside = filled(region.ring, labels.shape)
        assert inside.sum() == region.area
        assert (made[inside] == -1).all(), "regions overlap"
        made[inside] = region.label
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        assert region.box == (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
        connected = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[0] - 1
        assert connected == 1
    assert (made == labels).all()


@pytest.mark.parametrize("case", CASES)
def test_filled_again_the_polygons_are_the_labels(case: str) -> None:
    check(CASES[case])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_labels(height: int, width: int, classes: int, random: Any) -> None:
    values = [random.randrange(classes) for _ in range(height * width)]
    check(np.array(values, np.uint8).reshape(height, width))


def test_pycocotools_reads_them() -> None:
    mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed; our own reader is used above")
    for case, labels in CASES.items():
        height, width = labels.shape
        for region in regions(labels, EVERY):
            encoded = mask.frPyObjects([region.ring.reshape(-1).astype(float).tolist()], height, width)
            assert mask.area(encoded).sum() == region.area, case
            assert (labels[mask.decode(encoded)[..., 0] == 1] == region.label).all(), case


def checked(path: Path) -> dict[str, Any]:
    """The file's content, after a check of what COCO's format demands."""
    content: dict[str, Any] = json.loads(path.read_text())
    assert set(content) == {"images", "annotations", "categories"}
    for entries in content.values():
        ids = [entry["id"] for entry in entries]
        assert len(set(ids)) == len(ids)
        assert all(isinstance(number, int) and number > 0 for number in ids)
    shown = {image["id"]: image for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    for annotation in content["annotations"]:
        image = shown[annotation["image_id"]]
        assert annotation["category_id"] in categories
        assert annotation["iscrowd"] == 0
        (polygon,) = annotation["segmentation"]
        assert len(polygon) >= 8
        assert len(polygon) % 2 == 0
        left, top, width, height = annotation["bbox"]
        assert 0 <= left < left + width <= image["width"]
        assert 0 <= top < top + height <= image["height"]
        assert 0 < annotation["area"] <= width * height
    return content


def labels_in(content: dict[str, Any], image: dict[str, Any]) -> np.ndarray:
    made = np.full((image["height"], image["width"]), 255, np.uint8)
    names = {category["id"]: category["name"] for category in content["categories"]}
    for annotation in content["annotations"]:
        if annotation["image_id"] == image["id"]:
            ring = np.array(annotation["segmentation"][0]).reshape(-1, 2)
            made[filled(ring, made.shape)] = NAMES.index(names[annotation["category_id"]])
    return made


def test_the_file_of_a_run(hyperseg_run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), images(1, (40, 60))[0])
    write_clip(tmp_path / "in" / "clip.mp4", count=6, size=(48, 80))
    done = hyperseg_run("in", "--polygons", "p.json", "--labels", "labels", "--every", "2")
    assert done.code == 0, done
    content = checked(Path("p.json"))
    assert [category["name"] for category in content["categories"]] == list(NAMES)
    assert [image["file_name"] for image in content["images"]] == ["a.png", *(f"clip_{n:06d}" for n in (0, 2, 4))]
    assert [(image["frame"], image["seconds"]) for image in content["images"][1:]] == [(0, 0.0), (2, 0.2), (4, 0.4)]
    for image in content["images"]:
        labels, _ = read_indices(Path("labels") / f"{Path(image['file_name']).stem}.png")
        assert (labels_in(content, image) == labels).all()
    hyperseg_run("in/a.png", "-o", "b.png", "--polygons", "p.json").failed_with("p.json exists", "--force")


def test_selected_classes_and_bad_names(hyperseg_run: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    assert hyperseg_run("a.png", "--polygons", "p.json").code == 0
    every = checked(Path("p.json"))
    present = {annotation["category_id"] for annotation in every["annotations"]}
    chosen = min(present)
    done = hyperseg_run("a.png", "--force", "--polygons", "p.json", "--classes", NAMES[chosen - 1])
    assert done.code == 0, done
    some = checked(Path("p.json"))
    assert {annotation["category_id"] for annotation in some["annotations"]} == {chosen}
    assert [category["id"] for category in some["categories"]] == [chosen]
    hyperseg_run("a.png", "--force", "--polygons", "p.txt").failed_with("p.txt", ".json")
    hyperseg_run("a.png", "--force", "--polygons", "x/p.json").failed_with("x does not exist")
    hyperseg_run("a.png", "--force", "--polygons", "s.json", "--stats", "s.json").failed_with("s.json", "two files")


def source_frame(number: int, path: Path | None = None) -> SourceFrame:
    image = np.zeros((12, 16, 3), np.uint8)
    return SourceFrame(image, number, Fraction(number, 10), f"clip_{number:06d}", path)


def test_what_is_incomplete_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that an interruption cuts off is dropped; the frames before it are in the file."""
    about = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)
    file = CocoFile(tmp_path / "p.json", about)
    file.write("clip.mp4", source_frame(0), CASES["diagonal"])
    complete = CocoFile.__dict__["_image"]

    def interrupted(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(CocoFile, "_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        file.write("clip.mp4", source_frame(1), CASES["noise"])
    monkeypatch.setattr(CocoFile, "_image", complete)
    file.close()
    content = checked(tmp_path / "p.json")
    assert [image["file_name"] for image in content["images"]] == ["clip_000000"]
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_a_file_without_frames_and_names_that_are_not_utf_8(tmp_path: Path) -> None:
    about = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)
    CocoFile(tmp_path / "none.json", about).close()
    assert checked(tmp_path / "none.json")["images"] == []
    file = CocoFile(tmp_path / "odd.json", about)
    file.write("x", source_frame(0, Path('a"\n\udcff道.png')), CASES["diagonal"])
    file.close()
    assert checked(tmp_path / "odd.json")["images"][0]["file_name"] == 'a"\n\\xff道.png'


def test_a_full_disk_leaves_no_damaged_file(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    file = CocoFile(tmp_path / "p.json", metadata(OutputKind.LABELS, InputType.UINT8, SIZE))
    file._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        file._file = full
        with pytest.raises(OutputError, match="disk is full"):
            file.write("clip.mp4", source_frame(0), CASES["noise"])
        with pytest.raises(OutputError, match=r"p\.json"):
            file.write("clip.mp4", source_frame(1), CASES["noise"])
        file.close()
    assert not list(tmp_path.iterdir())


def test_ctrl_c_completes_the_file(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=400, size=(180, 320))
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", str(clip), "-o", "out.mp4", "--model", str(model)]
    process = subprocess.Popen([*command, "--polygons", "p.json"], cwd=tmp_path, env=ENVIRONMENT)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if any(part.stat().st_size > 20_000 for part in tmp_path.glob(".*.part")):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert 0 < len(checked(tmp_path / "p.json")["images"]) < 400

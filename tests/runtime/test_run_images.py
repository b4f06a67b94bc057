"""hyperseg-run on images, folders and globs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.errors import OutputError

from .clips import images, write_clip
from .conftest import Finished

Run = Callable[..., Finished]


def write_images(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, images(len(names), (40, 60)), strict=True):
        cv2.imwrite(str(folder / name), image)
    return [folder / name for name in names]


def results(folder: str | Path) -> list[str]:
    """The names in a folder of results, without the run's record."""
    return sorted(path.name for path in Path(folder).iterdir() if not path.name.startswith("."))


def test_one_image(hyperseg_run: Run, tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    assert hyperseg_run("a.png").code == 0
    assert cv2.imread("a.segmented.png").shape == (40, 60, 3)
    again = hyperseg_run("a.png")
    again.failed_with("a.segmented.png exists", "--force")
    assert hyperseg_run("a.png", "--force").code == 0


def test_the_output_names_every_file_that_was_written(hyperseg_run: Run, tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    options = ("--labels", "l", "--stats", "s.csv", "--polygons", "p.json")
    done = hyperseg_run("a.png", *options)
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert lines[-4:] == ["-> a.segmented.png", "-> l (labels)", "-> s.csv (statistics)", "-> p.json (polygons)"]
    assert lines[-5].startswith("1 frame in ")
    json.loads(hyperseg_run("a.png", *options, "--force", "--json").out)  # and nothing else on stdout


def test_a_folder_with_a_video_in_it(hyperseg_run: Run, tmp_path: Path) -> None:
    write_images(tmp_path / "in", "b.jpg", "a.png")
    write_clip(tmp_path / "in" / "c.mp4", count=3)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    done = hyperseg_run("in", "--labels", "labels", "--stats", "shares.csv")
    assert done.code == 0, done
    assert results("in.segmented") == ["a.png", "b.jpg", "c.mp4"]
    assert len(list(Path("labels").iterdir())) == 5
    rows = list(csv.DictReader(Path("shares.csv").read_text().splitlines()))
    assert [Path(row["source"]).name for row in rows] == ["a.png", "b.jpg", "c.mp4", "c.mp4", "c.mp4"]


def test_a_glob_leaves_out_earlier_results(hyperseg_run: Run, tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "b.png")
    assert hyperseg_run("*.png").code == 0
    assert hyperseg_run("*.png", "--force").code == 0
    assert not list(tmp_path.glob("*.segmented.segmented.png"))


def test_a_bad_image_does_not_stop_the_others(hyperseg_run: Run, tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png", "c.png")
    (tmp_path / "in" / "b.png").write_bytes(b"not an image")
    done = hyperseg_run("in", "-o", "out")
    done.failed_with("b.png is not an image")
    assert results("out") == ["a.png", "c.png"]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 7), np.uint8),
        np.zeros((5, 7, 4), np.uint8),
        np.zeros((5, 7, 3), np.uint16),
        np.zeros((1, 1, 3), np.uint8),
    ],
    ids=["grey", "alpha", "16-bit", "1x1"],
)
def test_every_kind_of_image(hyperseg_run: Run, tmp_path: Path, image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image)
    assert hyperseg_run("a.png").code == 0
    assert cv2.imread("a.segmented.png").shape[:2] == image.shape[:2]


def test_unknown_image_format(tmp_path: Path) -> None:
    from hyperseg_runtime.output.sinks import write_image

    with pytest.raises(OutputError, match="choose one of these"):
        write_image(tmp_path / "a.gif", np.zeros((2, 2, 3), np.uint8))

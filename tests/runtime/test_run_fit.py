"""hyperseg-run --fit: every kind of output, and what the record of a run keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.fitting import Fit
from hyperseg_runtime.segmenter import Segmenter

from .clips import write_clip
from .conftest import Finished
from .png import read_indices
from .stand_in import write_model
from .test_segmenter import smooth_frame


@pytest.mark.parametrize("fit", Fit)
def test_labels_are_those_of_the_fit(tmp_path: Path, hyperseg_run: Callable[..., Finished], fit: Fit) -> None:
    model = write_model(tmp_path / "m.onnx", stride=2)
    frame = smooth_frame((150, 300))
    cv2.imwrite(str(tmp_path / "wide.png"), frame)
    options = ("--model", model, "--labels", "labels", "--stats", "s.csv", "--polygons", "p.json", "--style", "contour")
    assert hyperseg_run("wide.png", "--fit", fit.value, *options).code == 0
    labels, _ = read_indices(tmp_path / "labels" / "wide.png")
    by_fit = {}
    for each in Fit:
        with Segmenter(model, fit=each) as segment:
            by_fit[each] = segment(frame)
    assert (labels == by_fit[fit]).all()
    assert all((labels != by_fit[other]).any() for other in Fit if other is not fit)
    assert cv2.imread(str(tmp_path / "wide.segmented.png")).shape == frame.shape


@pytest.mark.parametrize("fit", Fit)
def test_a_video(tmp_path: Path, hyperseg_run: Callable[..., Finished], fit: Fit) -> None:
    write_clip(tmp_path / "clip.mp4", count=4, size=(120, 200))
    done = hyperseg_run("clip.mp4", "--fit", fit.value, "--json")
    assert done.code == 0, done
    assert '"frames": 4' in done.out


def test_results_of_another_fit_are_not_continued(tmp_path: Path, hyperseg_run: Callable[..., Finished]) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), np.full((20, 90, 3), 80, np.uint8))
    assert hyperseg_run("photos", "--fit", "letterbox").code == 0
    hyperseg_run("photos", "--resume").failed_with("fit: letterbox there, stretch now")
    assert hyperseg_run("photos", "--resume", "--fit", "letterbox").code == 0

"""Statistics files: every class of every frame, whatever the names are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from hyperseg_runtime.output.stats import StatsFile
from hyperseg_runtime.video.sources import SourceFrame

from .clips import images
from .conftest import Finished

LABELS = np.array([[0, 0, 1, 2]], np.uint8)
FRAME = SourceFrame(np.zeros((1, 4, 3), np.uint8), 0, Fraction(0), "a")


def test_classes_of_the_same_name_are_all_there(tmp_path: Path) -> None:
    file = StatsFile(tmp_path / "s.jsonl", ("car", "car", "road"))
    file.write("a.png", FRAME, LABELS)
    file.close()
    assert json.loads((tmp_path / "s.jsonl").read_text())["shares"] == {"car (0)": 0.5, "car (1)": 0.25, "road": 0.25}


def test_no_class_takes_the_name_of_another_column(tmp_path: Path) -> None:
    """Readers of CSV keep the last column of a name: a class "frame" would replace the frame's number."""
    names = ("frame", "a", "a", "a (1)")
    for suffix in ("csv", "jsonl"):
        file = StatsFile(tmp_path / f"s.{suffix}", names)
        file.write("a.png", FRAME, LABELS)
        file.close()
    (row,) = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
    assert row == {"source": "a.png", "frame": "0", "seconds": "0.0", "frame (0)": "0.5", **_shares("0.25", "0.0")}
    assert json.loads((tmp_path / "s.jsonl").read_text())["shares"] == {"frame": 0.5, **_shares(0.25, 0.0)}


def _shares(some: object, none: object) -> dict[str, object]:
    return {"a (1)": some, "a (2)": some, "a (1) (3)": none}


def test_labels_of_no_class_count_for_none(tmp_path: Path) -> None:
    file = StatsFile(tmp_path / "s.csv", ("car", "road"))
    file.write("a.png", FRAME, np.array([[0, 1, 255, 2]], np.uint8))
    file.close()
    (row,) = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
    assert (row["car"], row["road"]) == ("0.25", "0.25")


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        file = StatsFile(tmp_path / f"s.{suffix}", ("a", "b", "c"))
        file.write("\udcff.png", FRAME, LABELS)
        file.close()
    assert b"\n\xff.png," in (tmp_path / "s.csv").read_bytes()
    assert json.loads((tmp_path / "s.jsonl").read_text())["source"] == "\\xff.png"


def test_suffixes_in_capitals(hyperseg_run: Callable[..., Finished], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    done = hyperseg_run("a.png", "--stats", "S.CSV", "--polygons", "P.JSON")
    assert done.code == 0, done
    assert Path("S.CSV").read_text().startswith("source,frame,seconds,")
    assert json.loads(Path("P.JSON").read_text())["images"]

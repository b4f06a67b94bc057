"""Runs at the same time, and files that others create meanwhile: nothing is replaced, and no two models are mixed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from hyperseg_runtime.run_record import RECORD_NAME, RunRecord
from hyperseg_runtime.segmenter import Segmenter

from .clips import images, write_clip
from .conftest import Finished

Run = Callable[..., Finished]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), images(1, (40, 60))[0])
    return tmp_path / "in"


def test_another_run_with_other_options_is_refused(hyperseg_run: Run, photos: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no locks of folders")
    Path("out").mkdir()
    other = RunRecord(Path("out"))
    other.begin({"sha256": "other", "options": {}}, force=False)
    for options in ((), ("--force",)):
        hyperseg_run("in", "-o", "out", *options).failed_with("another hyperseg-run is writing to out", "-o")
    assert [path.name for path in Path("out").iterdir()] == [RECORD_NAME]
    other.end()
    assert hyperseg_run("in", "-o", "out").code == 0


def test_runs_with_the_same_options_share_a_folder(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in", "-o", "out").code == 0
    record = Path("out") / RECORD_NAME
    other = RunRecord(Path("out"))
    other.begin(json.loads(record.read_text().splitlines()[0])["made_with"], force=False)
    for name in ("c", "d"):
        cv2.imwrite(str(photos / f"{name}.png"), images(1, (40, 60))[0])
    assert hyperseg_run("in/c.png", "in/d.png", "-o", "out").code == 0
    other.end()
    complete = [json.loads(line).get("result") for line in record.read_text().splitlines()]
    assert complete == [None, "a.png", "b.png", "c.png", "d.png"]


OUTPUTS: dict[str, tuple[str, ...]] = {
    "in.segmented/a.png": ("in",),
    "labels/a.png": ("in", "--labels", "labels"),
    "s.csv": ("in/a.png", "--stats", "s.csv"),
    "p.json": ("in/a.png", "--polygons", "p.json"),
    "v.segmented.mp4": ("v.mp4",),
    "v.segmented/v_000001.png": ("v.mp4", "--format", "png"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_that_is_created_meanwhile_is_kept(
    hyperseg_run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_clip(tmp_path / "v.mp4", count=3)
    prepared = Segmenter.prepared

    def meanwhile(segmenter: Segmenter, image: object) -> object:
        Path(name).write_text("precious")
        return prepared(segmenter, image)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Segmenter, "prepared", meanwhile)
        hyperseg_run(*OUTPUTS[name]).failed_with(name, "kept", "--force")
    assert Path(name).read_text() == "precious"
    assert not list(tmp_path.rglob("*.part"))
    assert hyperseg_run(*OUTPUTS[name], "--force").code == 0
    assert Path(name).read_bytes() != b"precious"


def test_resume_deletes_the_drafts_of_a_killed_run(hyperseg_run: Run, photos: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Path("in.segmented").mkdir()
    drafts = {process: Path(f"in.segmented/.hyperseg-{process}-0123abcd.part") for process in (ended.pid, os.getpid())}
    for draft in (*drafts.values(), Path("in.segmented/.hyperseg-mine.part")):
        draft.write_bytes(b"half")
    assert hyperseg_run("in", "--resume").code == 0
    assert not drafts[ended.pid].exists()
    assert drafts[os.getpid()].exists() and Path("in.segmented/.hyperseg-mine.part").exists()

"""hyperseg-run --resume, and runs that end early: complete results are kept, and never mixed with another model's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from .clips import frame_times, images, write_clip
from .conftest import ENVIRONMENT, Finished
from .stand_in import write_model

Run = Callable[..., Finished]
RECORD = ".hyperseg-run.jsonl"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """in/: three images and a video."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, image in zip(("a", "b", "c"), images(3, (40, 60)), strict=True):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    write_clip(folder / "d.mp4", count=3)
    return folder


def versions(folder: str = "in.segmented") -> dict[str, int]:
    """Each result's inode, which changes when it is written again."""
    return {path.name: path.stat().st_ino for path in Path(folder).iterdir() if path.name != RECORD}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def half_done() -> None:
    """As after a kill: one image is not there, and the video that was in work neither."""
    record = Path("in.segmented") / RECORD
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(line for line in lines if '"c.png"' not in line and '"d.mp4"' not in line) + '{"resul')
    for name in ("c.png", "d.mp4"):
        (Path("in.segmented") / name).unlink()


def test_only_the_rest_is_done(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in", "--labels", "labels").code == 0
    before = versions()
    hyperseg_run("in", "--labels", "labels").failed_with("a.png exists", "--resume", "--force")
    half_done()
    done = hyperseg_run("in", "--labels", "labels", "--resume", "--json")
    assert done.code == 0, done
    runs = json.loads(done.out)["runs"]
    assert [(run["input"], run["frames"]) for run in runs] == [("in/a.png", 1), ("in/d.mp4", 3)]
    assert [run["outputs"] for run in runs] == [["in.segmented/c.png"], ["in.segmented/d.mp4"]]
    after = versions()
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] == before[name]} >= {"a.png", "b.png"}
    again = hyperseg_run("in", "--labels", "labels", "--resume")
    assert again.code == 0 and "4 of 4" in again.err
    assert versions() == after


def test_a_first_run_may_say_resume(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in", "--resume").code == 0
    assert len(versions()) == 4


def test_inputs_and_labels_that_changed_are_done_again(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in", "--labels", "labels").code == 0
    before = versions()
    cv2.imwrite("in/b.png", images(1, (20, 30))[0])
    cv2.imwrite("in/e.png", images(1, (20, 30))[0])
    Path("labels/a.png").unlink()
    Path("in.segmented/c.png").write_bytes(b"")  # as after a power failure
    assert hyperseg_run("in", "--labels", "labels", "--resume").code == 0
    after = versions()
    assert {name for name in before if after[name] == before[name]} == {"d.mp4"}
    assert cv2.imread("in.segmented/b.png").shape == (20, 30, 3) and cv2.imread("in.segmented/c.png") is not None
    assert Path("in.segmented/e.png").exists() and Path("labels/a.png").exists()


def test_results_of_another_model_or_option_are_never_mixed(hyperseg_run: Run, photos: Path, tmp_path: Path) -> None:
    assert hyperseg_run("in").code == 0
    half_done()
    before = versions()
    other = write_model(tmp_path / "other.onnx", size=(32, 64))
    hyperseg_run("in", "--resume", "--model", other).failed_with("another model", "other.onnx", "-o", "--force")
    for option in (("--style", "mask"), ("--alpha", "0.25"), ("--every", "2"), ("--labels", "l"), ("--format", "mkv")):
        hyperseg_run("in", "--resume", *option).failed_with("other options", option[0].lstrip("-")[:5], "-o")
    hyperseg_run("in", "--resume", "--labels", "l").failed_with("labels: not given there, l now")
    assert versions() == before
    assert hyperseg_run("in", "--model", other, "--force").code == 0
    hyperseg_run("in", "--resume").failed_with("another model (other.onnx)")


def test_a_forced_run_is_continued_over_older_results(
    hyperseg_run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hyperseg_run("in").code == 0
    old = versions()
    other = write_model(tmp_path / "other.onnx", size=(32, 64))
    with monkeypatch.context() as patched:
        patched.setattr("hyperseg_runtime.output.sinks.ImageSink.write", _killed)
        with pytest.raises(_KilledError):
            hyperseg_run("in", "--model", other, "--force")
    assert versions() == old
    assert hyperseg_run("in", "--model", other, "--resume").code == 0
    assert not {name for name, inode in versions().items() if old[name] == inode}


class _KilledError(BaseException):
    """As SIGKILL, it is not handled."""


def _killed(*_: object) -> None:
    raise _KilledError


def test_foreign_files_are_kept(hyperseg_run: Run, photos: Path) -> None:
    Path("in.segmented").mkdir()
    Path("in.segmented/b.png").write_text("precious")
    hyperseg_run("in", "--resume").failed_with("in.segmented/b.png exists and was kept")
    assert versions().keys() == {"b.png"} and Path("in.segmented/b.png").read_text() == "precious"


@pytest.mark.parametrize("options", [("--labels", "labels"), ("--format", "png")])
def test_a_video_without_some_of_its_frames_is_done_again(
    hyperseg_run: Run, photos: Path, options: tuple[str, str]
) -> None:
    assert hyperseg_run("in", *options).code == 0
    frame = Path("labels/d_000001.png") if options[0] == "--labels" else Path("in.segmented/d/d_000001.png")
    frame.unlink()
    done = hyperseg_run("in", *options, "--resume")
    assert done.code == 0 and "3 of 4" in done.err
    assert frame.is_file()


def test_a_link_in_place_of_a_result_is_not_followed(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in").code == 0
    Path("precious.png").write_text("precious")
    Path("in.segmented/a.png").unlink()
    Path("in.segmented/a.png").symlink_to("../precious.png")
    hyperseg_run("in", "--resume").failed_with("in.segmented/a.png exists and was kept")
    assert Path("precious.png").read_text() == "precious"


def test_one_result_is_not_continued(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in/a.png", "--resume").code == 0
    hyperseg_run("in/a.png", "--resume").failed_with("in/a.segmented.png exists", "not the result of one", "--force")


def test_a_record_that_is_a_pipe_is_not_waited_for(hyperseg_run: Run, photos: Path) -> None:
    Path("in.segmented").mkdir()
    os.mkfifo(Path("in.segmented") / RECORD)
    hyperseg_run("in").failed_with(RECORD, "not a regular file")


def test_files_that_cannot_be_continued(hyperseg_run: Run, photos: Path) -> None:
    hyperseg_run("in", "--resume", "--stats", "s.csv").failed_with("--resume cannot continue s.csv")
    done = hyperseg_run("in", "--resume", "--force")
    assert done.code == 2 and "exclude each other" in done.err


def test_a_damaged_record_is_no_record(hyperseg_run: Run, photos: Path) -> None:
    assert hyperseg_run("in").code == 0
    before = versions()
    broken = (
        "{}",
        "[]\n1\n",
        "\udcff\0",
        "[" * 100_000,
        '{"format": 1, "started_ns": "x", "made_with": 3}',
        '{"format": 2}',
    )
    for content in broken:
        (Path("in.segmented") / RECORD).write_text(content, errors="surrogateescape")
        hyperseg_run("in", "--resume").failed_with(RECORD, "damaged", "-o", "--force")
    (Path("in.segmented") / RECORD).write_bytes(b"")  # killed at its beginning
    hyperseg_run("in", "--resume").failed_with("exists and was kept")
    assert versions() == before


def test_a_folder_of_frames(hyperseg_run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "v.mp4", count=10)
    assert hyperseg_run("v.mp4", "--format", "png", "--every", "3").code == 0
    assert sorted(versions("v.segmented")) == [f"v_{number:06d}.png" for number in (0, 3, 6, 9)]
    hyperseg_run("v.mp4", "--format", "png").failed_with("v.segmented/v_00000", "kept")
    assert hyperseg_run("v.mp4", "--format", "png", "--start", "0.5", "--force").code == 0
    assert sorted(versions("v.segmented")) == [f"v_{number:06d}.png" for number in range(5, 10)]
    assert hyperseg_run("v.mp4", "--format", "jpg", "-o", "frames").code == 0
    assert {path.read_bytes()[:3] for path in Path("frames").iterdir()} == {b"\xff\xd8\xff"}


def test_incomplete_frames_are_marked_and_done_again(
    hyperseg_run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the third frame."""
    from hyperseg_runtime.output import frame_folder

    write = frame_folder.write_image
    with monkeypatch.context() as patched:
        patched.setattr(
            frame_folder, "write_image", lambda path, *rest: _killed() if "_000002" in str(path) else write(path, *rest)
        )
        with pytest.raises(_KilledError):
            hyperseg_run("in", "--format", "png")
    assert len(versions("in.segmented/d")) == 3
    assert "not all frames" in Path("in.segmented/d/INCOMPLETE.hyperseg-run.txt").read_text()
    before = versions()
    assert hyperseg_run("in", "--format", "png", "--resume").code == 0
    assert sorted(versions("in.segmented/d")) == [f"d_{number:06d}.png" for number in range(3)]
    assert all(before[name] == inode for name, inode in versions().items() if name != "d")


def test_nothing_is_created_before_the_model_is_open(hyperseg_run: Run, photos: Path) -> None:
    hyperseg_run("in", "--model", "nope.onnx", "--labels", "labels").failed_with("nope.onnx")
    assert names(Path()) == ["in"]


def test_folders_without_results_are_deleted(hyperseg_run: Run, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no image")
    assert hyperseg_run("a.png", "b.png", "-o", "deep/out", "--labels", "deep/labels").code == 1
    assert names(Path()) == ["a.png", "b.png"]


def test_cuts_are_for_videos(hyperseg_run: Run, photos: Path) -> None:
    for option in (("--start", "1"), ("--end", "1"), ("--format", "mkv")):
        done = hyperseg_run("in/a.png", *option)
        assert done.code == 2 and f"{option[0]} is for videos" in done.err
    done = hyperseg_run("in", "--end", "0.2")
    assert done.code == 0 and "--end: for the videos only" in done.err
    assert len(frame_times(Path("in.segmented/d.mp4"))) == 2


def wait_for(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not found() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.usefixtures("closing_terminal")
@pytest.mark.parametrize("ignored", [False, True], ids=["hang-up", "nohup"])
def test_a_hang_up_keeps_what_was_done(model: Path, tmp_path: Path, ignored: bool) -> None:
    clip = write_clip(tmp_path / "clip.mp4", count=200 if ignored else 400, size=(180, 320))
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", str(clip), "-o", "out.mp4", "--model", str(model)]
    if ignored:
        command = ["nohup", *command]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: any(part.stat().st_size for part in tmp_path.glob(".*.part")))
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (0 if ignored else 130), err
    frames = len(frame_times(tmp_path / "out.mp4"))
    assert frames == 200 if ignored else 0 < frames < 400
    assert names(tmp_path) == ["clip.mp4", "out.mp4"]

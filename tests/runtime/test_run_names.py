"""Odd names on the command line of hyperseg-run: every output names its file, once, in valid JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from hyperseg_runtime.cli import run_session
from hyperseg_runtime.names import shown
from hyperseg_runtime.pipeline import StageClock
from hyperseg_runtime.planning import Outputs, plan
from hyperseg_runtime.video.sources import ImageReader
from rich.console import Console

from .clips import images, write_clip
from .conftest import Finished

Run = Callable[..., Finished]


def strict(text: str) -> object:
    """JSON whose strings are all Unicode: other parsers than Python's refuse lone surrogates."""
    content = json.loads(text)
    json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def test_json_of_names_that_are_not_utf_8(hyperseg_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in\udcfe"
    folder.mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    for name in ("b\udcff.png", "c.png"):
        (folder / name).write_bytes((tmp_path / "a.png").read_bytes())
    write_clip(tmp_path / "d.mp4", count=1)
    (tmp_path / "d.mp4").rename(folder / "d\udcff.mp4")
    (folder / "bad\udcff.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "note\udcff.txt").write_text("no image")
    done = hyperseg_run(folder.name, "--json", "--stats", "s.jsonl", "--polygons", "p.json")
    done.failed_with("bad\\xff.png")
    runs = strict(done.out)["runs"]  # type: ignore[index]
    assert [run["input"] for run in runs] == ["in\\xfe/bad\\xff.png", "in\\xfe/d\\xff.mp4"]
    rows = [strict(line) for line in Path("s.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == ["in\\xfe/b\\xff.png", "in\\xfe/c.png", "in\\xfe/d\\xff.mp4"]  # type: ignore[index]
    found = strict(Path("p.json").read_text())["images"]  # type: ignore[index]
    assert [image["file_name"] for image in found] == ["b\\xff.png", "c.png", "d\\xff_000000"]


def test_names_in_coco_files_differ(hyperseg_run: Run, tmp_path: Path) -> None:
    """Many tools use file_name as the key."""
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    write_clip(tmp_path / "v.mp4", count=2)
    for folder in ("x", "y/z"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a.png", "v.mp4"):
            (tmp_path / folder / name).write_bytes((tmp_path / name).read_bytes())
    done = hyperseg_run("x/a.png", "y/z/a.png", "x/v.mp4", "y/z/v.mp4", "--polygons", "p.json")
    assert done.code == 0, done
    names = [image["file_name"] for image in json.loads(Path("p.json").read_text())["images"]]
    assert names == ["x/a.png", "y/z/a.png", *(f"{at}/v_{n:06d}" for at in ("x", "y/z") for n in range(2))]


@pytest.mark.parametrize("name", ["[red]x.png", ":dog:.png", "end\\", "{task.total}.png"])
def test_the_progress_bar_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    out = io.StringIO()
    monkeypatch.setattr(run_session, "Console", lambda: Console(file=out, force_terminal=True, width=200))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with run_session._RunProgress(ImageReader((Path(name),)), StageClock(), visible=True) as progress:
        progress.frame_done(1)
    assert name in out.getvalue()


def test_marks_of_direction_do_not_turn_a_line_around() -> None:
    assert shown("a\u202egnp.mp4") == "a\\u202egnp.mp4"
    assert shown("👩\u200d👧.png") == "👩\u200d👧.png"  # joined to one letter


@pytest.mark.parametrize("name", [".segmented.mp4", ".segmented", "x.segmented.mp4", "segmented.mp4"])
def test_a_result_that_is_named_alone_is_an_input(
    hyperseg_run: Run, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypisom")
    monkeypatch.chdir(tmp_path)
    assert [task.source for task in plan([name], Outputs()).tasks] == [name]


def test_a_glob_takes_each_folder_once(hyperseg_run: Run, tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("in/a.png", "in/deep/b.png"):
        cv2.imwrite(str(tmp_path / name), images(1, (40, 60))[0])
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/twin").symlink_to(tmp_path / "in/deep")
    tasks = plan(["in/**/*.png"], Outputs(path="out")).tasks
    assert [str(path) for path in tasks[0].target_of] == ["in/a.png", "in/deep/b.png"]  # type: ignore[union-attr]


def test_empty_names(hyperseg_run: Run, tmp_path: Path) -> None:
    hyperseg_run(" ").failed_with("' ' does not exist")
    write_clip(tmp_path / "v.mp4", count=1)
    for option in ("--labels", "--stats", "--polygons"):
        done = hyperseg_run("v.mp4", option, "")
        assert done.code == 2 and option in done.err and "the name is empty" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]

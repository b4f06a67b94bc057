"""`hyperseg-train --check`: every fault of a data set in one run, with file, value and count; a sheet to look at."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hyperseg.classes import VOID, Classes, distinct_palette
from hyperseg.cli.train import main
from hyperseg.data import CAMVID_11, Layout
from hyperseg.data.check import CheckedImage, CheckedSplit, check_dataset
from hyperseg.data.check_sheet import choose, draw_sheet, overlay
from hyperseg.data.dataset import LabelledImages, Pair
from hyperseg.errors import DataError
from hyperseg.training.recipe import load_recipe
from hyperseg.training.splits import open_data
from training.folders import camvid, describe, image, labels, own, write, write_turned
from training.processes import environment
from training.within import within


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["--check", *map(str, arguments)], prog_name="hyperseg-train")
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return ended.value.code, out, err


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def _faulty(root: Path) -> dict[str, Path]:
    """One of each fault, in splits of several images."""
    own(root, count=6)
    files = {
        "unlabelled": root / "images/train/0.png",
        "value": root / "labels/train/1.png",
        "unreadable": root / "images/train/2.png",
        "size": root / "labels/train/3.png",
        "both": root / "images/val/0.png",
        "both label": root / "labels/val/0.png",
        "lossy": root / "labels/val/1.jpg",
    }
    (root / "labels/train/0.png").unlink()
    write(files["value"], np.array([[7, 7, 9, 0]], np.uint8))
    write(root / "images/train/1.png", image(1, 4))
    files["unreadable"].write_bytes(b"no image")
    write(files["size"], labels(0, height=5))
    files["both"].write_bytes(files["both"].read_bytes()[:-30])
    write(files["both label"], labels(99))
    (root / "labels/val/1.png").unlink()
    write(files["lossy"], labels(0))
    return files


def test_all_faults_are_listed_with_file_value_and_count(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = _faulty(tmp_path / "mine")
    code, out, err = run(capfd, "--data", tmp_path / "mine", "--json")
    assert (code, err) == (1, "")
    shown = json.loads(out)
    assert shown["trainable"] is False
    by_file = {fault["file"]: fault for fault in shown["faults"]}
    assert by_file[str(files["value"])]["values"] == {"7": 2, "9": 1}
    assert by_file[str(files["both label"])]["values"] == {"99": 192}
    assert set(by_file) == {str(files[name]) for name in ("value", "unreadable", "size", "both", "both label")} | {None}
    problems = [fault["problem"] for fault in shown["faults"] if fault["file"] is None]
    assert any(f"1 of 6 images have no label: {files['unlabelled']}" in problem for problem in problems)
    assert any(f"the label {files['lossy']} is in a lossy format" in problem for problem in problems)
    assert len(shown["faults"]) == 7
    assert {name: (split["images"], split["readable"]) for name, split in shown["splits"].items()} == {
        "train": (5, 2),
        "val": (5, 4),
    }


def test_the_table_names_faults_as_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = _faulty(tmp_path / "mine")
    code, out, err = run(capfd, "--data", tmp_path / "mine")
    assert (code, err) == (1, "") and out.endswith("7 faults: training would stop\n")
    for line in (
        f"fault: train: {files['value']} has the label values 7 (2 pixels), 9 (1 pixel), which no class has",
        f"fault: train: {files['size'].parents[2]}/images/train/3.png is 16x12 but its label {files['size']} is 16x5",
        "train: 5 images, 3 of them with faults; sizes 16x12 (2)",
    ):
        assert line in out


def test_many_faults_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path / "mine", count=25)
    for file in (root / "labels/train").iterdir():
        write(file, labels(3))
    code, out, _ = run(capfd, "--data", root)
    assert code == 1 and out.count("fault: ") == 11 and "fault: train: 15 more faults; --json lists all" in out
    assert len(json.loads(run(capfd, "--data", root, "--json", "--force")[1])["faults"]) == 25


def test_a_sound_data_set(tmp_path: Path, capfd: pytest.CaptureFixture[str], working_folder: Path) -> None:
    root = own(tmp_path / "mine", 'classes = ["[red]soil", "Grün 木", "weed"]')
    write(root / "images/val/3.png", image(30, 40, seed=3))
    write(root / "labels/val/3.png", labels(2, height=30, width=40))
    code, out, err = run(capfd, "--data", root)
    assert (code, err) == (0, "") and "[red]soil" in out and "Grün 木" in out
    assert "val: 3 images; sizes 16x12 (2), 40x30 (1)" in out and "no faults: ready for training" in out
    shown = json.loads(run(capfd, "--data", root, "--json", "--force")[1])
    weed = shown["classes"][2]["splits"]
    assert weed == {"train": {"pixels": 96, "images": 2}, "val": {"pixels": 96 + 1200, "images": 3}}
    assert shown["splits"]["val"] == {
        "images": 3, "readable": 3, "pixels": 2 * 192 + 1200, "void": 96, "sizes": {"16x12": 2, "40x30": 1}
    }  # fmt: skip
    assert shown["faults"] == shown["notes"] == [] and shown["sheet"] == "mine.check.png"
    assert cv2.imread(str(working_folder / "mine.check.png")) is not None


def _notes(root: Path) -> list[str]:
    return list(check_dataset(root, Layout.CAMVID).notes)


def test_notes_are_no_faults(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path / "mine")
    write(root / "labels/train/0.png", labels(0, 1))
    write(root / "labels/train/1.png", labels(255))
    shutil.copy(root / "images/train/0.png", root / "images/val/copy.png")
    write(root / "labels/val/copy.png", labels(0, 1))
    write(root / "labels/val/stray.png", labels(0))
    code, out, _ = run(capfd, "--data", root)
    assert code == 0
    assert set(_notes(root)) == {
        "train: no pixel of weed",
        f"train: 1 label without a labelled pixel: {root / 'labels/train/1.png'}",
        f"val: 1 label without an image: {root / 'labels/val/stray.png'}",
        "1 image is in train and val: 0",
    }
    assert all(f"note: {note}" in out for note in _notes(root))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_images_that_exif_turns_are_noted(tmp_path: Path, orientation: int) -> None:
    """By 3 it is turned upside down, and has the size of its label all the same."""
    root = own(tmp_path, count=1)
    for split in ("train", "val"):
        (root / f"images/{split}/0.png").unlink()
        write_turned(root / f"images/{split}/0.jpg", image(16, 16), orientation)
        write(root / f"labels/{split}/0.png", labels(0, 1, 2, height=16))
    noted = [note for note in _notes(root) if "1 image turned by an EXIF orientation" in note]
    assert len(noted) == (0 if orientation == 1 else 2)


def test_a_terminal_in_ascii_gets_the_table(tmp_path: Path) -> None:
    root = own(tmp_path / "mine", 'classes = ["Straße", "木", "weed"]')
    done = subprocess.run(
        [sys.executable, "-m", "hyperseg.cli.train", "--check", "--data", str(root)],
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0 and b"weed" in done.stdout and b"Stra?e" in done.stdout


def test_splits_that_recipes_use_are_missed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path / "mine", splits=("train", "test"))
    (note,) = _notes(root)
    assert "there is no split 'val'" in note and "(there are: train, test); finetune holds images out" in note
    assert """--set 'data.validate="test"'""" in note
    code, out, _ = run(capfd, "camvid-s", "--data", root)
    assert code == 1 and f"fault: val: {root / 'dataset.toml'} has no split 'val' (there are: train, test)" in out
    override = ("--set", 'data.validate="test"', "--set", 'data.train=["train"]', "--set", "data.late=[]")
    assert run(capfd, "camvid-s", "--data", root, *override, "--force")[0] == 0


@pytest.mark.parametrize("splits", [("",), ("train",), ("val",), ("train", "test")])
def test_a_check_for_finetune_asks_for_the_splits_that_it_trains_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], splits: tuple[str, ...]
) -> None:
    root = own(tmp_path / "mine", splits=splits)
    code, out, _ = run(capfd, "finetune", "--data", root)
    told: list[str] = []
    opened = open_data(load_recipe("finetune", ()).data, 1, root, told.append)
    assert code == 0 and "no faults" in out and "there is no split" not in out
    assert (len(opened.train), len(opened.validation)) == (1, 1) and "held out" in told[-1]


def test_splits_that_finetune_needs_are_missed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path / "mine", splits=("val", "test"))
    code, out, _ = run(capfd, "finetune", "--data", root)
    assert code == 1 and "has no split 'train' (there are: val, test)" in out
    with pytest.raises(DataError, match="no split 'train'"):
        open_data(load_recipe("finetune", ()).data, 1, root, lambda _: None)


def test_labels_with_nearly_the_right_name_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = describe(tmp_path / "mine")
    for index in range(3):
        write(root / f"images/{index}.png", image(seed=index))
        write(root / f"labels/{index}_mask.png", labels(0, 1, 2))
    other = (root / "labels/1_mask.png").rename(root / "labels/1_MASK.PNG")
    code, out, _ = run(capfd, "--data", root)
    assert code == 1 and f"1 of 3 images have no label: {root / 'images/1.png'}" in out
    assert f"(labels' names end with '_mask' here, unlike {other})" in out


def test_blurred_colours_get_no_class(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path / "mine", "palette = [[90, 60, 30], [220, 20, 60], [0, 130, 200]]", count=1)
    between = [[90 + step, 60 - step // 4, 30 + step // 4] for step in range(0, 120, 6)]
    write(root / "labels/val/0.png", np.resize(np.array(between, np.uint8)[:, ::-1], (12, 16, 3)))
    _, out, _ = run(capfd, "--data", root)
    assert "as smoothing and resizing make at edges; save the label again without them" in out
    write(root / "labels/val/0.png", np.full((12, 16, 3), 7, np.uint8))
    assert "add it to `palette`, or to `void_colour` ([7, 7, 7])" in run(capfd, "--data", root, "--force")[1]


def test_masks_of_0_and_255_are_told_from_void(tmp_path: Path) -> None:
    root = own(tmp_path, 'classes = ["ground", "crack"]', count=1)
    for file in root.glob("labels/*/*.png"):
        write(file, labels(0, 255))
    assert any("set values = [0, 255] in dataset.toml" in note for note in _notes(root))
    assert _notes(describe(root, 'classes = ["ground", "crack"]\nvalues = [0, 255]')) == []


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("void = [", "is not TOML"),
        ("colour = 1", "line 2: unknown key 'colour'"),
        ('images = "nowhere"', "nowhere does not exist"),
        ('[splits]\ntrain = "train"\nval = "nowhere"', "fault: val: .*the split val is 'nowhere'"),
    ],
)
def test_faults_of_the_description(tmp_path: Path, capfd: pytest.CaptureFixture[str], toml: str, message: str) -> None:
    root = own(tmp_path / "mine", toml)
    code, out, _ = run(capfd, "--data", root)
    assert code == 1 and re.search(message, out) and "1 fault: training would stop" in out


@pytest.mark.parametrize("layout", Layout)
def test_every_layout_says_what_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str], layout: Layout) -> None:
    code, out, _ = run(capfd, "--data", tmp_path / "nowhere", "--layout", layout.value)
    assert code == 1 and "fault: " in out and "missing" in out and str(tmp_path / "nowhere") in out


def test_a_published_layout(tmp_path: Path, capfd: pytest.CaptureFixture[str], working_folder: Path) -> None:
    root = camvid(tmp_path / "camvid")
    write(root / "trainannot/1.png", labels(0, 77))
    code, out, _ = run(capfd, "--data", root, "--json")
    shown = json.loads(out)
    assert code == 1 and list(shown["splits"]) == ["train"]
    assert [one["name"] for one in shown["classes"]] == list(CAMVID_11.names)
    (fault,) = shown["faults"]
    assert fault["file"] == str(root / "trainannot/1.png") and "has the label value 77 (96 pixels)" in fault["problem"]
    assert shown["splits"]["train"]["readable"] == 1 and (working_folder / "camvid.check.png").exists()


def test_the_commands_name_every_layout() -> None:
    """They list the names themselves, so that --help imports neither NumPy nor OpenCV."""
    from hyperseg_export.cli.evaluate import _LAYOUTS

    from hyperseg.cli.train import LAYOUTS

    assert LAYOUTS == _LAYOUTS == tuple(layout.value for layout in Layout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "x", "--set", "batch=2"), "--set changes an entry of a recipe; name the RECIPE as well"),
        ((), "Missing option '--data'"),
        (("--data", "x", "--layout", "coco"), "'coco' is not one of"),
    ],
)
def test_wrong_usage_is_one_line(capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_a_sheet_without_a_check_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["camvid-s", "--data", "x", "--out", "y", "--sheet", "z.png"], prog_name="hyperseg-train")
    assert ended.value.code == 2 and "--sheet is a file that --check writes" in capfd.readouterr().err


# The sheet


def test_the_sheet_replaces_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str], working_folder: Path) -> None:
    root = own(tmp_path / "mine")
    kept = working_folder / "mine.check.png"
    kept.write_bytes(b"kept")
    code, out, err = run(capfd, "--data", root)
    assert (code, out) == (1, "") and "mine.check.png exists; name another file with --sheet" in err
    assert kept.read_bytes() == b"kept"
    assert run(capfd, "--data", root, "--sheet", "other.png")[0] == 0
    assert run(capfd, "--data", root, "-o", "third.png")[0] == 0
    assert {path.name for path in working_folder.iterdir()} == {"mine.check.png", "other.png", "third.png"}
    assert run(capfd, "--data", root, "--force")[0] == 0 and kept.read_bytes() != b"kept"


def test_the_sheet_is_no_image_of_the_data_set(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = own(tmp_path / "mine")
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    describe(root, 'images = "images"')
    (root / "images/empty").mkdir()
    for name in ("train/new.png", "train/0.png", "empty/new.png"):
        code, out, err = run(capfd, "--data", root, "--sheet", root / "images" / name, "--force")
        assert code == 1 and "would lie among the images of the data set" in err and "no faults" in out
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before
    assert "is written as PNG; name a .png file" in run(capfd, "--data", root, "--sheet", "sheet.jpg")[2]


def _split(counts: Any) -> CheckedSplit:
    images = tuple(
        CheckedImage(
            Pair(str(index), Path(), Path()), np.pad(row, (0, 256 - len(row))), (1, 1), bytes(str(index), "ascii")
        )
        for index, row in enumerate(counts)
    )
    return CheckedSplit("train", LabelledImages(CAMVID_11, (), lambda _: labels(0)), images)


def test_the_sheet_shows_every_class() -> None:
    counts = np.zeros((500, 8), np.int64)
    counts[:, 0] = 100
    for label in range(1, 8):
        counts[50 * label + 3, label] = label
    shown = [int(image.pair.name) for _, image in choose([_split(counts)])]
    assert len(shown) == 12 == len(set(shown)) and shown == sorted(shown)
    assert set(shown) >= {50 * label + 3 for label in range(1, 8)}
    assert len(choose([_split(counts[:5])])) == 5 and choose([_split(counts[:0])]) == []


def test_an_overlay_has_the_classes_colours_and_dark_void() -> None:
    classes = Classes(("a", "b"), ((200, 0, 0), (0, 0, 200)))
    drawn = overlay(np.full((1, 3, 3), 100, np.uint8), np.array([[0, 1, VOID]], np.uint8), classes)
    assert drawn[0, 0].tolist() == [150, 50, 50] and drawn[0, 1].tolist() == [50, 50, 150]
    assert drawn[0, 2].max() < 50


@pytest.mark.parametrize("count", [1, 3, 11, 255])
def test_the_legend_has_every_colour(count: int) -> None:
    classes = Classes(
        tuple(f"a long name of a class, number {index} 木" for index in range(count)), distinct_palette(count)
    )
    sheet = draw_sheet([("train/" + "x" * 200, image(400, 30))] * 5, classes)
    drawn = {tuple(colour) for colour in sheet.reshape(-1, 3).tolist()}
    assert set(classes.palette) <= drawn


def test_files_are_read_by_several_threads_in_order(tmp_path: Path) -> None:
    root = own(tmp_path, splits=("train",), count=30)
    calls: list[tuple[int, int]] = []
    report = check_dataset(root, Layout.OWN, progress=lambda done, total: calls.append((done, total)), workers=4)
    assert calls == [(done, 30) for done in range(1, 31)]
    assert [image.pair.name for image in report.splits[0].images] == sorted(map(str, range(30)))


def test_names_from_foreign_systems_are_drawn_and_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A name that is not UTF-8 (on which OpenCV 5.0's putText crashes), a terminal's commands, and one without end."""
    long = "n" * 100_000
    own(tmp_path, f'classes = ["soil", "crop", "{long}"]')
    for name in (b"\xff.png", b"a\x1b[31mb.png"):
        for folder in ("images", "labels"):
            shutil.copy(tmp_path / folder / "train/0.png", os.fsencode(tmp_path / folder / "train") + b"/" + name)
    with within(60):
        code, out, _ = run(capfd, "--data", tmp_path, "--json")
    assert code == 0 and len(json.loads(out)["classes"]) == 3
    (tmp_path / "labels/train/a\x1b[31mb.png").unlink()
    code, out, _ = run(capfd, "--data", tmp_path, "--force")
    assert code == 1 and r"a\x1b[31mb.png" in out and "\x1b" not in out


def test_what_cannot_be_read_is_a_fault_of_the_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own(tmp_path, '[splits]\ntrain = "train"\nval = "val"')
    for folder in ("images", "labels"):
        (tmp_path / folder / "train" / "self.png").symlink_to("self.png")
    (tmp_path / "labels/train/0.png").unlink()
    (tmp_path / "labels/train/0.png").symlink_to("/proc/self/mem")
    code, out, _ = run(capfd, "--data", tmp_path)
    assert code == 1 and "self.png does not exist" in out and "0.png cannot be read" in out and "3 faults" in out

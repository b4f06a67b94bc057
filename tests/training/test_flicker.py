"""Flicker and video consistency by hand-computed clips, and hyperseg-evaluate on labelled clips."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hyperseg_export.cli.evaluate import evaluate
from hyperseg_export.evaluation.flicker import TemporalConsistency
from hyperseg_runtime.cli.common import execute
from hyperseg_runtime.segmenter import Segmenter
from hyperseg_street import Street
from hyperseg_street.clip import Drive, write_clip, write_image
from onnx import numpy_helper
from runtime.stand_in import write_model

VOID = 255


def counted(truth: list[list[int]], prediction: list[list[int]], cuts: tuple[int, ...] = ()) -> TemporalConsistency:
    counts = TemporalConsistency(classes=4)
    for index, (true, given) in enumerate(zip(truth, prediction, strict=True)):
        if index in cuts:
            counts.cut()
        counts.add(np.array([true], np.uint8), np.array([given], np.uint8))
    return counts


def test_flicker_is_the_share_of_changes_that_the_truth_does_not_have() -> None:
    # Pixels: constant and right; constant and wrong; flickers; the truth changes; void; becomes void.
    truth = [[0, 0, 0, 1, VOID, 2], [0, 0, 0, 2, VOID, VOID]]
    prediction = [[0, 3, 0, 1, 0, 2], [0, 3, 1, 1, 1, 3]]
    assert counted(truth, prediction).flicker == pytest.approx(1 / 3)


def test_a_label_that_comes_back_has_flickered_twice() -> None:
    assert counted([[0, 0]] * 3, [[0, 0], [1, 0], [0, 0]]).flicker == pytest.approx(2 / 4)


def test_nothing_is_compared_across_a_cut() -> None:
    clip = [[0, 0]] * 4, [[0, 0], [0, 1], [1, 0], [1, 0]]
    assert counted(*clip).flicker == pytest.approx(3 / 6)
    assert counted(*clip, cuts=(2,)).flicker == pytest.approx(1 / 4)


def test_a_frame_of_another_size_begins_a_shot() -> None:
    assert counted([[0], [0, 0], [0, 0]], [[1], [0, 0], [0, 1]]).flicker == pytest.approx(1 / 2)


def test_one_frame_has_no_flicker() -> None:
    counts = counted([[0]], [[0]])
    assert counts.flicker is counts.consistency(8) is None


@pytest.mark.parametrize(("change", "share"), [(1, (1 / 2 + 1 + 1) / 3), (4, 1 / 2)])
def test_video_consistency_is_the_mean_over_windows(change: int, share: float) -> None:
    # Ten frames have three windows of eight. One of two pixels changes its class at frame `change`.
    prediction = [[0, 0 if index < change else 1] for index in range(10)]
    counts = counted([[0, 0]] * 10, prediction)
    assert counts.consistency(8) == pytest.approx(share)
    assert counts.consistency(16) is None


def test_windows_in_which_the_truth_changes_do_not_count() -> None:
    truth = [[0, 0 if index < 4 else 2] for index in range(8)]
    assert counted(truth, [[0, index % 2] for index in range(8)]).consistency(8) == 1


def test_counts_go_on_beyond_a_byte() -> None:
    counts = counted([[0]] * 300, [[0]] * 299 + [[1]])
    assert counts.flicker == pytest.approx(1 / 299)
    assert counts.consistency(8) == pytest.approx(292 / 293)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        TemporalConsistency(4).add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


FRAMES = 9


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with street.mp4 and labels/."""
    folder = tmp_path_factory.mktemp("clip")
    write_clip(Drive(Street(12, 240, 320), FRAMES, 15.0), folder / "street.mp4", folder / "labels", lambda _: None)
    return folder


def finished(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        execute(evaluate, "hyperseg-evaluate", [*map(str, arguments)])
    shown = capfd.readouterr()
    return ended.value.code, shown.out, shown.err


def test_averaging_flickers_less_and_scores_no_less(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    named = ("--clip", clip / "street.mp4", "--labels", clip / "labels", "--json")
    code, out, _ = finished(capfd, "--stabilise", "camvid-lite", *named)
    assert code == 0
    plain, steady = json.loads(out)["clips"]
    assert (plain["stabilised_seconds"], steady["stabilised_seconds"], plain["frames"]) == (None, 0.5, FRAMES)
    assert steady["flicker"] < 0.8 * plain["flicker"]
    assert steady["mean_iou"] > plain["mean_iou"] - 0.005
    assert 0.5 < plain["vc8"] < 1 and plain["vc16"] is None
    assert set(plain["iou"]) == set(steady["iou"]) >= {"sky", "road", "pole", "cyclist"}


def test_a_folder_of_frames_is_a_clip(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("frames", "labels"):
        (tmp_path / name).mkdir()
    for index in range(3):
        frame = Street(12, 64, 96).frame(index / 15)
        write_image(tmp_path / "frames" / f"{index}.png", frame.image[..., ::-1].copy())
        write_image(tmp_path / "labels" / f"{index}.png", frame.label)
    code, out, err = finished(capfd, "camvid-lite", "--clip", tmp_path / "frames", "--labels", tmp_path / "labels")
    assert code == 0, err
    assert "frames" in out and "flicker" in out


CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist")


@pytest.fixture(scope="module")
def permuted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of the stand-in network, and the same with its classes and their weights in reverse order."""
    models = []
    for name, order in (("first", slice(None)), ("second", slice(None, None, -1))):
        path = write_model(tmp_path_factory.mktemp("models") / f"{name}.onnx", stride=4)
        model = onnx.load(path)
        weight = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
        weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(weight)[order]), "w"))
        for property in model.metadata_props:
            about = json.loads(property.value)
            about["class_names"] = about["class_names"][order]
            property.value = json.dumps(about)
        onnx.save(model, path)
        models.append(path)
    return models[0], models[1]


def scores(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[list[dict[str, object]], str]:
    code, out, err = finished(capfd, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)["clips"], err


@pytest.mark.parametrize("described", ["in the folder", "beside it", "not at all"])
def test_models_are_scored_by_the_names_of_their_classes(
    permuted: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], described: str
) -> None:
    """Labels that are the first model's own, so that both are right everywhere."""
    frames, labels = tmp_path / "frames", tmp_path / "labels"
    names = []
    for folder in (frames, labels):
        folder.mkdir()
    with Segmenter(permuted[0]) as segment:
        names = list(segment.classes)
        for index in range(3):
            image = Street(12, 64, 96).frame(index / 15).image[..., ::-1].copy()
            write_image(frames / f"{index}.png", image)
            write_image(labels / f"{index}.png", segment(image))
    if described != "not at all":
        folder = labels if described == "in the folder" else tmp_path
        (folder / "dataset.toml").write_text(f"classes = {json.dumps(names)}", encoding="utf-8")
    done, err = scores(capfd, *permuted, "--clip", frames, "--labels", labels, "--stabilise")
    plain = [record for record in done if record["stabilised_seconds"] is None]
    assert [record["mean_iou"] for record in plain] == [1, 1]
    assert done[1]["mean_iou"] == done[3]["mean_iou"]
    assert "second.onnx: its classes are in another order" in err


def test_a_model_of_other_classes_is_refused(
    permuted: tuple[Path, Path], clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Labels without a description are of the first model, which has one class more."""
    named = ("--clip", clip / "street.mp4", "--labels", clip / "labels")
    code, _, err = finished(capfd, permuted[0], "camvid-lite", *named)
    assert code == 1
    assert "has 11 classes, the labels of" in err.splitlines()[-1]


def test_labels_of_a_clip_may_have_values_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("frames", "labels"):
        (tmp_path / name).mkdir()
    frame = Street(12, 64, 96).frame(0)
    write_image(tmp_path / "frames" / "0.png", frame.image[..., ::-1].copy())
    write_image(tmp_path / "labels" / "0.png", np.where(frame.label == VOID, 99, frame.label + 10).astype(np.uint8))
    named = ("camvid-lite", "--clip", tmp_path / "frames", "--labels", tmp_path / "labels")
    code, _, err = finished(capfd, *named)
    assert code == 1 and "has the value" in err
    text = f"classes = {json.dumps(CLASSES)}\nvalues = {list(range(10, 21))}\nvoid = 99\n"
    (tmp_path / "dataset.toml").write_text(text, encoding="utf-8")
    (described,), _ = scores(capfd, *named)
    write_image(tmp_path / "labels" / "0.png", frame.label)
    (tmp_path / "dataset.toml").unlink()
    (plain,), _ = scores(capfd, *named)
    assert described["iou"] == plain["iou"]
    (tmp_path / "dataset.toml").write_text("classes = 3", encoding="utf-8")
    code, _, err = finished(capfd, *named)
    assert code == 1 and "dataset.toml" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing label", "street.mp4 has more frames than"),
        ("spare label", f"street.mp4 has {FRAMES} frames, "),
        ("size", "is 8x8, its frame 320x240"),
        ("value", "has the value 11; the model has classes 0 to 10, 255 is void"),
        ("colour", "is not an 8-bit PNG of one channel"),
        ("no labels", "has no labels (.png)"),
        ("no folder", "cannot read the folder"),
    ],
)
def test_what_does_not_fit_is_one_line(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], fault: str, message: str
) -> None:
    folder = tmp_path / "labels"
    if fault != "no folder":
        folder.mkdir()
    if fault not in ("no folder", "no labels"):
        for path in sorted((clip / "labels").iterdir()):
            (folder / path.name).symlink_to(path)
    first, last = folder / "000000.png", folder / f"{FRAMES - 1:06d}.png"
    if fault == "missing label":
        last.unlink()
    elif fault == "spare label":
        (folder / "999999.png").symlink_to(last.resolve())
    elif fault in ("size", "value", "colour"):
        first.unlink()
        label = np.full((8, 8) if fault == "size" else (240, 320), 11 if fault == "value" else 0, np.uint8)
        cv2.imwrite(str(first), np.stack([label] * 3, -1) if fault == "colour" else label)
    code, _, err = finished(capfd, "camvid-lite", "--clip", clip / "street.mp4", "--labels", folder)
    assert code == 1 and message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either a dataset (--data FOLDER), or a clip"),
        (("--data", "d", "--clip", "c.mp4", "--labels", "l"), "give either a dataset"),
        (("--clip", "c.mp4"), "1 --clip and 0 --labels are given"),
        (("--data", "d", "--stabilise"), "a dataset has none"),
        (("--clip", "c.mp4", "--labels", "l", "--worst", "w.png"), "omit them with --clip"),
        (("--clip", "c.mp4", "--labels", "l", "--stabilise", "-1"), "-1 is not a time constant"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = finished(capfd, "camvid-lite", *arguments)
    assert code == 2 and message in err and len(err.splitlines()) == 1

"""Datasets: every layout is read correctly, and errors name missing and damaged files."""

from pathlib import Path

import numpy as np
import pytest

from hyperseg.data import (
    CAMVID_11,
    CAMVID_12,
    CITYSCAPES,
    VOC,
    VOID,
    Classes,
    DataError,
    Layout,
    class_set,
    files_of,
    open_split,
    open_splits,
)
from hyperseg.data.layouts import CAMVID_COLOURS
from training.folders import camvid, image, labels, write


def test_class_sets_of_the_datasets() -> None:
    for dataset, classes in (("camvid", CAMVID_11), ("camvid", CAMVID_12), ("cityscapes", CITYSCAPES), ("voc", VOC)):
        shown = class_set(dataset, len(classes))
        assert (shown.names, shown.palette) == (classes.names, classes.palette)


def test_class_sets() -> None:
    assert (len(CAMVID_12), len(CITYSCAPES), len(VOC)) == (12, 19, 21)
    assert VOC.palette[1] == (128, 0, 0)
    assert VOC.palette[15] == (192, 128, 128)  # person, in every PASCAL tool
    assert class_set("camvid", 11).names == CAMVID_12.names[:11]
    assert class_set(None, 3).names == ("class 0", "class 1", "class 2")
    for classes in (CAMVID_12, CITYSCAPES, VOC):
        assert len(set(classes.palette)) == len(set(classes.names)) == len(classes)


def test_more_classes_than_a_dataset_has_are_numbered() -> None:
    assert class_set("camvid", 13).names[12] == "class 12"
    assert class_set("camvid", 13).palette[:2] == VOC.palette[:2]
    with pytest.raises(ValueError, match="first 13 of 12 classes"):
        CAMVID_12.first(13)
    with pytest.raises(ValueError, match="1 class names but 2 colours"):
        Classes(("sky",), ((0, 0, 0), (1, 1, 1)))


def test_camvid_with_index_labels(tmp_path: Path) -> None:
    data = open_split(Layout.CAMVID, camvid(tmp_path), "train")
    sample = data[1]
    assert len(data) == 2 and sample.name == "1" and data.classes is CAMVID_11
    assert np.array_equal(sample.image, image()[..., ::-1])
    assert set(np.unique(sample.label)) == {0, 5, 10, VOID}


@pytest.mark.parametrize(("layout", "void"), [(Layout.CAMVID_701_11, VOID), (Layout.CAMVID_701_12, 11)])
def test_camvid_with_colour_labels(tmp_path: Path, layout: Layout, void: int) -> None:
    colours = [group[-1] for group in CAMVID_COLOURS.values()]
    label = np.array([colours] * 3, np.uint8)
    write(tmp_path / "images" / "a.png", image(*label.shape[:2]))
    write(tmp_path / "labels" / "a_L.png", label[..., ::-1])
    (tmp_path / "train.txt").write_text("a\n")
    assert open_split(layout, tmp_path, "train")[0].label[0].tolist() == [*range(11), void]


def test_cityscapes(tmp_path: Path) -> None:
    write(tmp_path / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", image())
    write(tmp_path / "gtFine/val/ulm/ulm_1_gtFine_labelIds.png", labels(7, 33, 0, 4, 26))
    assert set(np.unique(open_split(Layout.CITYSCAPES, tmp_path, "val")[0].label)) == {0, 18, VOID, 13}


def test_voc_takes_colour_maps_and_indices_of_sbd(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "JPEGImages" / f"{name}.jpg", image())
    palette = np.zeros((256, 3), np.uint8)
    palette[:21], palette[VOID] = VOC.palette, (224, 224, 192)
    write(tmp_path / "SegmentationClass" / "a.png", palette[labels(0, 20, VOID)][..., ::-1])
    write(tmp_path / "SegmentationClassAug" / "b.png", labels(0, 20, VOID))
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/trainaug.txt").write_text("a\nb\n")
    data = open_split(Layout.VOC, tmp_path, "trainaug")
    assert np.array_equal(data[0].label, data[1].label) and set(np.unique(data[0].label)) == {0, 20, VOID}


def test_several_splits_join(tmp_path: Path) -> None:
    data = open_splits(Layout.CAMVID, camvid(tmp_path), ["train", "train"])
    assert [data[index].name for index in range(len(data))] == ["0", "1", "0", "1"]
    with pytest.raises(IndexError):
        data[4]


def _without_label(root: Path) -> None:
    (root / "trainannot" / "1.png").unlink()


def _without_image(root: Path) -> None:
    (root / "train" / "0.png").unlink()


def _other_size(root: Path) -> None:
    write(root / "trainannot" / "0.png", labels(0, height=11))


def _other_value(root: Path) -> None:
    write(root / "trainannot" / "0.png", labels(0, 77))


def _in_colour(root: Path) -> None:
    write(root / "trainannot" / "0.png", image())


def _unreadable(root: Path) -> None:
    (root / "train" / "0.png").write_bytes(b"no image")


def _empty_file(root: Path) -> None:
    (root / "train" / "0.png").write_bytes(b"")


def _empty_split(root: Path) -> None:
    for path in (root / "train").iterdir():
        path.unlink()


def _no_folder(root: Path) -> None:
    (root / "trainannot").rename(root / "annotations")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_label, "1 of 2 images have no label, .*train/1.png first; add the labels, or remove the images"),
        (_without_image, "1 of 2 labels have no image, .*trainannot/0.png first"),
        (_other_size, "train/0.png is 16x12 but its label .* is 16x11"),
        (_other_value, r"trainannot/0.png has the label value 77 \(96 pixels\), which"),
        (_in_colour, "has 3 channels"),
        (_unreadable, "train/0.png is not a readable image"),
        (_empty_file, "train/0.png is not a readable image"),
        (_empty_split, "train has no images"),
        (
            _no_folder,
            "the folder .*trainannot is missing; layout camvid has it .*, a data set of one's own a dataset.toml",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: object, message: str) -> None:
    root = camvid(tmp_path)
    assert callable(damage)
    damage(root)
    with pytest.raises(DataError, match=message):
        data = open_split(Layout.CAMVID, root, "train")
        [data[index] for index in range(len(data))]


@pytest.mark.parametrize("layout", Layout)
def test_an_empty_folder_or_an_unknown_split_is_named(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(DataError, match=r"missing"):
        open_split(layout, tmp_path, "train")
    with pytest.raises(DataError, match="nowhere is missing"):
        open_split(layout, tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match=r"split 'holidays'|missing"):
        open_split(layout, tmp_path, "holidays")


def test_unknown_colours_are_named(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.png", image())
    write(tmp_path / "train_labels" / "a_L.png", np.full((12, 16, 3), (9, 8, 7), np.uint8))
    with pytest.raises(DataError, match=r"the colour \(7, 8, 9\) \(192 pixels\), which is none of CamVid's 32"):
        open_split(Layout.CAMVID_701_11, tmp_path, "train")[0]


def test_hidden_files_are_no_samples(tmp_path: Path) -> None:
    """macOS writes ._NAME beside each file on foreign file systems."""
    root = camvid(tmp_path)
    for folder in ("train", "trainannot"):
        (root / folder / "._0.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        (root / folder / ".DS_Store").write_bytes(b"Bud1")
    assert len(open_split(Layout.CAMVID, root, "train")) == 2
    city = tmp_path / "city"
    for prefix in ("", "._"):
        write(city / f"leftImg8bit/val/ulm/{prefix}ulm_1_leftImg8bit.png", image())
        write(city / f"gtFine/val/ulm/{prefix}ulm_1_gtFine_labelIds.png", labels(7))
    assert len(open_split(Layout.CITYSCAPES, city, "val")) == 1


def test_two_files_of_one_name_are_named(tmp_path: Path) -> None:
    root = camvid(tmp_path / "camvid")
    write(root / "train" / "0.jpg", image())
    with pytest.raises(DataError, match=r"train/0\.jpg and .*train/0\.png are both named 0"):
        open_split(Layout.CAMVID, root, "train")
    write(tmp_path / "train" / "a.png", image())
    for name in ("a.png", "a_L.png"):
        write(tmp_path / "train_labels" / name, image())
    with pytest.raises(DataError, match=r"a\.png and .*a_L\.png are both named a"):
        open_split(Layout.CAMVID_701_11, tmp_path, "train")


def test_a_listing_names_each_image_once(tmp_path: Path) -> None:
    write(tmp_path / "JPEGImages" / "a.jpg", image())
    write(tmp_path / "SegmentationClass" / "a.png", labels(0))
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("a\na\n")
    with pytest.raises(DataError, match=r"val\.txt lists a more than once"):
        open_split(Layout.VOC, tmp_path, "val")


def test_the_files_of_a_dataset(tmp_path: Path) -> None:
    files = list(files_of(open_splits(Layout.CAMVID, camvid(tmp_path), ["train", "train"])))
    assert len(files) == 8 and set(files) == set(tmp_path.rglob("*.png"))

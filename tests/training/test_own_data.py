"""A folder with dataset.toml: folders, globs, suffixes and splits as people have them; errors name the place."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperseg.classes import distinct_palette
from hyperseg.data import VOID, DataError, Layout, files_of, find_own, open_split, open_splits
from training.folders import describe, image, labels, own, write, write_turned


def _names(root: Path, split: str = "train") -> list[str]:
    data = open_split(Layout.OWN, root, split)
    samples = [data[index] for index in range(len(data))]
    assert all(set(np.unique(sample.label)) == {0, 1, 2, VOID} for sample in samples)
    return [sample.name for sample in samples]


def _pair(root: Path, image_name: str, label_name: str) -> None:
    write(root / image_name, image())
    write(root / label_name, labels(0, 1, 2, 255))


@pytest.mark.parametrize("layout", Layout)
def test_the_description_wins_over_a_layout(tmp_path: Path, layout: Layout) -> None:
    data = open_split(layout, own(tmp_path), "train")
    assert data.classes.names == ("soil", "crop", "weed") and data.classes.palette == distinct_palette(3)
    assert np.array_equal(data[0].image, image(seed=500)[..., ::-1])
    assert len(open_splits(layout, tmp_path, ["train", "val"])) == 4


def test_palette_and_names_are_those_of_the_file(tmp_path: Path) -> None:
    toml = '\ufeffclasses = ["Straße", "木, 林"]\r\npalette = [[1, 2, 3], [0, 0, 0]]\r\n'
    found = find_own(describe(tmp_path, toml))
    assert found is not None
    assert found.classes.names == ("Straße", "木, 林") and found.classes.palette == ((1, 2, 3), (0, 0, 0))
    assert find_own(tmp_path / "dataset.toml") is not None and find_own(tmp_path / "images") is None


@pytest.mark.parametrize(
    ("toml", "pair"),
    [
        ("", ("images/{}.png", "labels/{}.png")),
        ("", ("images/{}.JPG", "masks/{}.PNG")),
        ("", ("images/deep/er/{}.jpeg", "annotations/deep/er/{}.tif")),
        ("", ("images/{}.jpg", "labels/{}_mask.png")),
        ("", ("images/{}.jpg", "labels/{}_my-own_end.png")),
        ('label_suffix = "_mask"', ("images/{}.jpg", "labels/{}_mask.png")),
        ('image_suffix = "_rgb"\nlabel_suffix = "_ids"', ("images/{}_rgb.jpg", "labels/{}_ids.png")),
        ('images = "."\nlabels = "."', ("{}.jpg", "{}.png")),
        ('images = "data"\nlabels = "data"', ("data/{}.png", "data/{}_mask.png")),
        ('images = "data"\nlabels = "data"', ("data/{}.png", "data/{}-label.png")),
        ('images = "data"\nlabels = "data"\nlabel_suffix = "XY"', ("data/{}.png", "data/{}XY.png")),
        ('images = "data/*.jpg"\nlabels = "data/*_x.png"', ("data/{}.jpg", "data/{}_x.png")),
        ('images = "data/*.png"\nlabels = "data/*_x.png"', ("data/{}.png", "data/{}_x.png")),
        ('images = "*/rgb/*.png"\nlabels = "*/mask/*.png"', ("walk/rgb/{}.png", "walk/mask/{}.png")),
        ('images = "rgb/**/*.png"\nlabels = "mask/**/*_m.png"', ("rgb/a/b/{}.png", "mask/a/b/{}_m.png")),
        ('images = "rgb/**"\nlabels = "mask/**"', ("rgb/a/b/{}.png", "mask/a/b/{}.png")),
        ('images = "img[0-9]/*.png"\nlabels = "msk[0-9]/*.png"', ("img1/{}.png", "msk1/{}.png")),
        ('images = "img [v2]"\nlabels = "msk [v2]"', ("img [v2]/{}.png", "msk [v2]/{}.png")),
    ],
)
@pytest.mark.parametrize("name", ["a", "frame 01", "Größe.木.1"])
def test_pairs_are_found(tmp_path: Path, toml: str, pair: tuple[str, str], name: str) -> None:
    for one in (name, f"{name}2"):
        _pair(tmp_path, pair[0].format(one), pair[1].format(one))
    assert [one.rpartition("/")[2] for one in _names(describe(tmp_path, toml), "all")] == [name, f"{name}2"]


def test_composed_and_decomposed_letters_are_one_name(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Bäume") for form in ("NFC", "NFD"))
    _pair(tmp_path, f"images/{composed}.png", f"labels/{decomposed}.png")
    (tmp_path / "train.txt").write_text(decomposed, encoding="utf-8")
    assert _names(describe(tmp_path)) == [composed]


def test_folders_elsewhere_and_links(tmp_path: Path) -> None:
    for index in range(2):
        _pair(tmp_path / "disk", f"pictures/train/{index}.png", f"labels/train/{index}.png")
    root = describe(
        tmp_path / "mine", f'images = "{(tmp_path / "disk/pictures").as_posix()}"\nlabels = "../disk/labels"'
    )
    assert _names(root) == ["0", "1"]
    linked = describe(tmp_path / "linked")
    for name, target in (("images", "pictures"), ("labels", "labels")):
        (linked / name).symlink_to(tmp_path / "disk" / target)
    (tmp_path / "disk/pictures/train/circle").symlink_to(tmp_path / "disk/pictures")
    assert _names(linked) == ["0", "1"]


def test_hidden_files_and_other_files_are_no_samples(tmp_path: Path) -> None:
    root = own(tmp_path)
    for folder in ("images", "labels"):
        (root / folder / "train" / "._0.png").write_bytes(b"\0\5\x16\7")
        (root / folder / "train" / "Thumbs.db").write_bytes(b"")
    assert _names(root) == ["0", "1"]


# Splits


@pytest.mark.parametrize(
    ("toml", "folders"),
    [
        ("", ("images/{}", "labels/{}")),
        ('[splits]\ntrain = "train"\nval = "val"', ("images/{}", "labels/{}")),
        ('[splits]\ntrain = "./train/"\nval = ["val"]', ("images/{}", "labels/{}")),
        ("", ("{}/images", "{}/labels")),
        ('[splits]\ntrain = "train"\nval = "val"', ("{}/images", "{}/masks")),
        ('images = "."\nlabels = "."\nlabel_suffix = "_m"', ("{}", "{}")),
        ('images = "*/rgb"\nlabels = "*/ids"', ("{}/rgb", "{}/ids")),
    ],
)
def test_splits_in_folders(tmp_path: Path, toml: str, folders: tuple[str, str]) -> None:
    root, end = describe(tmp_path, toml), "_m" if "_m" in toml else ""
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        _pair(root, f"{folders[0].format(split)}/{name}.png", f"{folders[1].format(split)}/{name}{end}.png")
    found = find_own(root)
    assert found is not None and set(found.splits) == {"train", "val"}
    assert _names(root, "train") == ["a", "b"] and _names(root, "val") == ["c"]


def test_usual_names_of_splits(tmp_path: Path) -> None:
    root = own(tmp_path, splits=("training", "valid", "testing"))
    found = find_own(root)
    assert found is not None and list(found.splits) == ["train", "val", "test"]
    own(tmp_path, splits=("validation",))
    with pytest.raises(
        DataError, match=r"has valid and validation, which could both be the split val; .*val = \"valid\""
    ):
        open_split(Layout.OWN, root, "train")


@pytest.mark.parametrize(
    "lines",
    [
        "b\nc",
        "\ufeffb\r\n\r\n  c  \r\n",
        "b.png\nc.PNG\n",
        "sub dir/b\nsub dir/c.jpg",
        "./images/sub dir/b.png\nimages/sub dir/c.png",
        "images\\sub dir\\b.png\nc",
        "{root}/images/sub dir/b.png\n{root}/images/sub dir/c.png",
        "/home/another/data/sub dir/b.jpg\nC:\\data\\sub dir\\c.jpg",
    ],
)
def test_splits_in_text_files(tmp_path: Path, lines: str) -> None:
    root = describe(tmp_path, '[splits]\nmine = "lists/m.txt"\nboth = ["lists/m.txt", "lists/n.txt"]')
    for name in "abc":
        _pair(root, f"images/sub dir/{name}.png", f"labels/sub dir/{name}_gt.png")
    (root / "lists").mkdir()
    (root / "lists/m.txt").write_bytes(lines.format(root=root.as_posix()).encode())
    (root / "lists/n.txt").write_text("a")
    assert _names(root, "mine") == ["sub dir/b", "sub dir/c"]
    assert sorted(_names(root, "both")) == ["sub dir/a", "sub dir/b", "sub dir/c"]


def test_a_split_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no split 'test' \(there are: train, val\)$"):
        open_split(Layout.CAMVID, own(tmp_path), "test")
    flat = describe(tmp_path / "flat")
    _pair(flat, "images/a.png", "labels/a.png")
    with pytest.raises(DataError, match=r"no split 'train' \(there are: all\); add \[splits\] to the file"):
        open_split(Layout.CAMVID, flat, "train")


# Errors


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("colour = 1", "line 2: unknown key 'colour'; known are classes, palette, void"),
        ("classes = [", r"dataset.toml is not TOML: .*\(at end of document\)"),
        ("void = 1 2", r"is not TOML: .*\(at line 2, column 10\)"),
        ("void = 1\nvoid = 2\n\n", r"is not TOML: .*line 3"),
        ("images = 3", "line 2: images is 3; it must be text"),
        ("images = ''", "line 2: images is ''; it must be text"),
        ("classes = []", r"line 1: classes is \[\]; it must be a list of names"),
        ("classes = 'soil'", "line 1: classes is 'soil'; it must be a list"),
        ("classes = ['a', 'a']", "line 1: the class name 'a' is given 2 times"),
        ("classes = ['a', 3]", "line 1: the class name 3 is not text"),
        (f"classes = {[str(index) for index in range(256)]}", "line 1: 256 classes; a label is one byte, with 255"),
        ("palette = [[1, 2, 3]]", "line 2: palette has 1 colours for 3 classes"),
        ("palette = [[1, 2, 3], [4, 5, 6], [1, 2, 3]]", r"'soil' and 'weed' both have the colour \[1, 2, 3\]"),
        ("palette = [[1, 2, 3], [4, 5, 6], [1, 2, 256]]", r"line 2: palette is .*; a colour is \[red, green, blue\]"),
        ("void_colour = [0, 0, 0]", "line 2: void_colour is of labels in colour, which need `palette` as well"),
        ("palette = [[0, 0, 0], [4, 5, 6], [1, 2, 3]]\nvoid_colour = [0, 0, 0]", "both void and the class 'soil'"),
        ("void = 'none'", "line 2: void is 'none'; it must be whole numbers from 0 to 65535"),
        ("void = 70000", "line 2: void is 70000"),
        ("void = true", "line 2: void is True"),
        ("void = [0, 255]", r"line 2: the label value 0 is both void and the class 'soil'; .* values = \[1, 2, 3\]"),
        ("values = [0, 1]", r"line 2: values \[0, 1\] must be 3 different ones"),
        ("values = [0, 1, 1]", r"line 2: values \[0, 1, 1\] must be 3 different ones"),
        ("label_kind = 'rgb'", "line 2: label_kind is 'rgb'; it must be \"index\" or \"colour\""),
        ("label_kind = 'colour'", "line 2: label_kind \"colour\" needs `palette`"),
        ("splits = 'train'", "line 2: splits is no table"),
        ("[splits]\ntrain = 0.8", "line 3: the split train is 0.8; it must be a sub-folder or a text file"),
        ("[splits]\ntrain = []", r"line 3: the split train is \[\]"),
        ("[splits]\n'a+b' = 'x'", r"line 3: a split cannot be named 'a\+b'"),
        ("[splits]\ntrain = 'nowhere'", "the split train is 'nowhere', which is neither a text file, nor a folder"),
        ("images = 'pictures'", "pictures does not exist"),
        ("labels = 'pictures'", "pictures does not exist"),
        ("images = 'images/**/*.gif'", r"images/\*\*/\*.gif has no images"),
        ("images = 'images/[z-a]*'", "is no glob"),
        ("image_suffix = '_rgb'", "has no image whose name ends with '_rgb'"),
        ("label_suffix = '_m'", r"2 of 2 images have no label: .*train/0.png, .*1.png .*names end with '_m' here"),
        ("labels = 'images'", "images and labels are both in .* cannot be told apart; .*label_suffix"),
    ],
)  # fmt: skip
def test_mistakes_in_the_file_are_named(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_split(Layout.CAMVID, own(tmp_path, toml), "train")


def test_a_file_without_classes_or_in_another_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "dataset.toml"
    file.write_text("void = 255")
    with pytest.raises(DataError, match=r"dataset.toml lacks `classes`, the names in index order"):
        find_own(tmp_path)
    file.write_bytes('classes = ["a"]'.encode("utf-16"))
    with pytest.raises(DataError, match=r"dataset.toml is not text in UTF-8"):
        find_own(tmp_path)


def _without_label(root: Path) -> None:
    (root / "labels/train/1.png").unlink()


def _without_images(root: Path) -> None:
    for file in (root / "images").rglob("*.png"):
        file.unlink()


def _without_labels(root: Path) -> None:
    (root / "labels").rename(root / "ground truth")


def _two_label_folders(root: Path) -> None:
    (root / "masks").mkdir()


def _two_images(root: Path) -> None:
    write(root / "images/train/1.jpg", image())


def _jpeg_label(root: Path) -> None:
    (root / "labels/train/1.png").unlink()
    write(root / "labels/train/1.jpg", labels(0))


def _hidden_jpeg(root: Path) -> None:
    write(root / "labels/train/1.jpg", labels(0)).rename(root / "labels/train/1.png")


def _empty_listing(root: Path) -> None:
    (root / "train.txt").write_text("\n\n")


def _listing(text: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / "train.txt").write_text(text, encoding="utf-8")

    return damage


def _utf16_listing(root: Path) -> None:
    (root / "train.txt").write_bytes("0".encode("utf-16"))


def _truncated(name: str, pixels: np.ndarray) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        path = write(root / name, pixels)
        path.write_bytes(path.read_bytes()[:-20])

    return damage


def _turned(root: Path) -> None:
    """A phone's picture: stored upright and to be turned by its EXIF orientation 6; the label is not turned."""
    (root / "images/train/1.png").unlink()
    write_turned(root / "images/train/1.jpg", image(12, 16), 6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_label, r"1 of 2 images have no label: .*images/train/1.png; add the labels, remove the images"),
        (_without_images, r"images has no images \(.bmp, .jpeg"),
        (_without_labels, r"has no folder labels, masks, annotations; name the folder of the labels"),
        (_two_label_folders, r"there are labels and masks; name the folder of the labels"),
        (_two_images, r"1.jpg and .*1.png are both named train/1"),
        (_jpeg_label, r"the label .*1.jpg is in a lossy format.*save labels as PNG"),
        (_hidden_jpeg, r"the label .*1.png is in a lossy format"),
        (_empty_listing, r"the split train of .* has no images"),
        (_listing("0\nnobody\n7\n8\n9"), r"lists 4 names that no image in .* has: nobody, 7, 8 and 1 more"),
        (_listing("train/0\ntrain/0.png"), r"train.txt lists images more than once, .*: train/0"),
        (_listing("0\n"), r"train.txt lists names that several images have; add their folder: 0"),
        (_listing("val/train/7\ntest/0"), r"lists 2 names that no image in .* has: val/train/7, test/0"),
        (_utf16_listing, "train.txt is not text in UTF-8"),
        (_truncated("images/train/1.png", image()), r"1.png is truncated: its end is missing"),
        (_truncated("labels/train/1.png", labels(0, 1, 2, 255)), r"labels/train/1.png is truncated"),
        (_turned, r"1.jpg is 12x16 but its label .* is 16x12; .*EXIF orientation, by which it is turned"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    root = own(tmp_path)
    damage(root)
    with pytest.raises(DataError, match=message):
        data = open_split(Layout.CAMVID, root, "train")
        [data[index] for index in range(len(data))]


def test_a_truncated_jpeg_is_named(tmp_path: Path) -> None:
    """OpenCV before 5 returns the part that is there, in grey for the rest."""
    root = own(tmp_path)
    (root / "images/train/1.png").unlink()
    path = write(root / "images/train/1.jpg", image(100, 100))
    write(root / "labels/train/1.png", labels(0, height=100, width=100))
    assert open_split(Layout.OWN, root, "train")[1].image.shape == (100, 100, 3)
    content = path.read_bytes()
    for length in (2, 30, len(content) // 2, len(content) - 2):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"1.jpg is (truncated|not a readable image)"):
            open_split(Layout.OWN, root, "train")[1]


def test_labels_that_are_only_a_few_of_many_need_a_name(tmp_path: Path) -> None:
    """Cityscapes' ground truth has several PNG files for each image."""
    root = describe(tmp_path)
    write(root / "images/a.png", image())
    for end in ("_color", "_ids"):
        write(root / "labels" / f"a{end}.png", labels(0, 1, 2, 255))
    with pytest.raises(DataError, match="labels' names end with '_color' and '_ids' alike"):
        open_split(Layout.OWN, root, "all")
    assert _names(describe(root, 'label_suffix = "_ids"'), "all") == ["a"]


def test_labels_of_the_images_names_win_over_others(tmp_path: Path) -> None:
    root = own(tmp_path)
    for index in range(2):
        write(root / f"labels/train/{index}_color.png", image())
    assert _names(root) == ["0", "1"]


_LETTERS = st.characters(categories=("L", "N"), include_characters=" _-.()")


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.text(_LETTERS, min_size=1, max_size=12), min_size=1, max_size=5),
    folder=st.sampled_from(["", "a/", "a b/c.d/"]),
    end=st.sampled_from(["", "_mask", "-L", ".seg"]),
    suffix=st.sampled_from([".jpg", ".PNG", ".Jpeg"]),
    named=st.booleans(),
)
def test_any_names_are_paired(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], folder: str, end: str, suffix: str, named: bool
) -> None:
    root = describe(tmp_path_factory.mktemp("names"), f'label_suffix = "{end}"' if named else "")
    names = [name.strip(". ") or "x" for name in names]
    kept = {unicodedata.normalize("NFC", name).casefold(): unicodedata.normalize("NFD", name) for name in names}
    # An image that is named as another's label is another test's.
    kept = {key: name for key, name in kept.items() if not any(other + end.casefold() in key for other in kept if end)}
    for name in kept.values():
        for path in (root / f"images/{folder}{name}{suffix}", root / f"labels/{folder}{name}{end}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    found = find_own(root)
    assert found is not None
    files = found.files("all")
    assert files.faults == files.notes == ()
    assert {pair.name for pair in files.pairs} == {
        unicodedata.normalize("NFC", f"{folder}{name}") for name in kept.values()
    }
    assert all(pair.label.stem == pair.image.stem + end for pair in files.pairs)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((12, 16), 65535, np.uint16), 255),
        (np.full((12, 16, 3), 32768, np.uint16), 128),
        (np.full((12, 16), 7, np.uint8), 7),
        (np.full((12, 16, 4), 200, np.uint8), 200),
    ],
)
def test_images_of_other_kinds(tmp_path: Path, pixels: np.ndarray, expected: int) -> None:
    root = own(tmp_path)
    write(root / "images/train/0.png", pixels)
    read = open_split(Layout.OWN, root, "train")[0].image
    assert read.shape == (12, 16, 3) and read.dtype == np.uint8 and set(np.unique(read)) == {expected}


def test_opening_reads_no_pixels(tmp_path: Path) -> None:
    root = own(tmp_path, count=3)
    for file in (root / "images").rglob("*.png"):
        file.write_bytes(b"")
    data = open_split(Layout.OWN, root, "train")
    assert len(data) == 3 and len(list(files_of(data))) == 6


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    root = own(tmp_path)
    (root / "images/train").chmod(0)
    try:
        with pytest.raises(DataError, match="images/train cannot be read: Permission denied"):
            open_split(Layout.OWN, root, "train")
    finally:
        (root / "images/train").chmod(0o755)

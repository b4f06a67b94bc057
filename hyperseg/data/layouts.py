"""Datasets by layout on disk: CamVid, Cityscapes, PASCAL VOC, and one's own with a `dataset.toml`.

CamVid, index labels (480x360, the SegNet split): `train/`, `trainannot/`, `val/`, `valannot/`, `test/`, `testannot/`;
labels are PNG files of class indices 0..10, with 11 and 255 for void.

CamVid, colour labels (the original 701 images, 960x720): `images/NAME.png` and `labels/NAME_L.png` in CamVid's 32
colours, with `train.txt`, `val.txt` and `test.txt` listing names, or the folders `train/`, `train_labels/` and so on.

Cityscapes: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` with `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`.

PASCAL VOC 2012: the root is the devkit's `VOC2012` folder with `JPEGImages/`, `SegmentationClass/` and
`ImageSets/Segmentation/*.txt`. The split `trainaug` (10,582 images) needs SBD's labels as well, as PNG files in
`SegmentationClassAug/`, and `ImageSets/Segmentation/trainaug.txt`; the original label is preferred where it exists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import numpy as np

from hyperseg.classes import CAMVID_11, CAMVID_12, CITYSCAPES, VOC, VOID, Colour
from hyperseg.data.dataset import (
    ConcatDataset,
    Dataset,
    LabelDecoder,
    LabelledImages,
    MissingFolderError,
    Pair,
    by_name,
    image_files,
    index_decoder,
    is_visible,
    label_reader,
    pair_files,
    require_folder,
)
from hyperseg.data.description import FILE_NAME
from hyperseg.data.label_error import LabelValueError, count_colours
from hyperseg.data.own import find_own
from hyperseg.data.reading import Pixels
from hyperseg.errors import DataError

_SPLITS = ("train", "val", "test")

CAMVID_COLOURS: dict[str, tuple[Colour, ...]] = {
    "sky": ((128, 128, 128),),
    "building": ((128, 0, 0), (0, 128, 64), (192, 0, 128), (64, 192, 0), (128, 0, 64)),
    "pole": ((192, 192, 128), (0, 0, 64)),
    "road": ((128, 64, 128), (128, 0, 192), (192, 0, 64)),
    "pavement": ((0, 0, 192), (64, 192, 128), (128, 128, 192)),
    "tree": ((128, 128, 0), (192, 192, 0)),
    "sign": ((192, 128, 128), (128, 128, 64), (0, 64, 64)),
    "fence": ((64, 64, 128),),
    "car": ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    "pedestrian": ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),
    "cyclist": ((0, 128, 192), (192, 0, 192)),
    "void": ((0, 0, 0), (64, 0, 64)),
}
"""CamVid's 32 label colours by scored class: cars with trucks and buses, walls with buildings, and so on."""

_CITYSCAPES_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label ids of the 19 scored classes; every other id from 0 to 33 is void."""

_VOC_VOID = (224, 224, 192)
_UNKNOWN = 254
"""Table entry of values that are neither a class nor void."""


class Layout(str, Enum):
    """Layout of a dataset on disk."""

    CAMVID = "camvid"
    """480x360, index labels, 11 classes."""
    CAMVID_701_11 = "camvid-701-11"
    """960x720, colour labels, 11 classes."""
    CAMVID_701_12 = "camvid-701-12"
    """960x720, colour labels, void as class 11."""
    CITYSCAPES = "cityscapes"
    VOC = "voc"
    """VOC 2012, with SBD's labels where they are present."""
    OWN = "own"
    """A folder with a `dataset.toml`, which is also what any other layout is where there is one."""


def open_split(layout: Layout, root: Path, split: str) -> Dataset:
    """Open one split; raises a `DataError` that names missing files. A folder with `dataset.toml` is what that says."""
    own = find_own(root)
    if own is not None:
        return own.open(split)
    require_folder(root)
    try:
        return _open_published(layout, root, split)
    except MissingFolderError as error:
        hint = f"layout {layout.value} has it (--layout names another), a data set of one's own a {FILE_NAME} instead"
        raise DataError(f"{error}; {hint}") from None


def _open_published(layout: Layout, root: Path, split: str) -> Dataset:
    match layout:
        case Layout.OWN:
            raise DataError(
                f"{root / FILE_NAME} is missing: it names the classes of a data set of one's own; write it, or name "
                "the layout of a published one (--layout)"
            )
        case Layout.CAMVID:
            return _camvid_index_labels(root, split)
        case Layout.CAMVID_701_11:
            return _camvid_colour_labels(root, split, 11)
        case Layout.CAMVID_701_12:
            return _camvid_colour_labels(root, split, 12)
        case Layout.CITYSCAPES:
            return _cityscapes(root, split)
        case Layout.VOC:
            return _voc(root, split)


def open_splits(layout: Layout, root: Path, splits: Sequence[str]) -> Dataset:
    """Open several splits as one dataset."""
    if not splits:
        raise DataError("no split was named; use for example train or train+val")
    own = find_own(root)
    parts = tuple(open_split(layout, root, split) if own is None else own.open(split) for split in splits)
    return parts[0] if len(parts) == 1 else ConcatDataset(parts)


def splits_in(layout: Layout, root: Path) -> tuple[str, ...]:
    """The splits that a folder has; a `DataError` says what is wrong with its `dataset.toml`."""
    own = find_own(root)
    if own is not None:
        return tuple(own.splits)
    match layout:
        case Layout.OWN:
            return ()
        case Layout.VOC:
            return tuple(sorted(path.stem for path in (root / "ImageSets" / "Segmentation").glob("*.txt")))
        case Layout.CITYSCAPES:
            return tuple(split for split in _SPLITS if (root / "leftImg8bit" / split).is_dir())
        case _:
            return tuple(s for s in _SPLITS if (root / s).is_dir() or (root / f"{s}.txt").is_file())


def _camvid_index_labels(root: Path, split: str) -> LabelledImages:
    """Open CamVid with index labels: 11 classes, void ignored."""
    _check_camvid_split(split)
    images, labels = require_folder(root / split), require_folder(root / f"{split}annot")
    count = len(CAMVID_11)
    table = _index_table({**{index: index for index in range(count)}, count: VOID, VOID: VOID})
    pairs = pair_files(image_files(images), image_files(labels))
    return LabelledImages(CAMVID_11, pairs, label_reader(index_decoder(table, count), indexed=True))


def _camvid_colour_labels(root: Path, split: str, num_classes: int = 11) -> LabelledImages:
    """Open CamVid with colour labels: 11 classes, or 12 with void as a class, as the published networks have it."""
    _check_camvid_split(split)
    if (root / f"{split}_labels").is_dir():
        images, labels = image_files(require_folder(root / split)), image_files(root / f"{split}_labels")
    else:
        names = _names_in(root / f"{split}.txt")
        images = _select(image_files(require_folder(root / "images")), names, root / "images")
        labels = _select(image_files(require_folder(root / "labels")), [f"{name}_L" for name in names], root / "labels")
    pairs = pair_files(images, labels, label_suffix="_L")
    classes = CAMVID_12 if num_classes == 12 else CAMVID_11
    return LabelledImages(classes, pairs, label_reader(_camvid_decoder(num_classes)))


def _camvid_decoder(num_classes: int) -> LabelDecoder:
    """Create a decoder of CamVid's colours; void is class 11 of 12, or ignored with 11."""
    indices = {
        colour: index if index < num_classes else VOID
        for index, colours in enumerate(CAMVID_COLOURS.values())
        for colour in colours
    }
    colours_to_indices = _colour_decoder(indices, "none of CamVid's 32")

    def decode(pixels: Pixels, path: Path) -> Pixels:
        if pixels.ndim != 3:
            raise DataError(f"{path} has one channel; this layout's labels are colour images (see label_colors.txt)")
        return colours_to_indices(pixels, path)

    return decode


def _check_camvid_split(split: str) -> None:
    if split not in _SPLITS:
        raise DataError(f"CamVid has no split {split!r}; use one of {', '.join(_SPLITS)}")


def _names_in(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path} is missing: it lists the names of the split, one a line")
    names = [Path(line.split()[0]).stem for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path} lists no images")
    return names


def _select(files: dict[str, Path], names: list[str], folder: Path) -> dict[str, Path]:
    missing = [name for name in names if name not in files]
    if missing:
        raise DataError(f"{folder} lacks {len(missing)} of {len(names)} listed images, {missing[0]} first")
    return {name: files[name] for name in names}


def _cityscapes(root: Path, split: str) -> LabelledImages:
    """Open a split of the finely labelled images (train, val, test; the labels of test are all void)."""
    if split not in _SPLITS:
        raise DataError(f"Cityscapes has no split {split!r}; use train, val or test")
    images = _files_by_city(require_folder(root / "leftImg8bit" / split), "_leftImg8bit")
    labels = _files_by_city(require_folder(root / "gtFine" / split), "_gtFine_labelIds")
    scored = {label_id: index for index, label_id in enumerate(_CITYSCAPES_TRAIN_IDS)}
    table = _index_table({**dict.fromkeys([*range(34), VOID], VOID), **scored})
    pairs = pair_files(images, labels)
    return LabelledImages(CITYSCAPES, pairs, label_reader(index_decoder(table, len(CITYSCAPES)), indexed=True))


def _files_by_city(folder: Path, suffix: str) -> dict[str, Path]:
    found = [path for path in sorted(folder.glob(f"*/*{suffix}.png")) if is_visible(path)]
    if not found:
        raise DataError(f"{folder} has no CITY/*{suffix}.png")
    return by_name(found, suffix)


def _voc(root: Path, split: str) -> LabelledImages:
    """Open a split listed under `ImageSets/Segmentation`."""
    listing = require_folder(root / "ImageSets" / "Segmentation") / f"{split}.txt"
    if not listing.is_file():
        known = ", ".join(sorted(path.stem for path in listing.parent.glob("*.txt"))) or "none"
        raise DataError(f"{listing} is missing: VOC has no split {split!r} here (there are: {known})")
    names = listing.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(f"{listing} lists no images")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{listing} lists {twice} more than once; it would be scored as often")
    images = require_folder(root / "JPEGImages")
    labels = [require_folder(root / "SegmentationClass"), root / "SegmentationClassAug"]
    pairs = [Pair(name, images / f"{name}.jpg", _voc_label(name, labels, listing)) for name in names]
    missing = [pair.image for pair in pairs if not pair.image.is_file()]
    if missing:
        raise DataError(f"{len(missing)} of the {len(names)} images in {listing.name} are missing, {missing[0]} first")
    return LabelledImages(VOC, pairs, label_reader(_voc_decoder()))


def _voc_label(name: str, folders: list[Path], listing: Path) -> Path:
    for folder in folders:
        if (folder / f"{name}.png").is_file():
            return folder / f"{name}.png"
    hint = "" if folders[1].is_dir() else f"; SBD's labels belong in {folders[1]}"
    raise DataError(f"the label {name}.png of {listing.name} is missing from {folders[0]}{hint}")


def _voc_decoder() -> LabelDecoder:
    """Create a decoder of VOC's colour-mapped PNG files and of SBD's, which are plain indices."""
    indices = {colour: index for index, colour in enumerate(VOC.palette)}
    colours_to_indices = _colour_decoder({**indices, _VOC_VOID: VOID}, "not in VOC's colour map")
    check_indices = index_decoder(_index_table({**{index: index for index in range(len(VOC))}, VOID: VOID}), len(VOC))

    def decode(pixels: Pixels, path: Path) -> Pixels:
        return check_indices(colours_to_indices(pixels, path) if pixels.ndim == 3 else pixels, path)

    return decode


def _index_table(indices: Mapping[int, int]) -> Pixels:
    """Table for `index_decoder`; values that are not in `indices` must not occur."""
    table = np.full(256, _UNKNOWN, np.uint8)
    table[list(indices)] = list(indices.values())
    return table


def _colour_decoder(indices: Mapping[Colour, int], unknown: str) -> LabelDecoder:
    """Create a decoder of colour labels, BGR [H, W, 3 or 4]; `unknown` describes other colours in the error."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for (red, green, blue), index in indices.items():
        table[red << 16 | green << 8 | blue] = index

    def decode(pixels: Pixels, path: Path) -> Pixels:
        code = pixels[..., 2].astype(np.int32) << 16 | pixels[..., 1].astype(np.int32) << 8 | pixels[..., 0]
        label: Pixels = table[code]
        wrong = label == _UNKNOWN
        if wrong.any():
            raise LabelValueError(path, count_colours(code[wrong]), f"which is {unknown}")
        return label

    return decode

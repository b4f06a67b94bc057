"""A data set of one's own: a folder with `dataset.toml`."""

from __future__ import annotations

import os
from collections import Counter
from functools import cached_property
from pathlib import Path

from hyperseg.classes import Classes
from hyperseg.data.dataset import LabelledImages
from hyperseg.data.description import FILE_NAME, Description, read_description
from hyperseg.data.file_patterns import exists, fixed_part
from hyperseg.data.label_values import OwnLabels
from hyperseg.data.split_files import SplitFiles, Tree, shown
from hyperseg.errors import DataError

_USUAL_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Names of sub-folders and text files that are found where `dataset.toml` has no [splits]."""

WHOLE = "all"
"""Split of a data set that is not divided."""


class OwnDataset:
    """A data set that `dataset.toml` describes; the files are listed when a split is opened, and read with its samples.

    Raises:
        DataError: from every member that needs the files, where they are missing; the message names them.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        self._trees: dict[Path, Tree] = {}

    @property
    def classes(self) -> Classes:
        return self.description.classes

    @cached_property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Sources of each split: those of `dataset.toml`, or the usual ones that are there, or all files as "all"."""
        if self.description.splits:
            return dict(self.description.splits)
        found = {name: sources for name, usual in _USUAL_NAMES.items() if (sources := self._usual(usual))}
        for name, sources in found.items():
            if len(sources) > 1:
                raise DataError(
                    f"{self.description.root} has {' and '.join(sources)}, which could both be the split {name}; "
                    f'say which it is under [splits] in {FILE_NAME}: {name} = "{sources[0]}"'
                )
        if not found and not exists(self.description.root, self.description.images):
            raise DataError(
                f"{fixed_part(self.description.root, self.description.images)} does not exist; name the folder of the "
                f'images in {self.description.file}: images = "images"'
            )
        return found or {WHOLE: ()}

    def files(self, split: str) -> SplitFiles:
        """List the files of a split, faults and all."""
        if split not in self.splits:
            known = ", ".join(self.splits)
            hint = "; add [splits] to the file, or sub-folders train and val" if WHOLE in self.splits else ""
            raise DataError(f"{self.description.file} has no split {split!r} (there are: {known}){hint}")
        sources = self.splits[split]
        parts = [self._source(source, split) for source in sources] if sources else [self._tree("").everything()]
        pairs = tuple(pair for part in parts for pair in part.pairs)
        faults = [fault for part in parts for fault in part.faults]
        twice = [image for image, times in Counter(pair.image for pair in pairs).items() if times > 1]
        if twice:
            faults.append(
                f"{' and '.join(sources)}, the sources of the split {split}, share {len(twice):,} "
                f"image{'s' * (len(twice) != 1)}, which would train or score them twice: {shown(twice)}"
            )
        return SplitFiles(
            pairs,
            tuple(dict.fromkeys(faults)),
            tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        )

    def open(self, split: str) -> LabelledImages:
        """Open a split; raises a `DataError` for the first fault of its files."""
        files = self.files(split)
        if files.faults:
            raise DataError(files.faults[0])
        if not files.pairs:
            raise DataError(f"the split {split} of {self.description.file} has no images")
        return self.labelled(files)

    def labelled(self, files: SplitFiles) -> LabelledImages:
        """The pairs of a split as a dataset."""
        return LabelledImages(self.classes, files.pairs, OwnLabels(self.description))

    def folders(self) -> list[Path]:
        """The folders of images and labels that `dataset.toml` names and that are searched with all folders in them."""
        described = self.description
        named = (described.root / Path(name).expanduser() for name in (described.images, described.labels) if name)
        return [folder for folder in named if folder.is_dir()]

    def _source(self, source: str, split: str) -> SplitFiles:
        path = self.description.root / Path(source).expanduser()
        if path.is_file():
            return self._tree("").listed(path)
        below = self._tree("").below(source) if exists(self.description.root, self.description.images) else None
        if below is not None:
            return below
        if self._inside(path):
            return self._tree(source).everything()
        raise DataError(
            f"{self.description.file}: the split {split} is {source!r}, which is neither a text file, nor a folder "
            f"with images below {self.description.root / self.description.images}, nor one with the folder "
            f"{self.description.images!r} in it"
        )

    def _inside(self, folder: Path) -> bool:
        """Whether a split's folder has the folder of the images in it, as in train/images."""
        images = Path(self.description.images).expanduser()
        return folder.is_dir() and images != Path() and not images.is_absolute() and exists(folder, str(images))

    def _tree(self, inside: str) -> Tree:
        root = self.description.root / Path(inside).expanduser()
        if root not in self._trees:
            self._trees[root] = Tree.read(self.description, root)
        return self._trees[root]

    def _usual(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The sources of a split that have one of its usual names."""
        root, images = self.description.root, self.description.images
        inside = self._tree("") if exists(root, images) else None
        found = []
        for name in names:
            if (root / f"{name}.txt").is_file():
                found.append(f"{name}.txt")
            elif (inside is not None and inside.has(name)) or self._inside(root / name):
                found.append(name)
        return tuple(found)


def find_own(root: Path) -> OwnDataset | None:
    """The data set that the `dataset.toml` of a folder describes; None if the folder has none.

    `root` may also be the file itself, under any name that ends with .toml.

    Raises:
        DataError: the file cannot be read, or has a key or value that it cannot have.
    """
    file = root if root.suffix.lower() == ".toml" and root.is_file() else root / FILE_NAME
    if file.is_file():
        return OwnDataset(read_description(file))
    if os.path.lexists(file):
        raise DataError(f"{file} is no file" + (", but a link to nothing" if file.is_symlink() else ""))
    return None

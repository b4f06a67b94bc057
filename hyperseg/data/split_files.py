"""Pairs of image and label files of a data set of one's own, by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperseg.data.dataset import Pair
from hyperseg.data.description import Description
from hyperseg.data.file_patterns import FoundFile, exists, file_suffix, find_files, fixed_part, normalised
from hyperseg.data.label_values import lossy
from hyperseg.data.reading import IMAGE_SUFFIXES, LOSSY_SUFFIXES
from hyperseg.errors import DataError

LABEL_FOLDERS = ("labels", "masks", "annotations")
"""Folders of labels that are found where `dataset.toml` names none."""

_LABEL_SUFFIXES = (
    "_mask", "_masks", "_label", "_labels", "_gt", "_L", "_seg", "_segmentation", "_annotation", "_labelIds",
    "-mask", "-label", ".mask", ".label", ".seg",
)  # fmt: skip


@dataclass(frozen=True)
class SplitFiles:
    """Files of one split.

    Attributes:
        pairs: images with their labels, sorted by name.
        faults: what prevents training, a sentence each.
        notes: what does not, but may be a mistake.
    """

    pairs: tuple[Pair, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """Images and labels below one folder, by the key that pairs them."""

    root: Path
    images_at: Path
    images: dict[str, Path]
    labels: dict[str, Path]
    label_suffix: str
    faults: tuple[str, ...] = ()
    passed_over: tuple[Path, ...] = ()
    """Files beside the labels whose names do not end with `label_suffix`."""

    @staticmethod
    def read(description: Description, root: Path) -> Tree:
        """List the files of a description whose folders and globs are relative to `root`.

        Raises:
            DataError: a folder is missing or empty, or images and labels cannot be told apart.
        """
        pattern = label_pattern(description, root)
        images, labels = find_files(root, description.images), find_files(root, pattern)
        images_at = fixed_part(root, description.images)
        suffix = description.label_suffix
        if {file.path for file in images} == {file.path for file in labels}:
            images, labels, suffix = _told_apart(images, suffix, root / pattern)
        else:
            own = {file.path for file in labels}
            images = [file for file in images if file.path not in own]
            if not images:
                raise DataError(f"every image of {root / description.images} is a label of {root / pattern} as well")
        images = _without_suffix(images, description.image_suffix)
        if not images:
            raise DataError(f"{images_at} has no image whose name ends with {description.image_suffix!r}")
        if suffix is None:
            suffix = _found_suffix([file.key for file in images], [file.key for file in labels])
        beside = labels
        labels = _without_suffix(labels, suffix)
        taken = {file.path for file in labels}
        passed_over = tuple(file.path for file in beside if file.path not in taken)
        by_image, twice = _by_key(images)
        # Of a label in two formats the one with exact values is meant.
        labels.sort(key=lambda file: file.path.suffix.lower() in LOSSY_SUFFIXES)
        exact = {file.key for file in labels if file.path.suffix.lower() not in LOSSY_SUFFIXES}
        by_label, labels_twice = _by_key(
            file for file in labels if file.path.suffix.lower() not in LOSSY_SUFFIXES or file.key not in exact
        )
        return Tree(root, images_at, by_image, by_label, suffix, (*twice, *labels_twice), passed_over)

    def has(self, folder: str) -> bool:
        """Whether there are images in a sub-folder."""
        prefix = _prefix(folder)
        return any(key.startswith(prefix) for key in self.images)

    def below(self, folder: str) -> SplitFiles | None:
        """The pairs in a sub-folder of the images, with labels in the one of the same name; None if it has none."""
        prefix = _prefix(folder)
        images = {key.removeprefix(prefix): path for key, path in self.images.items() if key.startswith(prefix)}
        if not images:
            return None
        labels = {key.removeprefix(prefix): path for key, path in self.labels.items() if key.startswith(prefix)}
        return self._paired(images, labels or self.labels, bool(labels))

    def everything(self) -> SplitFiles:
        """All pairs."""
        return self._paired(self.images, self.labels, True)

    def listed(self, listing: Path) -> SplitFiles:
        """The pairs that a text file names, one image a line: its path or name, with or without suffix."""
        names = _lines(listing)
        by_name: dict[str, list[str]] = {}
        for key in self.images:
            by_name.setdefault(key.rpartition("/")[2], []).append(key)
        chosen, missing, unclear = list[str](), list[str](), list[str]()
        for name in names:
            keys = self._keys(name, by_name)
            if len(keys) == 1:
                chosen.append(keys[0])
            else:
                (unclear if keys else missing).append(name)
        faults = []
        if missing:
            faults.append(
                f"{listing} lists {_counted(len(missing), 'name')} that no image in {self.images_at} has: "
                f"{shown(missing)}"
            )
        if unclear:
            faults.append(f"{listing} lists names that several images have; add their folder: {shown(unclear)}")
        twice = [key for key, times in Counter(chosen).items() if times > 1]
        if twice:
            faults.append(
                f"{listing} lists images more than once, which would train or score them twice: {shown(twice)}"
            )
        images = {key: self.images[key] for key in sorted(set(chosen))}
        found = self._paired(images, self.labels, False)
        return SplitFiles(found.pairs, (*faults, *found.faults), found.notes)

    def _keys(self, line: str, by_name: dict[str, list[str]]) -> Sequence[str]:
        """The images that a line names: by their key, by a path that ends with it, or by the name alone."""
        path = normalised(line).replace("\\", "/").removeprefix("./")
        for name in dict.fromkeys((path, _without_file_suffix(path))):
            if name in self.images:
                return [name]
            same = by_name.get(name.rpartition("/")[2], [])
            if "/" not in name and same:
                return same
            ends = [key for key in same if name.endswith(f"/{key}")]
            if ends:
                return [max(ends, key=len)]
        return []

    def _paired(self, images: dict[str, Path], labels: dict[str, Path], whole: bool) -> SplitFiles:
        pairs = [Pair(key, path, labels[key]) for key, path in images.items() if key in labels]
        faults = list(self.faults)
        unlabelled = [path for key, path in images.items() if key not in labels]
        if unlabelled:
            stray = next((path for key, path in labels.items() if key not in images), None)
            example = "" if pairs or stray is None else f" (a label is {stray}; see label_suffix and image_suffix)"
            if self.passed_over and not example:
                example = f" (labels' names end with {self.label_suffix!r} here, unlike {shown(self.passed_over)})"
            faults.append(
                f"{len(unlabelled):,} of {_counted(len(images), 'image')} have no label: {shown(unlabelled)}{example}"
                "; add the labels, remove the images, or list the split's images in a text file"
            )
        lossless = [pair for pair in pairs if pair.label.suffix.lower() not in LOSSY_SUFFIXES]
        inexact = [pair.label for pair in pairs if pair.label.suffix.lower() in LOSSY_SUFFIXES]
        if inexact:
            count = f"{_counted(len(inexact), 'label')}: " if len(inexact) > 1 else ""
            faults.append(f"{count}{lossy(inexact[0])}")
        orphans = [path for key, path in labels.items() if key not in images] if whole and pairs else []
        notes = [f"{_counted(len(orphans), 'label')} without an image: {shown(orphans)}"] if orphans else []
        return SplitFiles(tuple(lossless), tuple(faults), tuple(notes))


def label_pattern(description: Description, root: Path) -> str:
    """Folder or glob of the labels: the description's, or the one of `LABEL_FOLDERS` that exists."""
    if description.labels is not None:
        return description.labels
    found = [name for name in LABEL_FOLDERS if exists(root, name)]
    if len(found) == 1:
        return found[0]
    problem = f"there are {' and '.join(found)}" if found else f"{root} has no folder {', '.join(LABEL_FOLDERS)}"
    raise DataError(f'{problem}; name the folder of the labels in {description.file}: labels = "masks"')


def _told_apart(
    files: list[FoundFile], suffix: str | None, place: Path
) -> tuple[list[FoundFile], list[FoundFile], str | None]:
    """Divide the files of one folder into images and labels, by the suffix of the names or of the files."""
    keys = {file.key for file in files}
    if suffix is None:
        counts = {
            s: sum(file.key.removesuffix(s) in keys for file in files if file.key.endswith(s)) for s in _LABEL_SUFFIXES
        }
        suffix = max(counts, key=lambda candidate: (counts[candidate], len(candidate)))
        if not counts[suffix]:
            suffix = ""
    if suffix:
        labels = [file for file in files if file.key.endswith(suffix)]
        return [file for file in files if not file.key.endswith(suffix)], labels, suffix
    images = [file for file in files if file.path.suffix.lower() in LOSSY_SUFFIXES]
    labels = [file for file in files if file.path.suffix.lower() not in LOSSY_SUFFIXES]
    if images and labels:
        return images, labels, ""
    raise DataError(
        f"images and labels are both in {place} and cannot be told apart; name the end of the labels' names in "
        'dataset.toml, for example label_suffix = "_mask"'
    )


def _found_suffix(images: Sequence[str], labels: Sequence[str]) -> str:
    """The end by which labels' keys are longer than images'; "" where they are the same."""
    known, counts = set(images), Counter[str]()
    if known <= set(labels):
        return ""
    for key in labels:
        if key in known:
            counts[""] += 1
            continue
        for place in range(len(key) - 1, 0, -1):
            if key[:place] in known and not key[place].isalnum():
                counts[key[place:]] += 1
                break
    ranked = counts.most_common(2)
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        ends = " and ".join(repr(end) for end, _ in ranked)
        raise DataError(f"labels' names end with {ends} alike; say which are the labels: label_suffix in dataset.toml")
    return ranked[0][0] if ranked else ""


def _without_suffix(files: list[FoundFile], suffix: str) -> list[FoundFile]:
    """The files whose names end with `suffix`, by the keys before it."""
    if not suffix:
        return files
    end = normalised(suffix)
    found = [FoundFile(file.key.removesuffix(end), file.path) for file in files if file.key.endswith(end)]
    return sorted(found, key=lambda file: file.key)


def _by_key(files: Iterable[FoundFile]) -> tuple[dict[str, Path], list[str]]:
    named: dict[str, Path] = {}
    faults = []
    for file in files:
        other = named.setdefault(file.key, file.path)
        if other is not file.path:
            faults.append(
                f"{other} and {file.path} are both named {file.key}; remove the one that does not belong there"
            )
    return named, faults


def _lines(listing: Path) -> list[str]:
    try:
        text = listing.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{listing} is not text in UTF-8; save it in that encoding") from None
    except OSError as error:
        raise DataError(f"{listing} cannot be read: {error.strerror or error}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _prefix(folder: str) -> str:
    return normalised(folder).removeprefix("./").strip("/") + "/"


def _without_file_suffix(name: str) -> str:
    suffix = file_suffix(name)
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def shown(items: Sequence[object], count: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(items) - count:,} more" if len(items) > count else ""
    return ", ".join(map(str, items[:count])) + more


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"

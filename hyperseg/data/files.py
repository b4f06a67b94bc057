"""Finding pictures and their labels on disk, with errors that say exactly what is missing."""

from __future__ import annotations

from pathlib import Path

from hyperseg.data.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


def require_folder(folder: Path) -> Path:
    """The folder itself, or a `DataError` that names the part of the path that is missing."""
    if folder.is_dir():
        return folder
    first = folder
    while not first.parent.is_dir():
        first = first.parent
    raise DataError(f"the folder {folder} is missing" + ("" if first == folder else f" ({first} does not exist)"))


def pictures(folder: Path) -> dict[str, Path]:
    """Picture files of a folder by name without suffix, sorted."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return {path.stem: path for path in found}


def match(images: dict[str, Path], labels: dict[str, Path], label_suffix: str = "") -> list[tuple[str, Path, Path]]:
    """Pair pictures with labels of the same name (plus `label_suffix`); neither may be left over."""
    by_image = {name.removesuffix(label_suffix): path for name, path in labels.items()}
    unlabelled = [path for name, path in images.items() if name not in by_image]
    if unlabelled:
        raise DataError(f"{len(unlabelled)} of {len(images)} pictures have no label, {unlabelled[0]} first")
    orphans = [path for name, path in by_image.items() if name not in images]
    if orphans:
        raise DataError(f"{len(orphans)} of {len(labels)} labels have no picture, {orphans[0]} first")
    return [(name, path, by_image[name]) for name, path in images.items()]

"""A data set of one's own: discs and squares on a ground, in any number and of any size."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.folders import Pixels, write

NAMES = ("ground", "disc", "square")
PALETTE = ((90, 90, 90), (250, 20, 20), (20, 250, 20))


def scene(seed: int, height: int, width: int) -> tuple[Pixels, Pixels]:
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 120, (height, width, 3)).astype(np.uint8)
    label = np.zeros((height, width), np.uint8)
    for kind in (1, 2):
        x, y, side = int(rng.integers(width)), int(rng.integers(height)), min(height, width) // 4
        mask = np.zeros((height, width), np.uint8)
        if kind == 1:
            cv2.circle(mask, (x, y), side, 1, -1)
        else:
            cv2.rectangle(mask, (x - side, y - side), (x + side, y + side), 1, -1)
        image[mask > 0] = rng.integers(150, 250, 3)
        label[mask > 0] = kind
    return image, label


def write_scenes(
    root: Path, train: int = 6, val: int = 2, sizes: Sequence[tuple[int, int]] = ((96, 128),), void: Sequence[int] = ()
) -> Path:
    """Write a folder with `dataset.toml`; without `val`, no split of that name. `void`: images without any label."""
    for split, first, count in (("train", 0, train), ("val", 1000, val)):
        for index in range(count):
            image, label = scene(first + index, *sizes[index % len(sizes)])
            if split == "train" and index in void:
                label[:] = 255
            write(root / "images" / split / f"{index}.png", image)
            write(root / "labels" / split / f"{index}.png", label)
    names = ", ".join(f'"{name}"' for name in NAMES)
    palette = [list(colour) for colour in PALETTE]
    (root / "dataset.toml").write_text(
        f'classes = [{names}]\npalette = {palette}\nimages = "images"\nlabels = "labels"\n'
    )
    return root

"""Label PNGs: the pixels are the labels, and viewers show the palette's colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hyperseg_runtime.output import label_png

from .clips import images
from .conftest import Finished
from .png import read_indices
from .stand_in import PALETTE

Run = Callable[..., Finished]
RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize(
    "labels",
    [
        RANDOM.integers(0, 256, (31, 47), np.uint8),
        np.kron(RANDOM.integers(0, 12, (9, 7)), np.ones((8, 8))).astype(np.uint8),
        np.array([[255]], np.uint8),
        np.zeros((1, 300), np.uint8),
        RANDOM.integers(0, 12, (40, 60), np.uint8)[::2, ::3],
    ],
    ids=["every value", "areas", "one void pixel", "a row", "not contiguous"],
)
def test_pixels_are_the_labels_and_look_like_the_palette(labels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(label_png.encode(labels, PALETTE))
    pixels, palette = read_indices(tmp_path / "a.png")
    assert (pixels == labels).all()
    assert len(palette) > labels.max(), "each pixel's colour must be there"
    assert (palette[: len(PALETTE)] == np.array(PALETTE)).all()
    assert (palette[len(PALETTE) :] == 0).all()
    shown = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    assert (shown == palette[labels]).all()


@pytest.mark.parametrize("count", [1, 256])
def test_any_number_of_colours(count: int, tmp_path: Path) -> None:
    colours = [(label, 255 - label, 7) for label in range(count)]
    (tmp_path / "a.png").write_bytes(label_png.encode(np.zeros((3, 4), np.uint8), colours))
    assert (read_indices(tmp_path / "a.png")[1][:count] == np.array(colours)).all()


def test_pil_reads_indices(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    labels = RANDOM.integers(0, 12, (31, 47), np.uint8)
    (tmp_path / "a.png").write_bytes(label_png.encode(labels, PALETTE))
    with image.open(tmp_path / "a.png") as opened:
        assert opened.mode == "P"
        assert (np.asarray(opened) == labels).all()


def test_labels_have_the_models_palette_and_all_classes_whatever_is_drawn(hyperseg_run: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images(1, (40, 60))[0])
    assert hyperseg_run("a.png", "--labels", "all").code == 0
    assert hyperseg_run("a.png", "--force", "--labels", "some", "--classes", "road", "--palette", "distinct").code == 0
    assert Path("all/a.png").read_bytes() == Path("some/a.png").read_bytes()
    assert (read_indices(Path("all/a.png"))[1][: len(PALETTE)] == np.array(PALETTE)).all()

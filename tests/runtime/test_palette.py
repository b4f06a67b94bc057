"""The distinct palette: colours that differ for every viewer, always the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from hyperseg_runtime.metadata import MAX_CLASSES, InputType, OutputKind
from hyperseg_runtime.output.palette import Palette, distinct, palette_of, seen_colours

from .stand_in import PALETTE, SIZE, metadata

CAMVID = [
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
]  # fmt: skip
CITYSCAPES = [
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
]  # fmt: skip
VOC = [tuple(sum((label >> 3 * bit + c & 1) << 7 - bit for bit in range(8)) for c in range(3)) for label in range(21)]


def smallest_distances(colours: np.ndarray) -> np.ndarray:
    """The smallest distance of two colours with normal vision, protanopia, deuteranopia and tritanopia: [4]."""
    seen = seen_colours(colours)
    distances = np.linalg.norm(seen[:, :, np.newaxis] - seen[:, np.newaxis], axis=-1)
    distances[:, np.eye(len(colours), dtype=bool)] = np.inf
    return distances.min(axis=(1, 2))


@pytest.mark.parametrize("usual", [CAMVID, CITYSCAPES, VOC], ids=["camvid", "cityscapes", "voc"])
def test_colours_are_farther_apart_than_the_datasets_for_every_viewer(usual: list[tuple[int, int, int]]) -> None:
    ours = smallest_distances(distinct(len(usual)))
    theirs = smallest_distances(np.array(usual, np.uint8))
    assert (ours > 1.5 * theirs).all(), (ours, theirs)
    assert ours.min() > 14  # about six just noticeable differences of 2.3 in CIELAB


def test_simulated_dichromats_confuse_the_colours_that_they_are_known_to_confuse() -> None:
    """Red-green for protanopes and deuteranopes, blue-yellow directions for tritanopes; greys remain for all."""
    normal, protan, deutan, tritan = smallest_distances(np.array([(170, 90, 90), (110, 115, 90)], np.uint8))
    assert max(protan, deutan) < 0.6 * normal
    assert tritan > 0.8 * normal
    greys = seen_colours(np.array([(80, 80, 80), (200, 200, 200)], np.uint8))
    assert np.abs(greys[1:] - greys[0]).max() < 0.5


def test_any_number_of_classes_up_to_the_most() -> None:
    most = distinct(MAX_CLASSES)
    assert len(np.unique(most, axis=0)) == MAX_CLASSES
    assert smallest_distances(most).min() > 2.3
    for count in (1, 2, 12):
        assert (distinct(count) == most[:count]).all()
    with pytest.raises(ValueError, match="257"):
        distinct(MAX_CLASSES + 1)


def test_classes_take_the_colours_in_any_order_and_keep_the_models_palette_by_default() -> None:
    about = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)
    assert (palette_of(about, Palette.DATASET) == np.array(PALETTE)).all()
    chosen = palette_of(about, Palette.DISTINCT)
    assert sorted(map(tuple, chosen)) == sorted(map(tuple, distinct(len(PALETTE))))
    lightness, _, blueness = seen_colours(chosen)[0, about.class_names.index("sky")]
    assert blueness < 0 < lightness
    assert seen_colours(chosen)[0, about.class_names.index("tree"), 1] < 0, "trees are green"

"""Metrics from the confusion matrix, against values counted by hand."""

import numpy as np
import pytest

from hyperseg.metrics import Confusion


def test_scores_of_a_small_image() -> None:
    confusion = Confusion(3)
    confusion.add(np.array([[0, 0, 1], [1, 255, 2]], np.uint8), np.array([[0, 1, 1], [1, 0, 3]], np.uint8))
    # Class 0: 1 of 2; class 1: 2 of 3; class 2: predicted as no class, 0 of 1. Void is not counted.
    assert confusion.iou == pytest.approx([1 / 2, 2 / 3, 0])
    assert confusion.mean_iou == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert confusion.pixel_accuracy == pytest.approx(3 / 5)


def test_the_mean_is_over_one_matrix_and_not_over_images() -> None:
    first, second, both = Confusion(2), Confusion(2), Confusion(2)
    pairs = [(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])), (np.array([1]), np.array([0]))]
    for one, (truth, prediction) in zip((first, second), pairs, strict=True):
        one.add(truth, prediction)
        both.add(truth, prediction)
    first.merge(second)
    assert np.array_equal(first.counts, both.counts)
    assert both.mean_iou == pytest.approx((2 / 4 + 1 / 3) / 2)


def test_classes_that_never_occur_do_not_count() -> None:
    confusion = Confusion(5)
    confusion.add(np.array([0, 1]), np.array([0, 1]))
    assert confusion.mean_iou == 1.0 and np.isnan(confusion.iou[2])
    assert np.isnan(Confusion(2).mean_iou)


def test_different_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(2,\)"):
        Confusion(2).add(np.zeros(3, np.uint8), np.zeros(2, np.uint8))

"""Training loss against its definition (paper, Sec. 4.1)."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from hyperseg.data import VOID
from hyperseg.training.loss import SegmentationLoss, bootstrapped, soft_jaccard


def test_bootstrapping_takes_the_hard_pixels_but_at_least_the_minimum() -> None:
    losses = torch.tensor([[[0.1, 0.2, 0.5, 0.9]], [[0.1, 0.1, 0.2, 0.4]]])
    valid = torch.ones_like(losses, dtype=torch.bool)
    # First image: 0.5 and 0.9 are over the threshold. Second: only 0.4 is, so the two largest count.
    expected = ((0.5 + 0.9) / 2 + (0.4 + 0.2) / 2) / 2
    assert bootstrapped(losses, valid, 0.3, 2) == pytest.approx(expected)


def test_void_pixels_and_void_images_do_not_count() -> None:
    losses = torch.tensor([[[0.5, 9.0]], [[9.0, 9.0]]])
    valid = torch.tensor([[[True, False]], [[False, False]]])
    assert bootstrapped(losses, valid, 0.3, 4) == pytest.approx(0.25)


def test_without_threshold_and_minimum_it_is_the_plain_mean() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5), dtype=torch.uint8)
    loss = SegmentationLoss(None, threshold=0.0, minimum=0)
    assert loss(logits, labels) == pytest.approx(functional.cross_entropy(logits, labels.long()).item(), rel=1e-6)


def test_logits_are_upsampled_to_the_labels() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 3, 4, 6), torch.randint(3, (1, 8, 12), dtype=torch.uint8)
    full = functional.interpolate(logits, size=(8, 12), mode="bilinear", align_corners=False)
    loss = SegmentationLoss((1.0, 2.0, 0.5), jaccard=0.5)
    assert loss(logits, labels).item() >= SegmentationLoss((1.0, 2.0, 0.5))(full, labels).item()


def test_soft_jaccard_of_hard_predictions_is_one_minus_the_mean_iou() -> None:
    truth = torch.tensor([[[0, 0, 1, 1, VOID]]])
    shown = torch.tensor([[[0, 1, 1, 1, 0]]])
    probabilities = functional.one_hot(shown, 3).permute(0, 3, 1, 2).float()
    assert soft_jaccard(probabilities, truth, truth != VOID) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)


def test_gradients_are_finite_where_everything_is_void() -> None:
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    SegmentationLoss(None, jaccard=1.0)(logits, torch.full((1, 4, 4), VOID, dtype=torch.uint8)).backward()
    assert logits.grad is not None and np.isfinite(logits.grad.numpy()).all()

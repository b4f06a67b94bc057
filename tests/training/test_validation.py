"""Validation: predictions at the size of the label, as the runtime makes them."""

import numpy as np
import pytest
import torch
from hyperseg_runtime.upsampling import Placement, labels_at

from hyperseg.data import CAMVID_11, Sample
from hyperseg.training.distributed import DistributedContext
from hyperseg.training.validation import predictions

LOW = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 11, 16, 24)).astype(np.float32))


class FixedLogits:
    """Stands in for ForwardLoss: the same low-resolution logits for every image."""

    def eval(self) -> None:
        pass

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape == (1, 64, 96, 3)
        return LOW


class OneSample:
    """Stands in for Dataset."""

    classes = CAMVID_11

    def __init__(self, size: tuple[int, int]) -> None:
        self._sample = Sample("one", np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self._sample


@pytest.mark.parametrize("size", [(64, 96), (97, 211), (30, 50)], ids=["the network's", "larger", "smaller"])
def test_logits_are_enlarged_straight_to_the_label(size: tuple[int, int]) -> None:
    context = DistributedContext(0, 1, torch.device("cpu"))
    (prediction,) = predictions(FixedLogits(), OneSample(size), (64, 96), context)  # type: ignore[arg-type]
    assert prediction.labels.dtype == np.uint8
    expected = labels_at(LOW[0].numpy(), Placement(size))
    assert np.count_nonzero(prediction.labels != expected) <= 2  # where two channels are equal to rounding

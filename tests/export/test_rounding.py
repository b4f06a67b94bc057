"""What rounding alone does to a network's logits."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hyperseg_export.random_network import random_network  # noqa: E402
from hyperseg_export.rounding import measure_rounding  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Any:
    return random_network("camvid-lite")


@pytest.fixture(scope="module")
def images() -> Any:
    return torch.randn(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))


def test_it_is_of_the_size_of_the_distance_from_float64(network: Any, images: Any) -> None:
    with torch.no_grad():
        logits = network.forward_low(images)
        error = (copy.deepcopy(network).double().forward_low(images.double()) - logits).abs()
    rounding = measure_rounding(network, images, logits)
    # Both are relative errors of about 2^-24 in each of some seventy layers, drawn twice.
    assert 0.2 < rounding.largest / error.max() < 20
    assert 0.2 < rounding.mean / error.mean() < 20


def test_the_network_is_left_as_it_was(network: Any, images: Any) -> None:
    with torch.no_grad():
        logits = network.forward_low(images)
        measure_rounding(network, images, logits)
        assert torch.equal(network.forward_low(images), logits)
    assert not any(module._forward_hooks for module in network.modules())

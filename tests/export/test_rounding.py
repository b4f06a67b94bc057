"""Effect of rounding on a network: the estimate against measured errors."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hyperseg_export.rounding import FACTOR, FLOAT16, FLOAT32, disturbed, relative_error  # noqa: E402
from hyperseg_export.samples import random_network  # noqa: E402
from hyperseg_runtime.metadata import Precision  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Any:
    return random_network("camvid-lite")


@pytest.fixture(scope="module")
def images() -> Any:
    return torch.randn(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_from_float64_is_explained_and_not_by_much(network: Any, images: Any, seed: int) -> None:
    """Float32 differs from float64 by rounding. The estimate is for the worst common order of summation, with
    which PyTorch's blocks compare by a factor of about two; no order at all would make the error a tenth."""
    with torch.no_grad():
        logits = network.forward_low(images)
        error = (copy.deepcopy(network).double().forward_low(images.double()) - logits).abs()
        change = (disturbed(network, seed=seed).forward_low(images) - logits).abs()
    assert 0.1 < error.max() / change.max() < FACTOR
    assert 0.1 < error.mean() / change.mean() < FACTOR


@pytest.mark.parametrize("terms", [16, 256, 4096])
def test_a_sum_term_by_term_errs_as_derived(terms: int) -> None:
    generator = torch.Generator().manual_seed(0)
    products = torch.randn(4000, terms, generator=generator)
    total = torch.zeros(4000)
    for index in range(terms):
        total += products[:, index]
    error = (total.double() - products.double().sum(dim=1)) / products.double().square().sum(dim=1).sqrt()
    # Partial sums do not grow as evenly as the derivation has it, and rounding errors lie between u/2 and u.
    assert 0.4 < float(error.std()) / relative_error(terms, Precision.FLOAT32) < 1.2


def test_halves_add_the_rounding_of_factors() -> None:
    assert relative_error(1, Precision.FLOAT32) == FLOAT32
    assert FLOAT16 <= relative_error(1000, Precision.FLOAT16) < 1.001 * FLOAT16


def test_the_network_is_left_as_it_was(network: Any, images: Any) -> None:
    with torch.no_grad():
        logits = network.forward_low(images)
        moved = disturbed(network)
        assert torch.equal(network.forward_low(images), logits)
        assert not torch.equal(moved.forward_low(images), logits)
    shared = {tensor.data_ptr() for tensor in network.parameters()} & {t.data_ptr() for t in moved.parameters()}
    assert not shared

"""Training: it learns, reports divergence, and its faster layers compute the same function."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import hyperseg
from hyperseg.data import CachedDataset, Classes, Dataset, Layout, Sample, open_split
from hyperseg.layers import ConvBN
from hyperseg.training.distributed import DistributedContext, SyncBatchNorm, synchronise_batchnorm
from hyperseg.training.errors import TrainingError
from hyperseg.training.fast_layers import (
    FrozenConvBN,
    MixedDepthwiseConv,
    freeze_batchnorm,
    optimise_for_device,
    weight_gradient_by_tiles,
)
from hyperseg.training.optimiser import Schedule
from hyperseg.training.recipe import Recipe, load_recipe
from hyperseg.training.splits import TrainingData
from hyperseg.training.start import Start
from hyperseg.training.trainer import Trainer
from hyperseg.training.validation import score

ALONE = DistributedContext(0, 1, torch.device("cpu"))
ITERATIONS = 60
SECONDS = 90.0
"""Limit in CPU seconds of one thread."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Shuffled:
    """Dataset with labels of other images, each rolled to another height: only class frequencies can be learnt, not
    even that roads are at the bottom."""

    def __init__(self, data: Dataset) -> None:
        self._data = data

    @property
    def classes(self) -> Classes:
        return self._data.classes

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Sample:
        label = self._data[(index * 7 + 11) % len(self)].label
        rows = index * len(label) // len(self)
        return dataclasses.replace(self._data[index], label=np.roll(label, rows, axis=0))


def _gradient(value: torch.Tensor) -> torch.Tensor:
    assert value.grad is not None
    return value.grad.clone()


def _trainer(recipe: Path, train: Dataset, val: Dataset, out: Path, overrides: Sequence[str]) -> Trainer:
    loaded: Recipe = load_recipe(str(recipe), overrides)
    torch.manual_seed(0)
    preset = hyperseg.preset("camvid-lite")
    model = hyperseg.create(preset.replace(backbone="efficientnet-lite0", resolution=(128, 192)))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # EfficientNet's 0.01 is for runs of many thousand iterations
    return Trainer(loaded, Start(model), TrainingData(train, train, val), out, ALONE)


@pytest.mark.slow
def test_a_small_network_learns_the_street(recipe: Path, street: Path, tmp_path: Path) -> None:
    train, val = (CachedDataset(open_split(Layout.CAMVID, street, split)) for split in ("train", "val"))
    rates = ["optimiser.learning_rate=5e-3", "optimiser.backbone_learning_rate=5e-3", "average=0.0"]
    settings = [
        f"optimiser.iterations={ITERATIONS}",
        "crops=[{height=128,width=192}]",
        "batch=2",
        "log_every=50",
        *rates,
    ]
    settings.append("checkpoint_every=1000")
    scores = {}
    for name, data, stop in (
        ("untrained", train, 1),
        ("shuffled", Shuffled(train), ITERATIONS),
        ("trained", train, ITERATIONS),
    ):
        trainer = _trainer(recipe, data, val, tmp_path, settings)
        started = time.process_time()
        trainer.run(None, stop)
        assert time.process_time() - started < SECONDS
        scores[name] = score(trainer.forward_loss, val, (128, 192), ALONE).mean_iou
    assert scores["trained"] > 0.2 > max(scores["untrained"], scores["shuffled"]) + 0.05, scores


def test_training_that_diverges_stops_with_a_message(recipe: Path, street: Path, tmp_path: Path) -> None:
    data = CachedDataset(open_split(Layout.CAMVID, street, "val"))
    settings = ["optimiser.learning_rate=1e30", "optimiser.warmup=0", "optimiser.iterations=40", "batch=2"]
    trainer = _trainer(recipe, data, data, tmp_path, settings)
    with pytest.raises(TrainingError, match="the gradient was not finite in 20 iterations in a row"):
        trainer.run(None)


def test_a_bad_gradient_changes_nothing(recipe: Path, street: Path, tmp_path: Path) -> None:
    data = CachedDataset(open_split(Layout.CAMVID, street, "val"))
    trainer = _trainer(recipe, data, data, tmp_path, ["batch=2"])
    trainer.run(None, 2)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    next(trainer.model.parameters()).register_hook(lambda gradient: gradient * float("nan"))
    trainer.run(None, 3)
    assert trainer.skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.named_parameters())


def test_frozen_batchnorm_has_the_outputs_and_gradients_of_separate_layers() -> None:
    torch.manual_seed(0)
    plain = ConvBN(6, 8, 3, 2, padding=(0, 1, 0, 1), activation=nn.ReLU6).double()
    for value in (plain.norm.running_mean, plain.norm.running_var, plain.norm.weight, plain.norm.bias):
        assert isinstance(value, torch.Tensor)
        nn.init.uniform_(value, 0.5, 1.5)
    results = []
    for unit in (plain.eval(), FrozenConvBN(plain)):
        unit.zero_grad()
        x = torch.arange(6.0 * 64, dtype=torch.float64).view(1, 6, 8, 8).div(400).requires_grad_()
        result = unit(x)
        result.square().sum().backward()
        results.append([result, x.grad, *(_gradient(parameter) for parameter in unit.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_replaced_layers_keep_names_and_parameters_of_the_network() -> None:
    model = hyperseg.create(hyperseg.preset("camvid-lite").replace(backbone="efficientnet-lite0"))
    before, classes = model.state_dict(), {type(module) for module in model.modules()}
    parameters = list(model.parameters())
    freeze_batchnorm(model, {name for name in before if name.startswith("backbone.")})
    synchronise_batchnorm(model, DistributedContext(0, 2, torch.device("cpu")))
    optimise_for_device(model, torch.device("cpu"), torch.bfloat16)
    assert {FrozenConvBN, MixedDepthwiseConv, SyncBatchNorm} <= {type(module) for module in model.modules()} - classes
    assert not any(type(module) is nn.BatchNorm2d for module in model.modules())
    assert list(model.state_dict()) == list(before)
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (5, 2)])
def test_mixed_depthwise_convolutions_are_close_to_float32(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    unit = ConvBN(16, 16, kernel, stride, groups=16, padding=(kernel // 2,) * 4)
    x = torch.randn(2, 16, 12, 12)
    weights = torch.randn(2, 16, 12 // stride, 12 // stride)
    results = []
    for compute in (torch.float32, torch.bfloat16):
        unit.zero_grad()
        optimise_for_device(unit, torch.device("cpu"), compute)
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", compute, enabled=compute == torch.bfloat16):
            result = unit(given)
        (result.float() * weights).sum().backward()
        results.append([result.float().detach(), given.grad, _gradient(unit.conv.weight)])
    for exact, mixed in zip(*results, strict=True):
        # bfloat16 rounds by up to 2^-8: two factors and the result of a sum, and the gradient that comes in.
        assert float((exact - mixed).norm() / exact.norm()) < 4 * 2.0**-8


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (7, 2)])
def test_the_weight_gradient_by_tiles_is_the_weight_gradient(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 15, 18, dtype=torch.float64)
    weight = torch.randn(6, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    padding = (kernel // 2, kernel // 2 - 1)
    result = functional.conv2d(x, weight, None, stride, padding, groups=6)
    gradient = torch.randn_like(result)
    result.backward(gradient)
    tiled = weight_gradient_by_tiles(x, gradient, kernel, (stride, stride), padding)
    torch.testing.assert_close(tiled, weight.grad)


def test_the_schedule_rises_and_decays() -> None:
    schedule = Schedule(100, 9, 2.0)
    factors = [schedule.factor(iteration) for iteration in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[100] == 0 and factors[50] == pytest.approx(0.25)
    assert np.argmax(factors) in range(7, 11)

"""Parity: published checkpoints give the logits of the published code."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explained import assert_explained
from torch import nn

import hyperseg
from hyperseg.shapes import SignalSplit

PROMISED = 1e-4
"""Bound on the absolute difference of logits at these small sizes, however much a network amplifies rounding."""
STEP = 11
SHARED = Path(__file__).parents[3] / "shared" / "parity"


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def save(content: dict[str, Any]) -> Path:
        torch.save(content, tmp_path / "checkpoint.pth")
        return tmp_path / "checkpoint.pth"

    return save


@pytest.mark.numerics
@torch.inference_mode()
def test_logits_of_published_code(case, saved):
    model = hyperseg.load(saved(case.checkpoint()))
    assert not model.training
    logits = model(case.images)
    assert logits.shape[-2:] == case.images.shape[-2:]
    _assert_same(logits[:, :, ::STEP, ::STEP], case.logits, model, case.images)


def _assert_same(actual, expected, model, images):
    assert float((actual - expected).abs().max()) <= PROMISED
    assert_explained("published code", actual, expected, model, lambda each: each(images))


@pytest.mark.numerics
@torch.inference_mode()
def test_fold_keeps_logits_and_leaves_no_batchnorm(case, saved):
    model = hyperseg.load(saved(case.checkpoint()))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = hyperseg.fold(model)
    _assert_same(folded(case.images), model(case.images), model, case.images)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert folded.forward_low(case.images).shape[-1] == case.images.shape[-1] // model.config.output_stride


@pytest.mark.numerics
@torch.inference_mode()
def test_images_of_a_batch_do_not_influence_each_other(camvid_s, saved):
    model = hyperseg.load(saved(camvid_s.checkpoint()))
    alone = torch.cat([model(image[None]) for image in camvid_s.images])
    _assert_same(model(camvid_s.images), alone, model, camvid_s.images)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_saved_models_come_back(case, saved, tmp_path, suffix):
    model = hyperseg.load(saved(case.checkpoint()))
    hyperseg.save(model, tmp_path / f"own{suffix}")
    again = hyperseg.load(tmp_path / f"own{suffix}")
    assert again.config == model.config
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_training_checkpoint_of_data_parallel(camvid_s, saved):
    state_dict = {f"module.{key}": value for key, value in camvid_s.state_dict.items()}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    content = camvid_s.checkpoint(state_dict=state_dict, optimizer=optimizer, scheduler={"last_epoch": 3})
    plain = hyperseg.load(saved(camvid_s.checkpoint())).state_dict()
    parallel = hyperseg.load(saved(content)).state_dict()
    assert all(torch.equal(plain[name], value) for name, value in parallel.items())


def test_coordinate_buffers_are_optional(camvid_s, saved):
    state_dict = {key: value for key, value in camvid_s.state_dict.items() if ".coord" not in key}
    assert len(state_dict) < len(camvid_s.state_dict)
    hyperseg.load(saved(camvid_s.checkpoint(state_dict=state_dict)))


@torch.inference_mode()
def test_dead_parts_of_the_context_head(camvid_s, saved):
    """In v1_0 every level reads φ from channel 0: only `in_conv`'s first channels matter."""
    noise = {
        key: torch.rand_like(value) + 0.5 if key.startswith(("weight_mapper.down", "weight_mapper.up")) else value
        for key, value in camvid_s.state_dict.items()
        if value.is_floating_point()
    }
    noisy = hyperseg.load(saved(camvid_s.checkpoint(state_dict={**camvid_s.state_dict, **noise})))
    assert torch.equal(noisy(camvid_s.images), hyperseg.load(saved(camvid_s.checkpoint()))(camvid_s.images))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the full parity cases are not beside the project")
@pytest.mark.parametrize("name", ["camvid_s", "cityscapes_s", "voc_l"])
@torch.inference_mode()
def test_full_logits_of_published_code(name, saved, monkeypatch):
    monkeypatch.syspath_prepend(str(SHARED))
    from make_checkpoint import make_checkpoint  # type: ignore[import-not-found]
    from params import draw_input  # type: ignore[import-not-found]

    model = hyperseg.load(saved(make_checkpoint(SHARED / name)))
    case = json.loads((SHARED / name / "case.json").read_text())
    images = torch.from_numpy(draw_input(case["seed"], *case["input"].values()))
    expected = torch.from_numpy(np.load(SHARED / name / "logits.npz")["logits"])
    assert sum(parameter.numel() for parameter in model.parameters()) == case["parameters"]
    _assert_same(model(images), expected, model, images)
    sys.modules.pop("params", None)
    sys.modules.pop("make_checkpoint", None)


@torch.inference_mode()
def test_v0_2_differs_from_v1_0_by_its_division_only(camvid_s, saved):
    """With camvid-s's sizes both divisions agree, and so do the networks."""
    arch = camvid_s.arch.replace("hyperseg_v1_0.", "hyperseg_v0_2.")
    model = hyperseg.load(saved(camvid_s.checkpoint(arch=arch)))
    assert model.config.signal_split is SignalSplit.PROPORTIONAL
    _assert_same(model(camvid_s.images)[:, :, ::STEP, ::STEP], camvid_s.logits, model, camvid_s.images)


def test_v0_2_division_is_found_from_the_shapes(camvid_s, saved):
    arch = camvid_s.arch.replace("hyperseg_v1_0.", "hyperseg_v0_2.")
    entries = {**camvid_s.state_dict, "decoder.level_2.0.0.signal2weights.weight": torch.rand(704, 2, 1, 1)}
    model = hyperseg.load(saved(camvid_s.checkpoint(arch=arch, state_dict=entries)))
    assert model.config.signal_split is SignalSplit.RESERVED_UNFILLED
    assert [mapper.channels for mapper in model.config.mappers] == [448, 256, 64, 192, 128]

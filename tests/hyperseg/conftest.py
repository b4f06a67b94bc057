"""Parity cases: published checkpoints regenerated from their seeds, with the logits of the published code."""

import io
import json
import lzma
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

FIXTURES = Path(__file__).parent / "parity"
STEP = 11


@dataclass(frozen=True)
class PublishedCase:
    """A published network with drawn weights.

    Attributes:
        name: of the case.
        arch: the constructor call in its checkpoint.
        seed: of weights and input.
        state_dict: the published entries.
        images: the input.
        logits: what the published code returned, at every eleventh pixel.
    """

    name: str
    arch: str
    seed: int
    state_dict: dict[str, Tensor]
    images: Tensor
    logits: Tensor

    def checkpoint(self, **changes: Any) -> dict[str, Any]:
        """Content of the published file, with the NumPy scalar that such files hold."""
        return {
            "epoch": 7,
            "state_dict": dict(self.state_dict),
            "best_iou": np.float64(0.5),
            "arch": self.arch,
            **changes,
        }


def draw(seed: int, key: str, shape: list[int]) -> Tensor:
    """He-scaled normal for weights, 0.1 · normal for biases."""
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 0
    scale = np.sqrt(2.0 / fan_in) if fan_in else 0.1
    return torch.from_numpy((rng.standard_normal(shape) * scale).astype(np.float32))


def draw_images(seed: int, batch: int, height: int, width: int) -> Tensor:
    """Smooth blobs of 32×32 pixels with noise, [batch, 3, height, width]."""
    rng = np.random.default_rng([seed, batch, height, width])
    coarse = rng.standard_normal((batch, 3, height // 32, width // 32))
    smooth = np.kron(coarse, np.ones((1, 1, 32, 32)))
    return torch.from_numpy((smooth + 0.5 * rng.standard_normal((batch, 3, height, width))).astype(np.float32))


def _coordinates(height: int, width: int) -> Tensor:
    x, y = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None].clone()


def _batchnorm(arrays: Any, shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    low, middle, high = arrays["planes"].astype(np.int64)
    codes = low + 256 * middle + 65536 * high
    tensors, start = {}, 0
    for key, base, step in zip(arrays["keys"].tolist(), arrays["lows"], arrays["steps"], strict=True):
        count = int(np.prod(shapes[key]))
        tensors[key] = torch.from_numpy((base + codes[start : start + count] * step).astype(np.float32))
        start += count
    return tensors


def _read_case(name: str) -> PublishedCase:
    arrays = np.load(io.BytesIO(lzma.decompress((FIXTURES / f"{name}.npz.xz").read_bytes())))
    case = json.loads(str(arrays["case"]))
    batchnorm = _batchnorm(arrays, {key: shape for key, shape, _ in case["state_dict"]})
    entries: dict[str, Tensor] = {}
    for key, shape, _ in case["state_dict"]:
        if key in batchnorm:
            entries[key] = batchnorm[key]
        elif key.endswith("num_batches_tracked"):
            entries[key] = torch.tensor(1234)
        elif key.startswith("decoder.coord"):
            entries[key] = _coordinates(*shape[2:])
        else:
            entries[key] = draw(case["seed"], key, shape)
    shape = case["input"]
    images = draw_images(case["seed"], shape["batch"], shape["height"], shape["width"])
    return PublishedCase(name, case["arch"], case["seed"], entries, images, torch.from_numpy(arrays["logits"]))


@pytest.fixture(scope="session", params=["camvid_s", "cityscapes_s", "voc_l"])
def case(request: pytest.FixtureRequest) -> PublishedCase:
    return _read_case(request.param)


@pytest.fixture(scope="session")
def camvid_s() -> PublishedCase:
    return _read_case("camvid_s")


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.manual_seed(0)

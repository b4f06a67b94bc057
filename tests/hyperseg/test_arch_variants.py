"""Checkpoints in the published format beyond the five published networks load and fold."""

from pathlib import Path

import numpy as np
import pytest
import torch

import hyperseg
from hyperseg.checkpoint.arch import configs_from_arch
from hyperseg.checkpoint.names import published_names
from hyperseg.network import HyperSeg

_V1_0 = (
    "levels=2,kernel_sizes=(1,1,1,3,3),level_channels=[64,32,16,16,16],expand_ratio=2,"
    "weight_groups=[32,16,8,16,4],num_classes=12"
)
_V0_1 = "levels=2,kernel_sizes=(1,1,3,3,3,3),expand_ratio=1,weight_groups=[16,16,16,8,8,8],num_classes=19"
VARIANTS = {
    "another backbone": ("v1_0", "b0", _V1_0),
    "a larger backbone": ("v1_0", "b4", _V1_0),
    "no reduction": ("v1_0", "b1", f"{_V1_0},out_feat_scale=None"),
    "a deeper context head": ("v1_0", "b1", _V1_0.replace("levels=2", "levels=3")),
    "no context": ("v1_0", "b1", _V1_0.replace("levels=2", "levels=1")),
    "many classes": ("v1_0", "b1", _V1_0.replace("num_classes=12", "num_classes=150")),
    "meta blocks only": ("v1_0", "b1", _V1_0.replace("(1,1,1,3,3)", "3")),
    "single convolutions only": ("v1_0", "b1", _V1_0.replace("(1,1,1,3,3)", "1")),
    "four levels": (
        "v1_0",
        "b1",
        _V1_0.replace("(1,1,1,3,3)", "(1,1,1,3)").replace("16,16,16]", "16,16]").replace("16,4]", "16]"),
    ),
    "a ratio a level": ("v1_0", "b1", _V1_0.replace("expand_ratio=2", "expand_ratio=[1,1,1,2,4]")),
    "v0_2": ("v0_2", "b1", _V1_0),
    "shared from the second level": ("v1_0_unify", "b1", f"{_V1_0},unify_level=2"),
    "v0_1 with a group a level": ("v0_1", "b1", _V0_1),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variant(name: str, tmp_path: Path) -> None:
    version, backbone, arguments = VARIANTS[name]
    arch = f"hyperseg.models.hyperseg_{version}.hyperseg_efficientnet('efficientnet-{backbone}',{arguments})"
    config = configs_from_arch(arch)[0]
    with torch.device("meta"):
        shapes = HyperSeg(config).state_dict()
    names = published_names(config, shapes)
    assert len(set(names.values())) == len(names)
    state_dict = {
        f"module.{names[key]}": torch.full(value.shape, 0.01 if value.is_floating_point() else 3, dtype=value.dtype)
        for key, value in shapes.items()
    }
    scheduler = {"base_lrs": [1e-3], "last_epoch": 3}
    content = {"epoch": 3, "state_dict": state_dict, "best_iou": np.float64(0.5), "arch": arch, "scheduler": scheduler}
    torch.save(content, tmp_path / "checkpoint.pth")
    model = hyperseg.load(tmp_path / "checkpoint.pth")
    images = torch.zeros(1, 3, config.unit, config.unit)
    with torch.inference_mode():
        assert hyperseg.fold(model)(images).shape == (1, config.num_classes, config.unit, config.unit)

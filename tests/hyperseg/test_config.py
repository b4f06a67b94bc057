"""Configurations: published tables, division of the signal, JSON."""

import json
import subprocess
import sys

import pytest

import hyperseg
from hyperseg.backbones.catalogue import BACKBONES
from hyperseg.checkpoint.arch import configs_from_arch
from hyperseg.shapes import SignalSplit, divide_channels

# preset: per level (inputs, hidden, outputs, weights per patch), per weight mapper (signal channels, groups, start)
TABLE = {
    "camvid-s": (
        [(82, 0, 64, 5248), (94, 0, 32, 3008), (44, 0, 16, 704), (24, 48, 16, 2352), (22, 44, 12, 1892)],
        [(448, 64, 0), (256, 32, 0), (256, 32, 0), (192, 16, 0), (128, 8, 0)],
    ),
    "camvid-l": (
        [
            (82, 0, 64, 5248),
            (94, 0, 32, 3008),
            (44, 0, 16, 704),
            (24, 48, 16, 2352),
            (22, 44, 16, 2068),
            (21, 42, 12, 1764),
        ],
        [(384, 64, 0), (192, 32, 0), (256, 32, 0), (192, 16, 0), (128, 8, 0), (128, 8, 0)],
    ),
    "cityscapes-m": (
        [(82, 0, 64, 5248), (94, 0, 32, 3008), (44, 0, 16, 704), (24, 48, 16, 2352), (34, 68, 19, 4216)],
        [(416, 32, 0), (224, 16, 0), (128, 8, 0), (192, 16, 0), (320, 4, 0)],
    ),
    "cityscapes-s": (
        [(130, 0, 32, 4160), (62, 0, 16, 992), (26, 0, 8, 208), (14, 28, 8, 868), (26, 52, 19, 2808)],
        [(576, 32, 0), (128, 16, 576), (64, 8, 704), (512, 16, 768)],
    ),
    "voc-l": (
        [
            (98, 0, 96, 9408),
            (132, 0, 34, 4488),
            (48, 96, 12, 6624),
            (22, 44, 8, 1716),
            (16, 32, 6, 992),
            (11, 22, 21, 902),
        ],
        [(592, 16, 0), (272, 16, 592), (416, 16, 864), (96, 16, 1280), (48, 16, 1376), (112, 16, 1424)],
    ),
}

_V1_0 = "levels=2,kernel_sizes=(1,1,1,3,3),level_channels=[64,32,16,16,16],expand_ratio=2,with_out_fc=False,"
ARCHS = {
    "camvid-s": "v1_0.hyperseg_efficientnet('efficientnet-b1',pretrained=True,"
    f"{_V1_0}weight_groups=[64,32,32,16,8],coords_res=[(576,576),(576,768)],num_classes=12)",
    "camvid-l": "v1_0.hyperseg_efficientnet('efficientnet-b1',levels=2,kernel_sizes=(1,1,1,3,3,3),expand_ratio=2,"
    "level_channels=[64,32,16,16,16,16],weight_groups=[64,32,32,16,8,8],coords_res=[(768,1024)],num_classes=12)",
    "cityscapes-m": "v1_0.hyperseg_efficientnet('efficientnet-b1',decoder_groups=1,out_feat_scale=[1.,.25,.25,.25,.25],"
    f"{_V1_0}weight_groups=[32,16,8,16,4],coords_res=[(512,512),(512,1024)],num_classes=19)",
    "cityscapes-s": "v1_0_unify.hyperseg_efficientnet('efficientnet-b1',levels=2,out_feat_scale=[1,.166,.2,.25,.4],"
    "kernel_sizes=[1,1,1,3,3],level_channels=[32,16,8,8,8],expand_ratio=2,weight_groups=[32,16,8,16,4],unify_level=4,"
    "coords_res=[(768,768),(768,1536)],num_classes=19)",
    "voc-l": "v0_1.hyperseg_efficientnet('efficientnet-b3',levels=3,kernel_sizes=(1,1,3,3,3,3),expand_ratio=2,"
    "inference_hflip=True,with_out_fc=False,decoder_dropout=None,weight_groups=16,num_classes=21)",
}


@pytest.mark.parametrize("name", TABLE)
def test_published_tables(name):
    levels, mappers = TABLE[name]
    config = hyperseg.preset(name)
    assert [(level.inputs, level.hidden, level.outputs, level.weights) for level in config.levels] == levels
    assert [(mapper.channels, mapper.groups, mapper.start) for mapper in config.mappers] == mappers


@pytest.mark.parametrize("name", ARCHS)
def test_presets_are_the_published_constructor_calls(name):
    assert configs_from_arch(f"hyperseg.models.hyperseg_{ARCHS[name]}") == [hyperseg.preset(name)]


def test_shared_weight_mapper():
    """unify: levels 3 and 4 take consecutive slices of one w."""
    config = hyperseg.preset("cityscapes-s")
    assert [(level.mapper, level.offset) for level in config.levels] == [(0, 0), (1, 0), (2, 0), (3, 0), (3, 868)]
    assert (config.mappers[3].weights, config.mappers[3].rows) == (3676, 3680)


@pytest.mark.parametrize("name", hyperseg.presets())
def test_json_round_trip(name):
    config = hyperseg.preset(name)
    assert hyperseg.Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert hash(config) == hash(hyperseg.preset(name))


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (SignalSplit.RESERVED, (448, 256, 256, 192, 128)),
        (SignalSplit.PROPORTIONAL, (448, 256, 256, 192, 128)),
        (SignalSplit.RESERVED_UNFILLED, (448, 256, 64, 192, 128)),
    ],
)
def test_divisions_of_the_signal(split, expected):
    assert divide_channels(1280, [5248, 3008, 704, 2352, 1892], [64, 32, 32, 16, 8], split) == expected


def test_equal_levels_get_equal_shares():
    """18 equal-sized units of 8 for two equal levels; the odd one out takes the rest."""
    first, second, rest = divide_channels(160, [100, 100, 10], [8, 8, 8], SignalSplit.PROPORTIONAL)
    assert first == second
    assert first + second + rest == 160


def test_proportional_division_may_starve_a_level():
    """The reserve of v1_0 gives a tiny level its unit; without it the rest may be nothing."""
    weights, groups = [1000, 10, 1], [8, 8, 8]
    assert divide_channels(32, weights, groups, SignalSplit.RESERVED) == (16, 8, 8)
    with pytest.raises(ValueError, match="too few"):
        divide_channels(24, [1000, 1000, 1000, 1], [8] * 4, SignalSplit.PROPORTIONAL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "vgg"}, "vgg"),
        ({"kernel_sizes": (1, 1, 1, 3)}, "level_channels"),
        ({"kernel_sizes": (1, 1, 2, 3, 3)}, "kernel_sizes"),
        ({"weight_groups": (7, 1, 1, 1, 1)}, "multiple"),
        ({"out_feat_scale": (1.0,)}, "out_feat_scale"),
        ({"unify_level": 6}, "unify_level"),
        ({"resolution": (0, 64)}, "resolution"),
        ({"context_levels": 0}, "context_levels"),
    ],
)
def test_impossible_configurations(change, said):
    with pytest.raises(ValueError, match=said):
        hyperseg.preset("camvid-s").replace(**change)


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match="camvid-s, camvid-l"):
        hyperseg.preset("camvid-xl")


def test_backbones_of_the_paper():
    assert BACKBONES["efficientnet-b1"].features == (16, 24, 40, 112, 320)
    assert BACKBONES["efficientnet-b3"].features == (24, 32, 48, 136, 384)
    assert BACKBONES["efficientnet-b3"].head == 1536
    assert sum(stage.repeats for stage in BACKBONES["efficientnet-lite1"].stages) == 21


def test_configurations_need_no_torch():
    code = "import hyperseg, sys; hyperseg.presets(); hyperseg.preset('voc-l'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

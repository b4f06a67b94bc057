"""Backbone shapes for configurations: channels and stages, without building a backbone and without PyTorch."""

import math
from dataclasses import dataclass
from enum import Enum


class Family(str, Enum):
    """Backbone families."""

    EFFICIENTNET = "efficientnet"
    EFFICIENTNET_LITE = "efficientnet-lite"
    RESNET = "resnet"
    PSPNET = "pspnet"


@dataclass(frozen=True)
class Stage:
    """Stage of an EfficientNet: repeated inverted residual blocks; `stride` is that of the first."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Backbone:
    """Shape of a backbone.

    Attributes:
        name: as configurations and the published `arch` strings write it.
        features: channels of F_1..F_5 (strides 2..32) before their reduction.
        head: channels of the map that feeds the context head.
        stem: channels of the first convolution.
        stages: EfficientNet's scaled stages; empty for ResNets.
        nominal_size: the image size for which the static SAME padding is computed (EfficientNets).
        depth: layers of a ResNet (18 or 50).
        deep_stem: three 3×3 convolutions instead of one 7×7, as in PSPNet's ResNet50.
    """

    name: str
    family: Family
    features: tuple[int, int, int, int, int]
    head: int
    stem: int = 64
    stages: tuple[Stage, ...] = ()
    nominal_size: int = 0
    depth: int = 0
    deep_stem: bool = False


def _round_channels(channels: int, width: float) -> int:
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _efficientnet(name: str, width: float, depth: float, size: int, *, lite: bool = False) -> Backbone:
    stages = []
    for index, stage in enumerate(_STAGES):
        fixed = lite and index in (0, len(_STAGES) - 1)  # EfficientNet-Lite scales neither end
        repeats = stage.repeats if fixed else math.ceil(depth * stage.repeats)
        channels = _round_channels(stage.channels, width)
        stages.append(Stage(repeats, stage.kernel, stage.stride, stage.expand, channels))
    channels_at = [stages[i].channels for i in (0, 1, 2, 4, 6)]
    return Backbone(
        name,
        Family.EFFICIENTNET_LITE if lite else Family.EFFICIENTNET,
        (channels_at[0], channels_at[1], channels_at[2], channels_at[3], channels_at[4]),
        head=1280 if lite else _round_channels(1280, width),
        stem=32 if lite else _round_channels(32, width),
        stages=tuple(stages),
        nominal_size=size,
    )


_RESNET18 = (64, 64, 128, 256, 512)
_PSPNET50 = (128, 256, 512, 1024, 2048)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _efficientnet("efficientnet-b0", 1.0, 1.0, 224),
        _efficientnet("efficientnet-b1", 1.0, 1.1, 240),
        _efficientnet("efficientnet-b2", 1.1, 1.2, 260),
        _efficientnet("efficientnet-b3", 1.2, 1.4, 300),
        _efficientnet("efficientnet-b4", 1.4, 1.8, 380),
        _efficientnet("efficientnet-b5", 1.6, 2.2, 456),
        _efficientnet("efficientnet-b6", 1.8, 2.6, 528),
        _efficientnet("efficientnet-b7", 2.0, 3.1, 600),
        # 256 and not Lite's 224..260: TensorFlow pads by the real size, which here is always a multiple of 32.
        _efficientnet("efficientnet-lite0", 1.0, 1.0, 256, lite=True),
        _efficientnet("efficientnet-lite1", 1.0, 1.1, 256, lite=True),
        Backbone("resnet18", Family.RESNET, _RESNET18, head=1280, depth=18),
        Backbone("pspnet18", Family.PSPNET, _RESNET18, head=1280, depth=18),
        Backbone("pspnet50", Family.PSPNET, _PSPNET50, head=2048, stem=128, depth=50, deep_stem=True),
    )
}

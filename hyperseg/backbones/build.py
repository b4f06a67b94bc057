"""A backbone module for a configuration."""

from torch import nn

from hyperseg.backbones.catalogue import Family
from hyperseg.backbones.efficientnet import EfficientNet
from hyperseg.backbones.resnet import ResNet
from hyperseg.config import Config


def build_backbone(config: Config) -> nn.Module:
    """The encoder that the configuration names, with random weights."""
    shape = config.backbone_shape
    if shape.family in (Family.EFFICIENTNET, Family.EFFICIENTNET_LITE):
        return EfficientNet(shape, config.out_feat_scale, config.drop_connect, config.dropout)
    return ResNet(shape, config.out_feat_scale)

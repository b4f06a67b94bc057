"""HyperSeg network: encoder, context head and decoder (paper, Eq. 1 to 4)."""

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbones.catalogue import Family
from hyperseg.backbones.efficientnet import EfficientNet
from hyperseg.backbones.resnet import ResNet
from hyperseg.config import Config, ContextHead
from hyperseg.context_head import FullContextHead, NestedContextHead
from hyperseg.decoder import Decoder
from hyperseg.presets import preset
from hyperseg.static_decoder import StaticDecoder


def check_size(height: int, width: int, unit: int) -> None:
    """Raise a ValueError that names the unit and the nearest valid size unless both are multiples of the unit."""
    if height % unit == 0 and width % unit == 0 and height and width:
        return
    nearest = [max(unit, int(size / unit + 0.5) * unit) for size in (height, width)]
    raise ValueError(
        f"input of {height}x{width} (height x width): both must be multiples of {unit}; "
        f"the nearest valid size is {nearest[0]}x{nearest[1]}"
    )


class HyperSeg(nn.Module):
    """Network of the HyperSeg family.

    Attributes:
        config: its configuration.
        backbone: b, image -> F_1..F_5 and the last map.
        context_head: h, last map -> signal φ.
        decoder: d with the weight mappers w_i.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = _build_backbone(config)
        head = NestedContextHead if config.context_head is ContextHead.NESTED else FullContextHead
        self.context_head: nn.Module = head(config.backbone_shape.head, config.context_levels)
        self.decoder: nn.Module = Decoder(config) if config.dynamic else StaticDecoder(config)

    @property
    def output_stride(self) -> int:
        """Input size over the size of `forward_low`'s logits."""
        return self.config.output_stride

    def forward_low(self, images: Tensor) -> Tensor:
        """Logits at the finest decoder level.

        Args:
            images: normalised RGB, float [N, 3, H, W]; H and W multiples of `config.unit`.

        Returns:
            [N, classes, H / output_stride, W / output_stride].

        Raises:
            ValueError: a height or width that is not a multiple of the unit.
        """
        check_size(images.shape[-2], images.shape[-1], self.config.unit)
        features, last = self.backbone(images)
        signal = self.context_head(last)
        logits: Tensor = self.decoder(images, features, signal)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes, H, W] at the size of the images; arguments and errors as in `forward_low`."""
        logits = self.forward_low(images)
        if self.output_stride == 1:
            return logits
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def create(network: str | Config) -> HyperSeg:
    """Create a network in training mode, with random weights.

    Args:
        network: the name of a preset (`hyperseg.presets()` lists them), or a configuration.

    Raises:
        ValueError: an unknown preset.
    """
    return HyperSeg(preset(network) if isinstance(network, str) else network)


def _build_backbone(config: Config) -> nn.Module:
    shape = config.backbone_shape
    if shape.family in (Family.EFFICIENTNET, Family.EFFICIENTNET_LITE):
        return EfficientNet(shape, config.out_feat_scale, config.drop_connect, config.dropout)
    return ResNet(shape, config.out_feat_scale)

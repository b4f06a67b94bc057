"""HyperSeg: patch-wise hypernetworks for real-time semantic segmentation (Nirkin, Wolf, Hassner, CVPR 2021), in PyTorch.

    model = hyperseg.create("camvid-s")          # an nn.Module; also hyperseg.create(hyperseg.Config(...))
    model = hyperseg.load("checkpoint.pth")      # published or ours, in eval mode
    logits = model(images)                       # float [N, 3, H, W], normalised -> [N, classes, H, W]
    hyperseg.save(model, "m.pt")

Names are imported when they are first used: `import hyperseg` alone does not import PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperseg.checkpoint.load import load as load
    from hyperseg.checkpoint.save import save as save
    from hyperseg.config import Config as Config
    from hyperseg.create import create as create
    from hyperseg.errors import CheckpointError as CheckpointError
    from hyperseg.fold import fold as fold
    from hyperseg.network import HyperSeg as HyperSeg
    from hyperseg.presets import preset as preset
    from hyperseg.presets import presets as presets

_HOMES = {
    "CheckpointError": "errors",
    "Config": "config",
    "HyperSeg": "network",
    "create": "create",
    "fold": "fold",
    "load": "checkpoint.load",
    "preset": "presets",
    "presets": "presets",
    "save": "checkpoint.save",
}

__all__ = ["CheckpointError", "Config", "HyperSeg", "create", "fold", "load", "preset", "presets", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hyperseg' has no attribute {name!r}")
    value = getattr(import_module(f"hyperseg.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

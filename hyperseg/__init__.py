"""HyperSeg: patch-wise hypernetworks for real-time semantic segmentation (Nirkin et al., CVPR 2021), in PyTorch.

    model = hyperseg.create("camvid-s")          # an nn.Module; also hyperseg.create(hyperseg.Config(...))
    model = hyperseg.load("checkpoint.pth")      # published or ours, in eval mode
    logits = model(images)                       # float [N, 3, H, W], normalised -> [N, classes, H, W]
    hyperseg.save(model, "m.pt")

Names are imported when they are first used: `import hyperseg` alone does not import PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Imported at once: `presets` is a module and a function.
from hyperseg.presets import preset as preset
from hyperseg.presets import presets as presets

if TYPE_CHECKING:
    from hyperseg.checkpoint.backbone import load_backbone_weights as load_backbone_weights
    from hyperseg.checkpoint.files import save as save
    from hyperseg.checkpoint.load import load as load
    from hyperseg.checkpoint.onnx_file import shipped as shipped
    from hyperseg.config import Config as Config
    from hyperseg.cost import Summary as Summary
    from hyperseg.cost import summary as summary
    from hyperseg.errors import CheckpointError as CheckpointError
    from hyperseg.folding import fold as fold
    from hyperseg.network import HyperSeg as HyperSeg
    from hyperseg.network import create as create

_MODULES = {
    "CheckpointError": "errors",
    "Config": "config",
    "HyperSeg": "network",
    "Summary": "cost",
    "create": "network",
    "fold": "folding",
    "load": "checkpoint.load",
    "load_backbone_weights": "checkpoint.backbone",
    "save": "checkpoint.files",
    "shipped": "checkpoint.onnx_file",
    "summary": "cost",
}

__all__ = [
    "CheckpointError",
    "Config",
    "HyperSeg",
    "Summary",
    "create",
    "fold",
    "load",
    "load_backbone_weights",
    "preset",
    "presets",
    "save",
    "shipped",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'hyperseg' has no attribute {name!r}")
    value = getattr(import_module(f"hyperseg.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

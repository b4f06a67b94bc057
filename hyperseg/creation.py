"""`hyperseg.create`: a network with random weights."""

from hyperseg.config import Config
from hyperseg.network import HyperSeg
from hyperseg.presets import preset


def create(network: str | Config) -> HyperSeg:
    """A network in training mode, its weights random.

    Args:
        network: a preset's name (`hyperseg.presets()` lists them) or a configuration.

    Raises:
        ValueError: an unknown preset.
    """
    return HyperSeg(preset(network) if isinstance(network, str) else network)

"""The scores of semantic segmentation."""

from hyperseg.metrics.confusion import Confusion

__all__ = ["Confusion"]

"""Renderer of a street drive with exact labels in CamVid's classes. Needs only NumPy and OpenCV."""

from hyperseg_street.canvas import Label
from hyperseg_street.street import Frame, Street

__all__ = ["Frame", "Label", "Street"]

"""A rendered street drive with exact labels in CamVid's classes. Needs numpy and OpenCV only."""

from hyperseg.street.labels import Label
from hyperseg.street.street import Frame, Street

__all__ = ["Frame", "Label", "Street"]

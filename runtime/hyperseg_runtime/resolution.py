"""The network's resolution, where a model was exported for more than one."""

from __future__ import annotations

from hyperseg_runtime.errors import InputError
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.preprocess import Size


def network_size(metadata: Metadata, resolution: Size | None) -> Size:
    """The network's height and width for a requested resolution. Raises InputError if the model does not take it."""
    spec = metadata.input
    if resolution is None or resolution == (spec.height, spec.width):
        return spec.height, spec.width
    if not spec.dynamic_size:
        raise InputError(
            f"resolution {resolution[0]}x{resolution[1]}: this model is fixed to {spec.height}x{spec.width}; "
            "export it with --dynamic, or at that resolution"
        )
    if any(value < spec.multiple or value % spec.multiple for value in resolution):
        nearest = [max(1, round(value / spec.multiple)) * spec.multiple for value in resolution]
        raise InputError(
            f"resolution {resolution[0]}x{resolution[1]} is not a multiple of {spec.multiple}; "
            f"use {nearest[0]}x{nearest[1]}"
        )
    return resolution

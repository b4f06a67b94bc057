"""Checks that every backend makes the same way: a model's inputs and outputs, and the images given to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.errors import InputError, MetadataError
from hyperseg_runtime.metadata import InputSpec, InputType, Metadata, OutputKind

Signature = Mapping[str, tuple[str, Sequence[int | str | None]]]
"""Name to ONNX type ("tensor(uint8)") and shape, whose dynamic dimensions are texts or None."""

_OUTPUTS = {
    OutputKind.LABELS: {"labels": "tensor(uint8)"},
    OutputKind.LOGITS: {"logits": "tensor(float)"},
    OutputKind.BOTH: {"labels": "tensor(uint8)", "logits": "tensor(float)"},
}


def check_signature(metadata: Metadata, inputs: Signature, outputs: Signature, source: str) -> None:
    """Raises MetadataError where a graph's inputs or outputs are not those its metadata promise."""
    wanted_type = "tensor(uint8)" if metadata.input.dtype is InputType.UINT8 else "tensor(float)"
    given = {name: kind for name, (kind, _) in inputs.items()}
    if given != {"image": wanted_type}:
        raise MetadataError(
            f"{source}: its inputs are {given}, its metadata promise image: {wanted_type}; export it again"
        )
    produced = {name: kind for name, (kind, _) in outputs.items()}
    promised = _OUTPUTS[metadata.output]
    if produced != promised:
        raise MetadataError(f"{source}: its outputs are {produced}, its metadata promise {promised}; export it again")
    shape = inputs["image"][1]
    spec = metadata.input
    if len(shape) != 4:
        raise MetadataError(f"{source}: its input has {len(shape)} dimensions, not 4; export it again")
    height, width = (shape[1], shape[2]) if spec.dtype is InputType.UINT8 else (shape[2], shape[3])
    for size, promised_size in ((height, spec.height), (width, spec.width)):
        if isinstance(size, int) and size != promised_size:
            raise MetadataError(
                f"{source}: its input is {height}x{width}, its metadata say {spec.height}x{spec.width}; export it again"
            )


def check_images(spec: InputSpec, images: Images) -> None:
    """Raises InputError where images are not what the model takes; says what it takes."""
    uint8 = spec.dtype is InputType.UINT8
    size = images.shape[1:3] if uint8 else images.shape[2:4]
    fits_rank = images.ndim == 4 and images.shape[3 if uint8 else 1] == 3
    if images.dtype != np.dtype(spec.dtype.value) or not fits_rank:
        layout = "[N, H, W, 3]" if uint8 else "[N, 3, H, W]"
        raise InputError(f"the model takes {spec.dtype.value} {layout}, not {images.dtype} {list(images.shape)}")
    if images.shape[0] != 1 and not spec.dynamic_batch:
        raise InputError(f"the model takes one image at a time, not {images.shape[0]}; export it with --dynamic")
    if spec.dynamic_size:
        if size[0] % spec.multiple or size[1] % spec.multiple or 0 in size:
            raise InputError(
                f"the model takes heights and widths that are multiples of {spec.multiple}, not {size[0]}x{size[1]}"
            )
    elif size != (spec.height, spec.width):
        raise InputError(f"the model takes {spec.height}x{spec.width} images, not {size[0]}x{size[1]}")

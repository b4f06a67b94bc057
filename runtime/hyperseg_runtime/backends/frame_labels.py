"""Labels at the sizes of frames, from low-resolution logits on the host: for sessions whose logits are computed there.

GPU backends compute them on the device instead and download labels alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.upsampling import LowLogits, Placement, labels_at

if TYPE_CHECKING:
    from hyperseg_runtime.backends.protocol import Images
    from hyperseg_runtime.preprocess import Labels


def check_placements(images: Images, placements: Sequence[Placement]) -> None:
    """Raises InputError unless there is one placement for each image."""
    if len(placements) != len(images):
        raise InputError(f"{len(images)} images have {len(placements)} placements; give one for each image")


def check_low_logits(shape: Sequence[int], classes: int) -> None:
    """Raises ModelError unless it is that of logits of so many classes, [N, C, h, w]: a graph may come from anywhere,
    and its shapes may be unknown until it runs."""
    if len(shape) != 4 or shape[1] != classes:
        raise ModelError(
            f"the logits before the graph's end are {list(shape)}, not those of {classes} classes; export the model "
            "again with hyperseg-export"
        )


def labels_on_host(logits: LowLogits, placements: Sequence[Placement], threads: int | None) -> list[Labels]:
    """[N, C, h, w] -> each image's uint8 [H, W]."""
    return [labels_at(image, placement, threads) for image, placement in zip(logits, placements, strict=True)]


def no_frame_labels(model: object, reason: str) -> str:
    """The sentence on a model whose labels are enlarged to frames by nearest neighbour. reason: with the remedy."""
    return f"{model}: labels of other sizes than its own are enlarged by nearest neighbour, in steps: {reason}"

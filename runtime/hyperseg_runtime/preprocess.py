"""Preprocessing of frames to network inputs, and resizing of labels back to the frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.backends.protocol import Images, Outputs
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.fitting import Area
from hyperseg_runtime.metadata import InputSpec, InputType

Frame = NDArray[np.uint8]
"""uint8 [h, w, 3], BGR as OpenCV reads."""
Labels = NDArray[np.uint8]
"""uint8 [h, w]"""
Size = tuple[int, int]
"""Height and width."""


def check_frame(frame: Frame, which: str = "a frame") -> None:
    """Raises InputError unless `frame` is uint8 [h, w, 3] with h and w at least 1. which: what messages call it."""
    if frame is None:
        raise InputError(f"{which} is None, which cv2.imread gives for a file that it cannot read; check its path")
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        what = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"{which} is uint8 [h, w, 3] in BGR order, not {what}; cv2.imread gives such frames")
    if 0 in frame.shape:
        raise InputError(f"{which} is empty: its shape is {list(frame.shape)}; give one with pixels")


def check_labels(labels: Labels, frame: Frame) -> None:
    """Raises InputError unless `labels` is uint8 [h, w] of the frame's size."""
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8 or labels.shape != frame.shape[:2]:
        what = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise InputError(f"the labels of this frame are uint8 {list(frame.shape[:2])}, not {what}")


def prepare(frame: Frame, spec: InputSpec, size: Size, area: Area | None = None) -> Images:
    """The network's input of `size` for one frame, which is resized to `area`; None: to all of it.

    Shrinks by area and enlarges bilinearly (cv2.INTER_AREA, INTER_LINEAR); BGR becomes RGB. Around the area is the
    network's mean colour, to the nearest integer, which is zero once it is normalised.
    """
    height, width = size if area is None else area.size
    if frame.shape[:2] != (height, width):
        shrinks = frame.shape[0] >= height and frame.shape[1] >= width
        frame = np.asarray(
            cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
    rgb = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    if area is not None and area.size != size:
        padded = np.empty((*size, 3), np.uint8)
        padded[:] = np.rint(255.0 * np.asarray(spec.mean))
        padded[area.top : area.top + height, area.left : area.left + width] = rgb
        rgb = padded
    if spec.dtype is InputType.UINT8:
        return rgb[np.newaxis]
    scale = 1.0 / (255.0 * np.asarray(spec.std))
    shift = -np.asarray(spec.mean) / np.asarray(spec.std)
    normalised = rgb.astype(np.float32) * scale.astype(np.float32) + shift.astype(np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[np.newaxis])


def batch_labels(outputs: Outputs) -> Labels:
    """All images' labels, [N, H, W]: the model's own, or the argmax of its logits (ties to the lowest class)."""
    if outputs.labels is not None:
        return outputs.labels
    assert outputs.logits is not None
    labels: Labels = outputs.logits.argmax(axis=1).astype(np.uint8)
    return labels


def restore(labels: Labels, size: Size) -> Labels:
    """The labels at the frame's size, nearest neighbour by pixel centres (cv2.INTER_NEAREST_EXACT)."""
    if labels.shape == size:
        return labels
    resized = cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.uint8)

"""Preprocessing of frames to network inputs, and resizing of labels back to the frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.backends.protocol import Images, Outputs
from hyperseg_runtime.errors import InputError
from hyperseg_runtime.metadata import InputSpec, InputType

Frame = NDArray[np.uint8]
"""uint8 [h, w, 3], BGR as OpenCV reads."""
Labels = NDArray[np.uint8]
"""uint8 [h, w]"""
Size = tuple[int, int]
"""Height and width."""


def check_frame(frame: Frame) -> None:
    """Raises InputError unless `frame` is uint8 [h, w, 3] with h and w at least 1."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        what = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"a frame is uint8 [h, w, 3] in BGR order, not {what}; cv2.imread gives such frames")
    if 0 in frame.shape:
        raise InputError(f"the frame is empty: its shape is {list(frame.shape)}")


def prepare(frame: Frame, spec: InputSpec, size: Size) -> Images:
    """The network's input for one frame, resized to `size`; the aspect ratio is not kept.

    Shrinks by area and enlarges bilinearly (cv2.INTER_AREA, INTER_LINEAR); BGR becomes RGB.
    """
    height, width = size
    if frame.shape[:2] != size:
        shrinks = frame.shape[0] >= height and frame.shape[1] >= width
        frame = np.asarray(
            cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
    rgb = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    if spec.dtype is InputType.UINT8:
        return rgb[np.newaxis]
    scale = 1.0 / (255.0 * np.asarray(spec.std))
    shift = -np.asarray(spec.mean) / np.asarray(spec.std)
    normalised = rgb.astype(np.float32) * scale.astype(np.float32) + shift.astype(np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[np.newaxis])


def labels_of(outputs: Outputs) -> Labels:
    """The first image's labels, [H, W], as `batch_labels`."""
    first: Labels = batch_labels(outputs)[0]
    return first


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

"""Augmentation: one affine warp for scale, aspect, rotation, mirroring and crop, and a colour transform.

The label is warped by the same matrix as its image, by nearest neighbour; pixels outside the image are void.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from hyperseg.classes import VOID
from hyperseg.data.dataset import Sample
from hyperseg.data.reading import Pixels

Matrix = NDArray[np.float64]

_OUTSIDE = (127.0, 127.0, 127.0)
_TRIES = 10


class ScaleOf(str, Enum):
    """Size that a scale of 1 refers to: the image's own, or the evaluation size that the image is stretched to."""

    IMAGE = "picture"  # the value in recipes and in the state of training runs
    EVALUATION = "evaluation"


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation: ranges of its parameters; the defaults only crop."""

    scale: tuple[float, float] = (1.0, 1.0)
    scale_of: ScaleOf = ScaleOf.IMAGE
    aspect: float = 0.0
    """The width is stretched by up to e^±aspect, and the height by its inverse."""
    rotation: float = 0.0
    """Degrees, either way."""
    flip: bool = False
    brightness: float = 0.0
    """Share of the full range, either way."""
    contrast: tuple[float, float] = (1.0, 1.0)
    saturation: tuple[float, float] = (1.0, 1.0)
    tint: float = 0.0
    """Each colour channel is multiplied by its own factor of up to 1 ± tint."""
    dominance: float = 1.0
    """A crop in which one class covers more than this share of the labelled pixels is drawn again, up to ten times."""

    def __call__(
        self, sample: Sample, crop: tuple[int, int], evaluation: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """Augment a sample: uint8 [h, w, 3] and its label [h, w], `crop` and `evaluation` being (height, width)."""
        for _ in range(_TRIES):
            matrix = self._draw_matrix(sample.label.shape, crop, evaluation, rng)
            label = warp_label(sample.label, matrix, crop)
            if self.dominance >= 1 or _largest_share(label) <= self.dominance:
                break
        return self._recolour(warp_image(sample.image, matrix, crop), rng), label

    def _draw_matrix(
        self, size: tuple[int, ...], crop: tuple[int, int], evaluation: tuple[int, int], rng: np.random.Generator
    ) -> Matrix:
        height, width = size
        scale = math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        stretch = math.exp(rng.uniform(-self.aspect, self.aspect))
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        mirror = -1.0 if self.flip and rng.random() < 0.5 else 1.0
        base_x, base_y = (
            (1.0, 1.0) if self.scale_of is ScaleOf.IMAGE else (evaluation[1] / width, evaluation[0] / height)
        )
        scale_x, scale_y = base_x * scale * stretch, base_y * scale / stretch
        centre = [_draw_centre(width, crop[1] / scale_x, rng), _draw_centre(height, crop[0] / scale_y, rng)]
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        linear = turn @ np.diag([scale_x * mirror, scale_y])
        shift = np.array([crop[1] / 2, crop[0] / 2]) - linear @ np.array(centre)
        return np.column_stack([linear, shift])

    def _recolour(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        brightness = rng.uniform(-self.brightness, self.brightness) * 255
        contrast = rng.uniform(*self.contrast)
        saturation = rng.uniform(*self.saturation)
        tint = rng.uniform(1 - self.tint, 1 + self.tint, 3)
        # One 3x4 colour matrix for all of it: contrast pivots on mid-grey, saturation on the pixel's own grey.
        grey = np.outer(np.ones(3), [0.299, 0.587, 0.114])
        linear = contrast * np.diag(tint) @ (saturation * np.eye(3) + (1 - saturation) * grey)
        offset = np.full(3, brightness + 127.5 * (1 - contrast))
        if np.allclose(linear, np.eye(3)) and not offset.any():
            return image
        return np.asarray(cv2.transform(image, np.column_stack([linear, offset])), np.uint8)


def warp_label(label: Pixels, matrix: Matrix, crop: tuple[int, int]) -> Pixels:
    """Apply a 2x3 matrix (image to crop coordinates, pixel k reaching from k to k + 1) to class indices [H, W]."""
    return np.asarray(
        cv2.warpAffine(
            label,
            _between_centres(matrix),
            (crop[1], crop[0]),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=VOID,
        ),
        np.uint8,
    )


def warp_image(image: Pixels, matrix: Matrix, crop: tuple[int, int]) -> Pixels:
    """Apply the matrix of `warp_label` to an image [H, W, 3]."""
    # Bilinear sampling would skip pixels below half size: average them away first.
    while min(np.linalg.norm(matrix[:, 0]), np.linalg.norm(matrix[:, 1])) <= 0.5 and min(image.shape[:2]) >= 2:
        height, width = image.shape[:2]
        image = np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
        factors = [width / (width // 2), height / (height // 2)]
        matrix = np.column_stack([matrix[:, :2] @ np.diag(factors), matrix[:, 2]])
    return np.asarray(
        cv2.warpAffine(
            image,
            _between_centres(matrix),
            (crop[1], crop[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=_OUTSIDE,
        ),
        np.uint8,
    )


def _between_centres(matrix: Matrix) -> Matrix:
    """Shift the origin by half a pixel on both sides: OpenCV puts the centre of pixel k at k, not at k + 1/2."""
    half = np.array([0.5, 0.5])
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ half - half])


def _draw_centre(length: int, window: float, rng: np.random.Generator) -> float:
    """Draw the centre of a window: within the image if the window fits, else around it."""
    low, high = sorted((window / 2, length - window / 2))
    return float(rng.uniform(low, high))


def _largest_share(label: Pixels) -> float:
    counts = np.bincount(label.ravel(), minlength=256)[:VOID]
    return float(counts.max() / max(1, counts.sum()))

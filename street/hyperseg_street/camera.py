"""Pinhole camera over a flat street: X to the right, Y up, Z along the street, in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

NEAR = 0.6
"""Distance of the near plane in metres."""


@dataclass(frozen=True)
class Camera:
    """Pose and intrinsics: `focal` and `horizon` (its row) in pixels, `yaw` in radians."""

    x: float
    y: float
    z: float
    yaw: float
    focal: float
    horizon: float
    width: int
    height: int

    def to_view(self, points: Points) -> Points:
        """Transform world points [N, 3] to camera coordinates."""
        moved = points - np.array([self.x, self.y, self.z])
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return np.stack(
            [cos * moved[:, 0] - sin * moved[:, 2], moved[:, 1], sin * moved[:, 0] + cos * moved[:, 2]], axis=1
        )

    def to_pixels(self, view: Points) -> Points:
        """Project camera coordinates [N, 3] in front of the camera to pixels [N, 2]."""
        across = self.width / 2 + self.focal * view[:, 0] / view[:, 2]
        down = self.horizon - self.focal * view[:, 1] / view[:, 2]
        return np.stack([across, down], axis=1)

    def polygon(self, points: Points) -> Points | None:
        """Clip a polygon at the near plane and project it; None if nothing remains."""
        view = clip_near(self.to_view(np.asarray(points, np.float64)))
        return self.to_pixels(view) if len(view) >= 3 else None

    def point(self, x: float, y: float, z: float) -> tuple[float, float, float] | None:
        """Project one point to (across, down, pixels per metre); None behind the near plane."""
        view = self.to_view(np.array([[x, y, z]]))
        if view[0, 2] < NEAR:
            return None
        across, down = self.to_pixels(view)[0]
        return float(across), float(down), self.focal / float(view[0, 2])

    def distance(self, x: float, z: float) -> float:
        """Depth of a point on the ground."""
        return float(self.to_view(np.array([[x, 0.0, z]]))[0, 2])


def clip_near(view: Points) -> Points:
    """Clip a polygon against the near plane (Sutherland and Hodgman)."""
    kept: list[Points] = []
    for here, after in zip(view, np.roll(view, -1, axis=0), strict=True):
        inside, next_inside = here[2] >= NEAR, after[2] >= NEAR
        if inside:
            kept.append(here)
        if inside != next_inside:
            kept.append(here + (after - here) * (NEAR - here[2]) / (after[2] - here[2]))
    return np.array(kept) if kept else np.empty((0, 3))

"""Memory layouts of the inputs: X in NCHW or channels last, theta's pieces within wider rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.cuda_library import MapLayout

from .cases import Case, UpsampleArgmaxCase


@dataclass(frozen=True)
class Placement:
    """Memory layout of a case's inputs. Padding is NaN, so that a kernel that reads it fails."""

    x_layout: MapLayout = MapLayout.NCHW
    before: int = 0
    """Values before each of theta's pieces."""
    behind: int = 0

    def of(self, case: Case) -> list[NDArray[Any] | None]:
        """The case's inputs in order. X keeps the shape [N, C, H, W] only in NCHW."""
        inputs = dict(case.inputs())
        x = inputs["X"]
        assert x is not None
        inputs["X"] = _laid_out(x, self.x_layout)
        if not isinstance(case, UpsampleArgmaxCase) and (self.before or self.behind):
            theta = inputs["theta"]
            assert theta is not None
            inputs["theta"] = np.pad(theta, [(0, 0)] * 4 + [(self.before, self.behind)], constant_values=np.nan)
        return [None if value is None else np.ascontiguousarray(value) for value in inputs.values()]

    def piece_length(self, case: Case) -> int:
        """L if the rows of theta are wider, else 0."""
        if not self.before and not self.behind:
            return 0
        theta = case.inputs()["theta"]
        assert theta is not None
        return int(theta.shape[-1])


PADDED_ROWS = Placement(MapLayout.NHWC, before=4, behind=4)
"""Rows of theta that leave its pieces aligned, where their own length does."""
UNEVEN_ROWS = Placement(MapLayout.NHWC8, before=3, behind=2)
PLACEMENTS = {
    "NCHW": Placement(),
    "NHWC, theta rows padded by 4": PADDED_ROWS,
    "NHWC padded to 8 channels, theta rows padded unevenly": UNEVEN_ROWS,
}
"""The placements that every CUDA kernel is tested in."""


def placements_of(case: Case) -> dict[str, Placement]:
    """The `PLACEMENTS` that the case's operator supports, by name."""
    return {"NCHW": Placement()} if isinstance(case, UpsampleArgmaxCase) else PLACEMENTS


def _laid_out(x: NDArray[Any], layout: MapLayout) -> NDArray[Any]:
    if layout is MapLayout.NCHW:
        return x
    spare = -x.shape[1] % 8 if layout is MapLayout.NHWC8 else 0
    return np.pad(x.transpose(0, 2, 3, 1), [(0, 0)] * 3 + [(0, spare)], constant_values=np.nan)

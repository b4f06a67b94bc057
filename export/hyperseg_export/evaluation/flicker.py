"""Temporal consistency of a clip's labels, measured against labels of every frame.

Flicker is the share of pixels whose predicted class changes from one frame to the next although their true class does
not. It is 1 - VC_2 of the video consistency VC_n (Miao et al.: VSPW, A Large-scale Dataset for Video Scene Parsing in
the Wild, CVPR 2021, Sec. 5): of the pixels whose true class is the same in n frames in a row, the share whose predicted
class is too, the mean over all n in a row; mVC_n is its mean over clips. Whether the predicted class is right does not
matter to either, as in VSPW's own evaluation: mean IoU says that. The temporal consistency of Liu et al. (Efficient
Semantic Video Segmentation with Per-frame Inference, ECCV 2020) needs optical flow instead of labels, whose errors it
counts as the network's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hyperseg.data import Pixels

WINDOWS = (8, 16)
"""The n of VC_n that VSPW reports."""


@dataclass
class TemporalConsistency:
    """Counts the frames of one clip, in order; `classes` and above in the truth are void, which nothing counts."""

    classes: int
    _pairs: int = field(default=0, init=False)
    _changed: int = field(default=0, init=False)
    _shares: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in WINDOWS}, init=False)
    _truth: _Unchanged | None = field(default=None, init=False)
    _prediction: _Unchanged | None = field(default=None, init=False)

    def add(self, truth: Pixels, prediction: Pixels) -> None:
        """Counts the next frame: uint8 [h, w] both. A frame of another size than the last begins a new shot.

        Raises ValueError where the two are not of one shape.
        """
        if truth.shape != prediction.shape:
            raise ValueError(
                f"the prediction is {prediction.shape}, the truth {truth.shape}; they must be of one shape"
            )
        if self._truth is None or self._prediction is None or self._truth.labels.shape != truth.shape:
            self._truth, self._prediction = _Unchanged(truth), _Unchanged(prediction)
        else:
            self._truth.follow(truth)
            self._prediction.follow(prediction)
        same, kept = self._counted(2)
        self._pairs += same
        self._changed += same - kept
        for window, shares in self._shares.items():
            same, kept = self._counted(window)
            if same:
                shares.append(kept / same)

    def cut(self) -> None:
        """The next frame is of another shot: nothing is compared across."""
        self._truth = self._prediction = None

    def _counted(self, window: int) -> tuple[int, int]:
        """The pixels whose truth was the same in the last frames, and those of them whose prediction was too."""
        assert self._truth is not None and self._prediction is not None
        same = (self._truth.frames >= window) & (self._truth.labels < self.classes)
        return int(same.sum()), int((same & (self._prediction.frames >= window)).sum())

    @property
    def flicker(self) -> float | None:
        """0 to 1; None where no two frames could be compared."""
        return self._changed / self._pairs if self._pairs else None

    def consistency(self, window: int) -> float | None:
        """VC_n for one of WINDOWS, 0 to 1; None where no shot has so many frames."""
        shares = self._shares[window]
        return float(np.mean(shares)) if shares else None


class _Unchanged:
    """For how many frames in a row each pixel has had its label, this one included."""

    def __init__(self, labels: Pixels) -> None:
        self.labels = labels.copy()
        self.frames: NDArray[np.uint8] = np.ones(labels.shape, np.uint8)

    def follow(self, labels: Pixels) -> None:
        self.frames = np.where(labels == self.labels, np.minimum(self.frames, 254) + 1, 1).astype(np.uint8)
        self.labels = labels.copy()

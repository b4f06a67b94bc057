"""How far a file's logits and labels are from the network's, and how far they may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hyperseg_runtime.metadata import Precision, Verification
from numpy.typing import NDArray

from hyperseg_export.errors import DisagreementError

Array = NDArray[Any]


@dataclass(frozen=True)
class Tolerance:
    """What a precision may cost.

    Attributes:
        logits: largest absolute error, in units of the logits' standard deviation or of 1, whichever is larger.
        labels: smallest share of equal labels, pixels aside whose best logits lie closer than twice the error allowed.
        roundings: a larger error is allowed up to so many times PyTorch's own float32 rounding error (its distance
            from float64): some networks, untrained ones most of all, amplify any rounding, whoever does it.
    """

    logits: float
    labels: float
    roundings: float


TOLERANCES = {
    # Sums of float32 in another order: about 1e-6 a layer over some seventy layers. Two independent roundings differ
    # by little more than each is off by itself.
    Precision.FLOAT32: Tolerance(logits=2e-4, labels=0.9999, roundings=4.0),
    # Half precision rounds every activation and weight by up to 2^-11 = 5e-4 of its size. Over some seventy layers of
    # independent roundings that is about 4e-3 of the logits' spread, and a maximum over millions of values lies ten
    # times further out. Measured on a trained camvid-lite: mean 3.5e-3, maximum 0.067, 99.89 % of the labels equal, and
    # the rest undecided within the error. Its rounding is 2^13 times that of float32.
    Precision.FLOAT16: Tolerance(logits=5e-2, labels=0.999, roundings=2.0 * 2**13),
}


class Agreement:
    """Collects errors over pictures."""

    def __init__(self, precision: Precision) -> None:
        self._tolerance = TOLERANCES.get(precision)
        self._pictures = 0
        self._largest = 0.0
        self._excess = 0.0
        self._allowed = 0.0
        self._error_sum = 0.0
        self._values = 0
        self._pixels = 0
        self._equal = 0
        self._tied = 0

    def add(
        self, expected: Array, logits: Array, full: Array, labels: Array | None, rounding: Callable[[], float]
    ) -> None:
        """One batch.

        Args:
            expected: the network's logits, of the size of `logits`.
            logits: the file's, [N, C, h, w].
            full: the network's logits at the input's size, [N, C, H, W].
            labels: the file's, [N, H, W]; None takes them from `logits`.
            rounding: largest error of `expected` against float64; called only where it matters.
        """
        error = np.abs(logits - expected)
        if not np.isfinite(error).all():
            raise DisagreementError("the exported file puts out values that are not finite; nothing was kept")
        largest = float(error.max())
        allowed = self._allow(largest, max(1.0, float(expected.std())), rounding)
        self._pictures += len(full)
        self._largest = max(self._largest, largest)
        self._error_sum += float(error.sum(dtype=np.float64))
        self._values += error.size
        self._compare_labels(logits.argmax(axis=1) if labels is None else labels, full, 2.0 * allowed)

    def _allow(self, error: float, scale: float, rounding: Callable[[], float]) -> float:
        if self._tolerance is None:
            return 0.0
        allowed = self._tolerance.logits * scale
        if error > allowed:
            allowed = max(allowed, self._tolerance.roundings * rounding())
        if error - allowed > self._excess:
            self._excess, self._allowed = error - allowed, allowed
        return allowed

    def _compare_labels(self, labels: Array, expected: Array, tie: float) -> None:
        equal = labels == expected.argmax(axis=1)
        index = np.minimum(labels.astype(np.int64), expected.shape[1] - 1)[:, None]
        margin = expected.max(axis=1) - np.take_along_axis(expected, index, axis=1)[:, 0]
        self._pixels += labels.size
        self._equal += int(equal.sum())
        self._tied += int((~equal & (margin <= tie)).sum())

    def result(self) -> Verification:
        return Verification(
            inputs=self._pictures,
            max_abs_error=self._largest,
            mean_abs_error=self._error_sum / max(self._values, 1),
            label_agreement=self._equal / max(self._pixels, 1),
        )

    def check(self) -> None:
        """Raises DisagreementError, naming what was measured, where it is beyond the tolerance."""
        if self._tolerance is None:
            return
        agreed = (self._equal + self._tied) / max(self._pixels, 1)
        if self._excess > 0:
            raise DisagreementError(
                f"the exported file's logits are off by up to {self._largest:.2g}, more than {self._allowed:.2g}; "
                "nothing was kept (--no-verify keeps such a file)"
            )
        if agreed < self._tolerance.labels:
            raise DisagreementError(
                f"only {agreed:.4%} of the exported file's labels are the network's, fewer than "
                f"{self._tolerance.labels:.2%}; nothing was kept (--no-verify keeps such a file)"
            )

"""How far a file's logits and labels are from the network's, and how far they may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hyperseg_runtime.metadata import Precision, Verification
from numpy.typing import NDArray

from hyperseg_export.errors import DisagreementError
from hyperseg_export.rounding import Rounding

Array = NDArray[Any]


@dataclass(frozen=True)
class Tolerance:
    """What a precision may cost.

    Attributes:
        logits: largest absolute error, in units of the logits' standard deviation or of 1, whichever is larger.
        labels: smallest share of equal labels, pixels aside whose best logits lie closer than twice the error there may
            be.
        roundings: a larger error is allowed up to so many times what one unit in the last place of every layer does
            (see `measure_rounding`): some networks, untrained ones most of all, amplify any rounding, whoever does it.
            It holds for the maximum and for the mean, each by itself.
    """

    logits: float
    labels: float
    roundings: float


TOLERANCES = {
    # Sums of float32 in another order: about 1e-6 a layer over some seventy layers. Where a network amplifies that, its
    # errors were 0.4 to 1 times what one unit in the last place does; over a picture of one colour, where rounding
    # errors are alike everywhere and do not cancel, 4.3 times.
    Precision.FLOAT32: Tolerance(logits=2e-4, labels=0.9999, roundings=16.0),
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
        self._rounding: float | None = None
        self._failure: str | None = None
        self._error_sum = 0.0
        self._values = 0
        self._pixels = 0
        self._equal = 0
        self._tied = 0

    def add(
        self, expected: Array, logits: Array, full: Array, labels: Array | None, rounding: Callable[[], Rounding]
    ) -> None:
        """One batch.

        Args:
            expected: the network's logits, of the size of `logits`.
            logits: the file's, [N, C, h, w].
            full: the network's logits at the input's size, [N, C, H, W].
            labels: the file's, [N, H, W]; None takes them from `logits`.
            rounding: what rounding does to `expected`; called only where it matters.
        """
        error = np.abs(logits - expected)
        if not np.isfinite(error).all():
            raise DisagreementError("the exported file puts out values that are not finite; nothing was kept")
        largest, mean = float(error.max()), float(error.mean(dtype=np.float64))
        self._pictures += len(full)
        self._largest = max(self._largest, largest)
        self._error_sum += mean * error.size
        self._values += error.size
        tie = 2.0 * self._judge(largest, mean, max(1.0, float(expected.std())), rounding)
        self._compare_labels(logits.argmax(axis=1) if labels is None else labels, full, tie)

    def _judge(self, largest: float, mean: float, scale: float, rounding: Callable[[], Rounding]) -> float:
        """Remembers an error that is too large; returns the error of a logit that labels must live with."""
        if self._tolerance is None:
            return 0.0
        limit = self._tolerance.logits * scale
        if largest <= limit:
            return limit
        moved = rounding()
        self._rounding = max(self._rounding or 0.0, moved.largest)
        for name, found, rounded in (("up to", largest, moved.largest), ("on average", mean, moved.mean)):
            allowed = max(limit, self._tolerance.roundings * rounded)
            if found > allowed:
                self._failure = self._failure or f"{name} {found:.2g}, more than {allowed:.2g}"
        return largest

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
            rounding=self._rounding,
        )

    def check(self) -> None:
        """Raises DisagreementError, naming what was measured, where it is beyond the tolerance."""
        if self._tolerance is None:
            return
        agreed = (self._equal + self._tied) / max(self._pixels, 1)
        if self._failure is not None:
            raise DisagreementError(
                f"the exported file's logits are off by {self._failure}; "
                "nothing was kept (--no-verify keeps such a file)"
            )
        if agreed < self._tolerance.labels:
            raise DisagreementError(
                f"only {agreed:.4%} of the exported file's labels are the network's, fewer than "
                f"{self._tolerance.labels:.2%}; nothing was kept (--no-verify keeps such a file)"
            )

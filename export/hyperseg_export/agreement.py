"""How far a file's results are from the network's, and how far rounding excuses it."""

from __future__ import annotations

import numpy as np
import torch
from hyperseg_runtime.metadata import Precision, Verification
from numpy.typing import NDArray
from torch import Tensor

from hyperseg_export.errors import DisagreementError
from hyperseg_export.rounding import FLOAT16, FLOAT32, Bound, smallest

CHECKED = (Precision.FLOAT32, Precision.FLOAT16)
"""What eight bits cost is not rounding of sums: it is measured and reported, and no bound is derived for it."""

_KEPT = "nothing was kept (--no-verify keeps such a file)"

# Bilinear interpolation by a power of two has exact weights: per axis two products and a sum, on both sides.
_INTERPOLATION = {Precision.FLOAT32: 16 * FLOAT32, Precision.FLOAT16: 16 * FLOAT32 + 4 * FLOAT16}


class Agreement:
    """Collects comparisons over pictures; `check` raises if one of them found more than rounding can do."""

    def __init__(self, precision: Precision) -> None:
        self._precision = precision
        self._failure: str | None = None
        self._pictures = 0
        self._largest = 0.0
        self._error_sum = 0.0
        self._values = 0
        self._rounding = 0.0
        self._pixels = 0
        self._tied = 0
        self._different = 0

    def compare(self, part: str, found: Tensor, expected: Tensor, disturbed: Tensor) -> Bound:
        """One result of one part of the network, both sides given the same input.

        Args:
            part: its name, for the message.
            found: the file's result.
            expected: the network's.
            disturbed: the network's with the weights that `rounding.disturbed` made.
        """
        error = (found - expected).abs()
        if not bool(torch.isfinite(error).all()):
            raise DisagreementError(f"the exported file puts out values that are not finite ({part}); {_KEPT}")
        bound = Bound.of(disturbed - expected, expected, self._precision)
        largest, mean = float(error.max()), float(error.mean(dtype=torch.float64))
        for name, measured, allowed in (("up to", largest, bound.largest), ("on average", mean, bound.mean)):
            if measured > allowed:
                self._fail(f"{part}: off by {name} {measured:.2g}, and rounding explains {allowed:.2g}")
        return bound

    def compare_logits(self, found: Tensor, expected: Tensor, disturbed: Tensor) -> Bound:
        """As `compare`, of the logits from picture to end: what the report says."""
        error = (found - expected).abs()
        bound = self.compare("logits", found, expected, disturbed)
        self._pictures += len(found)
        self._largest = max(self._largest, float(error.max()))
        self._error_sum += float(error.sum(dtype=torch.float64))
        self._values += error.numel()
        self._rounding = max(self._rounding, bound.largest)
        return bound

    def compare_end(self, labels: NDArray[np.integer] | None, logits: Tensor | None, own: Tensor) -> None:
        """The file's labels and logits of full size against its own logits `own`, enlarged: interpolation and arg max
        alone, so hardly any rounding."""
        bound = _INTERPOLATION[self._precision] * float(own.abs().max()) + smallest(self._precision)
        if logits is not None:
            largest = float((logits - own).abs().max())
            if not largest <= bound:
                self._fail(f"enlarged logits: off by up to {largest:.2g}, and rounding explains {bound:.2g}")
        if labels is not None:
            different = int(_different(labels, own, bound)[0].sum())
            if different:
                self._fail(f"labels: {different} are not those of the file's own largest logits")

    def compare_labels(self, labels: NDArray[np.integer], expected: Tensor, bound: float) -> None:
        """The file's labels against the network's logits of full size, each of which rounding moves by `bound`."""
        different, tied = _different(labels, expected, bound)
        self._pixels += labels.size
        self._different += int(different.sum())
        self._tied += int(tied.sum())

    def result(self) -> Verification:
        return Verification(
            inputs=self._pictures,
            max_abs_error=self._largest,
            mean_abs_error=self._error_sum / max(self._values, 1),
            label_agreement=1.0 - self._different / max(self._pixels, 1),
            label_ties=self._tied / max(self._pixels, 1),
            rounding=self._rounding if self._precision in CHECKED else None,
        )

    def check(self) -> None:
        """Raises DisagreementError with the first thing that rounding does not explain, and both numbers."""
        if self._precision not in CHECKED:
            return
        if self._different:
            self._fail(
                f"labels: {self._different} of {self._pixels} differ where the network's two logits are further apart "
                "than rounding moves them"
            )
        if self._failure is not None:
            raise DisagreementError(f"the exported file disagrees with the network ({self._failure}); {_KEPT}")

    def _fail(self, what: str) -> None:
        self._failure = self._failure or what


def _different(
    labels: NDArray[np.integer], logits: Tensor, bound: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where another label than the largest logit's was chosen: for a reason, and between two that rounding can swap."""
    classes = logits.shape[1]
    chosen = torch.from_numpy(labels.astype(np.int64))
    own = logits.gather(1, chosen.clamp(0, classes - 1)[:, None])[:, 0]
    best, first = logits.max(dim=1)
    other = chosen != first
    near = (best - own <= 2.0 * bound) & (chosen < classes)
    return (other & ~near).numpy(), (other & near).numpy()

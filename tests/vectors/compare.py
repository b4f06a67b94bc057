"""Compares a backend's output with the reference."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import reference
from .cases import (
    AnyCase,
    DPWConvCase,
    DPWMetaBlockCase,
    InvertedResidualCase,
    MappedDPWConvCase,
    UpsampleArgmaxCase,
)

# float32: sums of at most some hundred terms of size 1 in another order: 1e-6 each, with a margin of 20.
# float16: the output's own rounding is 5e-4 relative; a kernel may round the meta block's hidden values (up to 6, so by
# up to 2e-3 each) and then sums tens of them with weights of size 0.5/sqrt(hidden).
_RELATIVE = {"float32": 2e-5, "float16": 4e-3}
_ABSOLUTE = {"float32": 2e-5, "float16": 1e-2}


def _doubles(case: AnyCase) -> dict[str, NDArray[np.float64] | None]:
    return {name: None if value is None else value.astype(np.float64) for name, value in case.inputs().items()}


@cache
def expected(case: AnyCase) -> NDArray[Any]:
    """The reference's output: float64 maps, or int32 labels."""
    inputs: dict[str, Any] = _doubles(case)
    attributes: dict[str, Any] = dict(case.attributes)
    if isinstance(case, UpsampleArgmaxCase):
        return reference.upsample_argmax(inputs["X"], **attributes)
    if isinstance(case, InvertedResidualCase):
        return reference.inverted_residual(inputs, **attributes)
    if isinstance(case, DPWMetaBlockCase):
        return reference.dpw_meta_block(*inputs.values(), **attributes)
    if isinstance(case, MappedDPWConvCase):
        return reference.mapped_dpw_conv(*inputs.values(), **attributes)
    operator = reference.dpw_conv if isinstance(case, DPWConvCase) else reference.dpw_inverted_residual
    return operator(*inputs.values(), **attributes)


def _assert_labels(case: UpsampleArgmaxCase, actual: NDArray[Any]) -> None:
    """A label may differ from the reference's only between two channels closer than float32 can tell, and of channels
    that are exactly equal the lowest has to be named."""
    logits = _doubles(case)["X"]
    assert logits is not None
    upsampled = reference.upsample(logits, case.scale)
    assert actual.min() >= 0 and actual.max() < case.channels
    chosen = np.take_along_axis(upsampled, actual[:, None].astype(np.int64), axis=1)
    assert (chosen >= upsampled.max(axis=1, keepdims=True) - 1e-5).all(), "a label is not the largest channel's"
    first_equal = np.argmax(upsampled == chosen, axis=1)
    np.testing.assert_array_equal(actual, first_equal, "a tie went to a higher channel")


def assert_matches(case: AnyCase, actual: NDArray[Any]) -> None:
    """Fails with numpy's report where `actual`, as the backend returned it, is not the case's output."""
    assert actual.shape == case.output_shape, f"shape {actual.shape}, expected {case.output_shape}"
    if isinstance(case, UpsampleArgmaxCase):
        assert actual.dtype == np.int32, f"labels are {actual.dtype}, expected int32"
        _assert_labels(case, actual)
        return
    assert actual.dtype == case.dtype, f"output is {actual.dtype}, expected {case.dtype}"
    np.testing.assert_allclose(
        actual.astype(np.float64), expected(case), rtol=_RELATIVE[case.dtype], atol=_ABSOLUTE[case.dtype]
    )

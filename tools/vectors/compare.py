"""Compares a backend's output with the reference, within the error bound of its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numpy as np
import worst
from numpy.typing import NDArray

from . import reference
from .cases import (
    AnyCase,
    DPWConvCase,
    DPWInvertedResidualCase,
    DPWMetaBlockCase,
    FusedMapperDPWConvCase,
    MBConvCase,
    UpsampleArgmaxCase,
)
from .inexact import FLOAT16, IN_FLOAT32, Arithmetic, Inexact, inexact

_C = TypeVar("_C", bound=AnyCase)

_SMALLEST = 2.0**-149
"""Lower limit of a bound, to divide by: a value without any sum has to be exact."""


def _doubles(case: AnyCase) -> dict[str, NDArray[np.float64] | None]:
    return {name: None if value is None else value.astype(np.float64) for name, value in case.inputs().items()}


_HALVES = Arithmetic(factors=4)
"""Exact products of halves, summed in float32; hidden values are two halves each, so to 2^-22: four roundings."""
_COMPOSED_HALVES = Arithmetic(composed=FLOAT16, factors=4)
"""Tensor cores take the composed map as half, too; without glue it is X, which is half already."""


def on_cuda(case: AnyCase) -> Arithmetic:
    """The CUDA kernels' arithmetic: roundings in addition to their float32 sums."""
    if case.dtype == "float32" or not isinstance(case, DPWConvCase | DPWInvertedResidualCase):
        return IN_FLOAT32
    return _COMPOSED_HALVES if case.coordinates or case.previous_channels else _HALVES


def evaluated(case: AnyCase, inputs: dict[str, Any]) -> Any:
    """The reference on these inputs; for an arg max, the logits."""
    attributes: dict[str, Any] = dict(case.attributes)
    if isinstance(case, UpsampleArgmaxCase):
        if case.scale == 0:
            return reference.enlarge(inputs["X"], case.size, case.whole_window)
        return reference.upsample(inputs["X"], case.scale)
    if isinstance(case, MBConvCase):
        return reference.mbconv(inputs, **attributes)
    if isinstance(case, DPWMetaBlockCase):
        return reference.dpw_meta_block(*inputs.values(), **attributes)
    if isinstance(case, FusedMapperDPWConvCase):
        return reference.fused_mapper_dpw_conv(*inputs.values(), **attributes)
    operator = reference.dpw_conv if isinstance(case, DPWConvCase) else reference.dpw_inverted_residual
    return operator(*inputs.values(), **attributes)


@cache
def expected(case: AnyCase) -> NDArray[Any]:
    """The reference's output: float64 maps, or int32 labels."""
    values = evaluated(case, _doubles(case))
    return values.argmax(axis=1).astype(np.int32) if isinstance(case, UpsampleArgmaxCase) else np.asarray(values)


@cache
def bounded(case: AnyCase, arithmetic: Arithmetic = IN_FLOAT32) -> Inexact:
    """The reference's output (for an arg max, the logits) with the error bound of this arithmetic."""
    inputs = {name: inexact(value, arithmetic) for name, value in _doubles(case).items()}
    result: Inexact = evaluated(case, inputs)
    return result if isinstance(case, UpsampleArgmaxCase) or case.dtype == "float32" else result.stored(FLOAT16)


def _assert_labels(case: UpsampleArgmaxCase, actual: NDArray[Any], logits: Inexact) -> None:
    """A label may differ from the reference's only between two channels closer than rounding can tell, and of channels
    that are exactly equal the lowest has to be named."""
    least, most = int(actual.min()), int(actual.max())
    assert least >= 0 and most < case.channels, f"labels are {least} to {most}, of {case.channels} channels"
    chosen = actual[:, None].astype(np.int64)
    value, bound = (np.take_along_axis(part, chosen, axis=1) for part in (logits.value, logits.bound()))
    largest = np.argmax(logits.value, axis=1)[:, None]
    best, doubt = (np.take_along_axis(part, largest, axis=1) for part in (logits.value, logits.bound()))
    worst.note(case.operator, best - value, np.maximum(bound + doubt, _SMALLEST))
    assert (best - value <= bound + doubt).all(), "a label is not the largest channel's"
    first_equal = np.argmax(logits.value == value, axis=1)
    np.testing.assert_array_equal(actual, first_equal, "a tie went to a higher channel")


def assert_within(actual: NDArray[Any], wanted: Inexact, name: str, kind: str = "") -> None:
    """Compares an array with a value and its bound, and names the position of the worst error.

    Args:
        actual: the array.
        wanted: value and bound, of the same shape.
        name: for the message.
        kind: the row of the table of worst errors; `name` by default.

    Raises:
        AssertionError: an error is beyond its bound.
    """
    assert actual.shape == wanted.shape, f"{name}: shape {actual.shape}, expected {wanted.shape}"
    error = np.abs(actual.astype(np.float64) - wanted.value)
    bound = np.maximum(wanted.bound(), _SMALLEST)
    worst.note(kind or name, error, bound)
    share = np.where(np.isfinite(error), error / bound, np.inf)
    at = np.unravel_index(np.argmax(share), share.shape)
    assert share[at] <= 1.0, (
        f"{name}: {actual[at]} at {tuple(map(int, at))}, expected {wanted.value[at]}: off by {error[at]:.3g}, and "
        f"rounding explains {bound[at]:.3g}; {np.count_nonzero(~(share <= 1.0))} of {share.size} values are off"
    )


@contextmanager
def labelled(label: str) -> Iterator[None]:
    """Prefixes the message of a failure within the context, e.g. with a storage type, a layout and a thread order.

    Raises:
        AssertionError: for any exception within.
    """
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{label}: {error}") from error


def check_each(cases: Iterable[_C], check: Callable[[_C], None]) -> None:
    """Runs a check on every case, and reports all failures together.

    Raises:
        AssertionError: the check raised for some cases; names them.
    """
    failures: dict[str, Exception] = {}
    for case in cases:
        try:
            check(case)
        except Exception as error:
            failures[case.name] = error
    if failures:
        first = next(iter(failures.values()))
        raise AssertionError("\n".join(f"{name}: {error}" for name, error in failures.items())) from first


def assert_matches(case: AnyCase, actual: NDArray[Any], arithmetic: Arithmetic = IN_FLOAT32) -> None:
    """Compares a backend's output with the reference, within the error bound of this arithmetic.

    Raises:
        AssertionError: shape, type or values differ.
    """
    assert actual.shape == case.output_shape, f"shape {actual.shape}, expected {case.output_shape}"
    wanted = bounded(case, arithmetic)
    if isinstance(case, UpsampleArgmaxCase):
        assert actual.dtype == case.label_dtype, f"labels are {actual.dtype}, expected {case.label_dtype}"
        _assert_labels(case, actual, wanted)
        return
    assert actual.dtype == case.dtype, f"output is {actual.dtype}, expected {case.dtype}"
    assert_within(actual, wanted, case.name, f"{case.operator}, {case.dtype}")

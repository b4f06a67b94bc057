"""Tightness of the error bounds: `assert_matches` rejects the output of an operator with a small fault.

Planted in the reference: one wrong weight, a halo off by one pixel, a bilinear phase off by half a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from vectors import (
    CASES,
    FUSED_MAPPER_CASES,
    IN_FLOAT16_MAPS,
    IN_FLOAT32,
    META_BLOCK_CASES,
    TARGET_CASES,
    AnyCase,
    Arithmetic,
    DPWConvCase,
    DPWInvertedResidualCase,
    FusedMapperDPWConvCase,
    UpsampleArgmaxCase,
    assert_matches,
    by_operator,
    check_each,
    compare,
    expected,
    reference,
)

DYNAMIC = [
    case for case in (*CASES, *FUSED_MAPPER_CASES, *META_BLOCK_CASES) if not isinstance(case, UpsampleArgmaxCase)
]
HALO = [
    case
    for case in DYNAMIC
    if isinstance(case, DPWInvertedResidualCase) or (isinstance(case, DPWConvCase) and case.kernel > 1)
    if min(case.height, case.width) >= 4  # of the halo that is planted
]
ENLARGING = [case for case in DYNAMIC if case.previous_channels] + [
    case
    for case in CASES
    if isinstance(case, UpsampleArgmaxCase) and case.scale > 1 and case.channels > 1
    if case.height * case.width > 1  # one pixel is constant
]


def arithmetics(case: AnyCase) -> list[Arithmetic]:
    """The arithmetics of all backends."""
    return [IN_FLOAT32, IN_FLOAT16_MAPS] if case.dtype == "float16" else [IN_FLOAT32]


def assert_caught(case: AnyCase, faulty: np.ndarray, arithmetic: Arithmetic) -> None:
    kind = case.label_dtype if isinstance(case, UpsampleArgmaxCase) else case.dtype
    with pytest.raises(AssertionError):
        assert_matches(case, faulty.astype(kind), arithmetic)


def each_operator(cases: list[Any]) -> Callable[[Any], Any]:
    operators = by_operator(cases)
    return pytest.mark.parametrize("cases", operators.values(), ids=operators)


def share_of_a_weight(case: AnyCase, arithmetic: Arithmetic) -> float:
    """The planted error, in units of a typical weight. Half precision rounds 8192 times as much as float32 does, once
    at the end or after each operation."""
    if case.dtype == "float32":
        return 0.05
    return 2.0 if arithmetic is IN_FLOAT16_MAPS else 0.5


@each_operator(DYNAMIC)
def test_one_wrong_weight(cases: Any) -> None:
    """A weight of one patch that the output depends on, since a clamp may hide others."""
    check_each(cases, check_wrong_weight)


def check_wrong_weight(case: Any) -> None:
    inputs = {name: None if value is None else value.astype(np.float64) for name, value in case.inputs().items()}
    name = "mapper" if isinstance(case, FusedMapperDPWConvCase) else "theta"
    weights = inputs[name]
    assert weights is not None
    own = np.abs(weights) < 100  # the rest is poison
    size = float(np.sqrt(np.mean(weights[own] ** 2)))
    for arithmetic in arithmetics(case):
        error = size * share_of_a_weight(case, arithmetic)
        for position in np.argwhere(own)[:: max(1, int(own.sum()) // 40)]:
            wrong = weights.copy()
            wrong[tuple(position)] += error
            result = compare.evaluated(case, {**inputs, name: wrong})
            if np.abs(result - expected(case)).max() > 0.4 * error:
                assert_caught(case, result, arithmetic)
                break
        else:
            pytest.fail("no weight of this case moves its output")


@each_operator(HALO)
def test_a_halo_one_pixel_off(cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def pad(x: Any, by: int) -> Any:
        return np.pad(x, ((0, 0), (0, 0), (by + 1, by - 1), (by, by)), mode="reflect") if by else x

    def check(case: Any) -> None:
        with monkeypatch.context() as context:
            context.setattr(reference, "_pad", pad)
            faulty = planted(case)
        for arithmetic in arithmetics(case):
            assert_caught(case, faulty, arithmetic)

    check_each(cases, check)


@each_operator(ENLARGING)
def test_a_bilinear_phase_half_a_pixel_off(cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def upsample(x: Any, scale: int) -> Any:
        """Faulty upsampling, from the pixels' corners instead of their centres."""
        for axis in (2, 3):
            position = np.arange(x.shape[axis] * scale) / scale
            low = position.astype(int)
            weight = (position - low).reshape((-1, 1) if axis == 2 else (-1,))
            x = (1.0 - weight) * x.take(low, axis) + weight * x.take(np.minimum(low + 1, x.shape[axis] - 1), axis)
        return x

    def check(case: Any) -> None:
        with monkeypatch.context() as context:
            context.setattr(reference, "upsample", upsample)
            faulty = planted(case)
        for arithmetic in arithmetics(case):
            assert_caught(case, faulty, arithmetic)

    check_each(cases, check)


def test_a_window_half_a_pixel_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the reference of labels of any size."""
    right = reference._between

    def between(count: int, extent: int, begin: float, length: float) -> Any:
        return right(count, extent, begin + 0.5, length)

    with monkeypatch.context() as context:
        context.setattr(reference, "_between", between)
        faulty = {case: planted(case) for case in TARGET_CASES if case.channels > 1 and case.height * case.width > 1}
    assert len(faulty) > 100
    check_each(faulty, lambda case: assert_caught(case, faulty[case], IN_FLOAT32))


def planted(case: AnyCase) -> np.ndarray:
    """The output of the faulty reference."""
    inputs = {name: None if value is None else value.astype(np.float64) for name, value in case.inputs().items()}
    result = compare.evaluated(case, inputs)
    return result.argmax(axis=1) if isinstance(case, UpsampleArgmaxCase) else np.asarray(result)

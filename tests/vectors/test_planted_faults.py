"""The bounds are tight enough: an operator with a small fault is never taken for a right one.

The faults are planted in the reference, so that what fails is the comparison and nothing else: one wrong weight, a halo
that lies a pixel off, a bilinear phase off by half a pixel. Every backend is compared in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vectors import (
    CASES,
    IN_FLOAT16_MAPS,
    IN_FLOAT32,
    MAPPED_CASES,
    META_BLOCK_CASES,
    AnyCase,
    Arithmetic,
    DPWConvCase,
    DPWInvertedResidualCase,
    FusedMapperDPWConvCase,
    UpsampleArgmaxCase,
    assert_matches,
    compare,
    expected,
    reference,
)

DYNAMIC = [case for case in (*CASES, *MAPPED_CASES, *META_BLOCK_CASES) if not isinstance(case, UpsampleArgmaxCase)]
HALO = [c for c in DYNAMIC if isinstance(c, DPWInvertedResidualCase) or (isinstance(c, DPWConvCase) and c.kernel > 1)]
ENLARGING = [case for case in DYNAMIC if case.previous_channels] + [
    case for case in CASES if isinstance(case, UpsampleArgmaxCase) and case.scale > 1 and case.channels > 1
]


def arithmetics(case: AnyCase) -> list[Arithmetic]:
    """Those that some backend is compared in."""
    return [IN_FLOAT32, IN_FLOAT16_MAPS] if case.dtype == "float16" else [IN_FLOAT32]


def assert_caught(case: AnyCase, faulty: np.ndarray, arithmetic: Arithmetic) -> None:
    kind = "int32" if isinstance(case, UpsampleArgmaxCase) else case.dtype
    with pytest.raises(AssertionError):
        assert_matches(case, faulty.astype(kind), arithmetic)


def by_name(cases: list[Any]) -> Callable[[Any], Any]:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def share_of_a_weight(case: AnyCase, arithmetic: Arithmetic) -> float:
    """How wrong the weight is, in units of a typical one. Half precision rounds 8192 times as much as float32 does,
    once at the end or after each operation."""
    if case.dtype == "float32":
        return 0.05
    return 2.0 if arithmetic is IN_FLOAT16_MAPS else 0.5


@by_name(DYNAMIC)
def test_one_wrong_weight(case: Any) -> None:
    """Of one patch; one that the output depends on, since a clamp hides any."""
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


@by_name(HALO)
def test_a_halo_one_pixel_off(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if min(case.height, case.width) < 4:
        pytest.skip("the map is smaller than the halo that is planted")

    def pad(x: Any, by: int) -> Any:
        return np.pad(x, ((0, 0), (0, 0), (by + 1, by - 1), (by, by)), mode="reflect") if by else x

    monkeypatch.setattr(reference, "_pad", pad)
    for arithmetic in arithmetics(case):
        assert_caught(case, planted(case), arithmetic)


@by_name(ENLARGING)
def test_a_bilinear_phase_half_a_pixel_off(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(case, UpsampleArgmaxCase) and case.height == case.width == 1:
        pytest.skip("one pixel is the same everywhere")
    right = reference.upsample

    def upsample(x: Any, scale: int) -> Any:
        """From the pixels' corners instead of their centres."""
        for axis in (2, 3):
            position = np.arange(x.shape[axis] * scale) / scale
            low = position.astype(int)
            weight = (position - low).reshape((-1, 1) if axis == 2 else (-1,))
            x = (1.0 - weight) * x.take(low, axis) + weight * x.take(np.minimum(low + 1, x.shape[axis] - 1), axis)
        return x

    monkeypatch.setattr(reference, "upsample", upsample)
    faulty = planted(case)
    monkeypatch.setattr(reference, "upsample", right)
    for arithmetic in arithmetics(case):
        assert_caught(case, faulty, arithmetic)


def planted(case: AnyCase) -> np.ndarray:
    """What the faulty reference makes of the case."""
    inputs = {name: None if value is None else value.astype(np.float64) for name, value in case.inputs().items()}
    result = compare.evaluated(case, inputs)
    return result.argmax(axis=1) if isinstance(case, UpsampleArgmaxCase) else np.asarray(result)

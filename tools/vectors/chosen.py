"""The test vectors of the operators that every backend has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from .cases import AnyCase, Case, DPWConvCase, DPWInvertedResidualCase, UpsampleArgmaxCase


def _conv_cases() -> Iterator[DPWConvCase]:
    for size in (1, 2, 3, 4, 5, 8, 16, 17, 32):
        yield DPWConvCase(f"patch{size}", 5, (2, 3), (size, size), 4, activation="relu")
    yield DPWConvCase("one-patch", 6, (1, 1), (9, 7), 3)
    yield DPWConvCase("one-pixel", 6, (1, 1), (1, 1), 3)
    yield DPWConvCase("oblong-patch", 3, (3, 2), (2, 5), 4)
    yield DPWConvCase("wide-grid", 7, (2, 37), (1, 1), 9, activation="relu")
    yield DPWConvCase("batch", 4, (2, 2), (3, 3), 5, batch=3)
    yield DPWConvCase("no-bias", 4, (2, 2), (2, 2), 5, bias=False)
    yield DPWConvCase("no-bias-padded", 5, (2, 2), (2, 2), 3, bias=False, pieces=2)
    yield DPWConvCase("relu6", 4, (2, 2), (4, 4), 5, activation="relu6")
    yield DPWConvCase("group", 6, (2, 2), (4, 4), 9, group=3)
    for pieces in (2, 3, 7, 16):
        yield DPWConvCase(f"pieces{pieces}", 5, (2, 3), (2, 2), 7, pieces=pieces)
    yield DPWConvCase("offset", 5, (2, 2), (2, 2), 6, pieces=4, offset=13, spare=9)
    yield DPWConvCase("offset-odd", 3, (2, 2), (1, 1), 5, pieces=5, offset=1, spare=1, batch=2)
    yield DPWConvCase("kernel3", 4, (2, 3), (4, 4), 5, kernel=3, activation="relu")
    yield DPWConvCase("kernel3-patch1", 3, (3, 4), (1, 1), 2, kernel=3)
    yield DPWConvCase("kernel3-group", 6, (2, 2), (5, 5), 4, kernel=3, group=2, pieces=3)
    yield DPWConvCase("kernel5", 2, (2, 2), (3, 3), 3, kernel=5)
    yield DPWConvCase("depthwise", 7, (2, 2), (4, 4), 7, kernel=3, group=7, activation="relu6", pieces=4)
    yield DPWConvCase("depthwise-wide", 3, (2, 2), (8, 32), 3, kernel=3, group=3)
    yield DPWConvCase("depthwise-multiplier", 3, (2, 2), (4, 4), 6, kernel=3, group=3)
    yield DPWConvCase("coordinates", 3, (2, 2), (4, 4), 5, coordinates=True)
    yield DPWConvCase("coordinates-one-column", 3, (4, 1), (2, 1), 5, coordinates=True)
    yield DPWConvCase("previous", 3, (2, 2), (4, 4), 5, previous_channels=4)
    yield DPWConvCase("glue", 6, (3, 2), (4, 4), 5, coordinates=True, previous_channels=4, activation="relu", batch=2)
    yield DPWConvCase("glue-no-bias", 3, (1, 2), (2, 2), 4, bias=False, coordinates=True, previous_channels=5)
    yield DPWConvCase("glue-kernel3", 3, (3, 2), (2, 2), 4, coordinates=True, previous_channels=2, kernel=3)
    yield DPWConvCase("glue-group", 3, (3, 2), (2, 2), 6, coordinates=True, previous_channels=1, group=3)
    yield DPWConvCase("glue-two-rows", 3, (1, 2), (2, 2), 4, coordinates=True, previous_channels=5)


def _residual_cases() -> Iterator[DPWInvertedResidualCase]:
    def case(name: str, x_channels: int, hidden: int, out: int, **shape: object) -> DPWInvertedResidualCase:
        base = DPWInvertedResidualCase(name, x_channels, (2, 3), (4, 4), out, hidden_channels=hidden)
        return replace(base, **shape)  # type: ignore[arg-type]

    for size in (1, 2, 3, 4, 5, 8, 12, 16, 17, 32):
        yield case(f"patch{size}", 5, 10, 4, patch=(size, size))
    yield case("one-patch", 5, 10, 4, grid=(1, 1), patch=(6, 7))
    yield case("two-pixels", 5, 10, 4, grid=(1, 1), patch=(2, 2))
    yield case("oblong-patch", 5, 10, 4, patch=(2, 6))
    yield case("wide-patch", 3, 6, 2, grid=(1, 2), patch=(3, 70))
    yield case("one-channel", 1, 1, 2)
    yield case("odd-channels", 7, 13, 3)
    yield case("residual", 6, 12, 6)
    yield case("residual-glue", 4, 16, 9, coordinates=True, previous_channels=3)
    yield case("batch", 4, 8, 5, batch=3)
    for pieces in (2, 3, 16):
        yield case(f"pieces{pieces}", 5, 10, 4, pieces=pieces)
    yield case("offset", 5, 10, 4, pieces=4, offset=29, spare=17)
    yield case("coordinates", 3, 10, 4, coordinates=True)
    yield case("previous", 3, 10, 4, previous_channels=5)
    yield case("glue", 3, 14, 4, coordinates=True, previous_channels=5, batch=2, pieces=8)
    yield case("glue-patch2", 3, 14, 4, coordinates=True, previous_channels=5, patch=(2, 2))


def _argmax_cases() -> Iterator[UpsampleArgmaxCase]:
    yield UpsampleArgmaxCase("argmax", 5, 7, 9, 1)
    yield UpsampleArgmaxCase("one-class", 1, 3, 4, 2)
    yield UpsampleArgmaxCase("scale2", 12, 9, 35, 2, batch=2)
    yield UpsampleArgmaxCase("scale3", 19, 5, 6, 3)
    yield UpsampleArgmaxCase("scale4", 21, 6, 5, 4)
    yield UpsampleArgmaxCase("one-pixel", 6, 1, 1, 4)
    yield UpsampleArgmaxCase("one-row", 6, 1, 9, 2)
    yield UpsampleArgmaxCase("ties", 8, 6, 21, 2, ties=True)
    yield UpsampleArgmaxCase("ties-argmax", 8, 6, 21, 1, ties=True)
    yield UpsampleArgmaxCase("many-classes", 150, 4, 5, 2)


# (x channels, previous channels, hidden or None, out, T) of every level of the published presets; voc-l's meta blocks
# are three DPWConvs each. The grid is cut to 2 x 3 patches; patches have their real size.
_PRESETS: dict[str, list[tuple[int, int, int | None, int, int]]] = {
    "camvid-s": [(80, 0, None, 64, 64), (28, 64, None, 32, 32), (10, 32, None, 16, 32), (6, 16, 48, 16, 16),
                 (4, 16, 44, 12, 8)],
    "camvid-l": [(80, 0, None, 64, 64), (28, 64, None, 32, 32), (10, 32, None, 16, 32), (6, 16, 48, 16, 16),
                 (4, 16, 44, 16, 8), (3, 16, 42, 12, 8)],
    "cityscapes-m": [(80, 0, None, 64, 32), (28, 64, None, 32, 16), (10, 32, None, 16, 8), (6, 16, 48, 16, 16),
                     (16, 16, 68, 19, 4)],
    "cityscapes-s": [(128, 0, None, 32, 32), (28, 32, None, 16, 16), (8, 16, None, 8, 8), (4, 8, 28, 8, 16),
                     (16, 8, 52, 19, 16)],
    "voc-l": [(96, 0, None, 96, 16), (34, 96, None, 34, 16), (12, 34, 96, 12, 16), (8, 12, 44, 8, 16),
              (6, 8, 32, 6, 16), (3, 6, 22, 21, 16)],
}  # fmt: skip


def _preset_cases() -> Iterator[Case]:
    grid = (2, 3)
    for preset, levels in _PRESETS.items():
        for level, (x_channels, previous, hidden, out, pieces) in enumerate(levels):
            name, patch = f"{preset}-level{level}", (2**level, 2**level)
            if hidden is None:
                yield DPWConvCase(name, x_channels, grid, patch, out, pieces=pieces, coordinates=True,
                                  previous_channels=previous, activation="relu")  # fmt: skip
            elif preset != "voc-l":
                offset = 868 if (preset, level) == ("cityscapes-s", 4) else 0
                spare = 2808 if (preset, level) == ("cityscapes-s", 3) else 0
                yield DPWInvertedResidualCase(name, x_channels, grid, patch, out, hidden_channels=hidden, pieces=pieces,
                                              offset=offset, spare=spare, coordinates=True,
                                              previous_channels=previous)  # fmt: skip
            else:
                wide = 2 + x_channels + previous
                yield DPWConvCase(f"{name}-pw1", x_channels, grid, patch, hidden, pieces=pieces, coordinates=True,
                                  previous_channels=previous, activation="relu6",
                                  spare=9 * hidden + out * hidden)  # fmt: skip
                yield DPWConvCase(f"{name}-dw", hidden, grid, patch, hidden, kernel=3, group=hidden, pieces=pieces,
                                  offset=hidden * wide, spare=out * hidden, activation="relu6")  # fmt: skip
                yield DPWConvCase(f"{name}-pw2", hidden, grid, patch, out, pieces=pieces,
                                  offset=hidden * (wide + 9))  # fmt: skip


def _variant_cases() -> Iterator[DPWInvertedResidualCase]:
    """Shapes for the CUDA kernels that no other vector reaches: more output channels, and inputs too wide for the
    largest tile."""

    def case(name: str, x_channels: int, out: int, patch: int) -> DPWInvertedResidualCase:
        return DPWInvertedResidualCase(name, x_channels, (1, 2), (patch, patch), out, hidden_channels=6)

    for out in (20, 24):
        yield case(f"out{out}", 5, out, 4)
    yield case("out24-patch16", 5, 24, 16)
    for out in (8, 12, 16, 24):
        yield case(f"wide-out{out}", 48, out, 16)


def _all_cases() -> Iterator[Case]:
    chosen = [*_conv_cases(), *_residual_cases(), *_argmax_cases(), *_preset_cases(), *_variant_cases()]
    for seed, case in enumerate(chosen):
        for dtype in ("float32", "float16"):
            yield replace(case, name=f"{case.operator}-{case.name}-{dtype}", dtype=dtype, seed=seed)


CASES: tuple[Case, ...] = tuple(_all_cases())

_C = TypeVar("_C", bound=AnyCase)


def by_operator(cases: Iterable[_C]) -> dict[str, list[_C]]:
    """The cases by operator."""
    operators: dict[str, list[_C]] = {}
    for case in cases:
        operators.setdefault(case.operator, []).append(case)
    return operators


def by_vector(cases: Iterable[_C]) -> dict[str, list[_C]]:
    """The cases by name without storage type: a vector is in float32 and, of most operators, in float16."""
    vectors: dict[str, list[_C]] = {}
    for case in cases:
        vectors.setdefault(case.name.removesuffix(f"-{case.dtype}"), []).append(case)
    return vectors

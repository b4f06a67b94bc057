"""The test vectors of labels of any size: UpsampleArgmax with a target, which the libraries have and ONNX has not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .cases import UpsampleArgmaxCase


def _target_cases() -> Iterator[UpsampleArgmaxCase]:
    def case(name: str, shape: tuple[int, int, int], size: tuple[int, int], **rest: object) -> UpsampleArgmaxCase:
        return replace(UpsampleArgmaxCase(name, *shape, 0, size=size), **rest)  # type: ignore[arg-type]

    yield case("enlarged", (11, 12, 16), (30, 40))
    yield case("enlarged-blocks", (11, 24, 70), (61, 177), blocks=True)
    yield case("twice", (12, 9, 35), (18, 70))
    yield case("same-size", (7, 9, 35), (9, 35))
    yield case("odd-sizes", (19, 13, 17), (29, 101))
    yield case("odd-sizes-blocks", (19, 33, 47), (83, 150), blocks=True)
    yield case("a-hair-larger", (5, 20, 33), (21, 34))
    yield case("batch", (6, 7, 9), (17, 31), batch=3)
    yield case("shrunk", (8, 40, 60), (33, 41))
    yield case("shrunk-blocks", (8, 40, 60), (33, 41), blocks=True)
    yield case("shrunk-much", (9, 64, 200), (3, 5))
    yield case("shrunk-much-wide", (5, 50, 300), (20, 70))
    yield case("shrunk-rows-only", (6, 40, 5), (7, 90))
    yield case("shrunk-columns-only", (6, 5, 90), (40, 21))
    yield case("one-pixel", (6, 1, 1), (9, 70))
    yield case("one-row", (6, 1, 9), (33, 40))
    yield case("one-column", (6, 9, 1), (40, 33))
    yield case("one-label", (6, 9, 8), (1, 1))
    yield case("one-class", (1, 3, 4), (7, 9))
    yield case("huge-ratio", (4, 2, 3), (200, 301))
    yield case("ties", (8, 6, 21), (15, 50), ties=True)
    yield case("ties-blocks", (8, 16, 31), (35, 70), ties=True, blocks=True)
    yield case("all-of-uint8", (256, 4, 5), (9, 11))
    yield case("all-of-uint8-blocks", (256, 9, 11), (23, 31), blocks=True)
    yield case("window", (9, 20, 24), (50, 64), window=(3.0, 5.0, 10.0, 14.0))
    yield case("window-fractions", (9, 20, 24), (50, 64), window=(2.375, 0.8, 11.13, 20.6))
    yield case("window-blocks", (9, 40, 44), (70, 101), window=(0.0, 3.3, 40.0, 37.1), blocks=True)
    yield case("window-to-one-pixel", (9, 20, 24), (8, 9), window=(4.25, 7.5, 1.0, 1.0))
    yield case("window-within-a-pixel", (9, 20, 24), (8, 9), window=(4.3, 7.5, 0.25, 0.5))
    yield case("window-over-the-edges", (9, 20, 24), (30, 70), window=(-3.5, -0.25, 27.0, 30.0))
    yield case("window-shrunk", (9, 40, 64), (9, 21), window=(1.5, 2.25, 30.0, 60.0))


def _all_cases() -> Iterator[UpsampleArgmaxCase]:
    for seed, case in enumerate(_target_cases()):
        for dtype in ("float32", "float16"):
            for labels in ("uint8", "int32"):
                name = f"{case.operator}-target-{case.name}-{labels}-{dtype}"
                yield replace(case, name=name, dtype=dtype, label_dtype=labels, seed=seed)


TARGET_CASES: tuple[UpsampleArgmaxCase, ...] = tuple(_all_cases())

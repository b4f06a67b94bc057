"""The test vectors of the fused operators for the CPU only; other backends run the unfused operators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .cases import DPWMetaBlockCase, FusedMapperDPWConvCase, MBConvCase


def _mbconv_cases() -> Iterator[MBConvCase]:
    def case(name: str, channels: tuple[int, int, int], size: tuple[int, int], **rest: object) -> MBConvCase:
        return replace(MBConvCase(name, *channels, *size), **rest)  # type: ignore[arg-type]

    yield case("kernel3", (4, 24, 6), (12, 16))
    yield case("kernel5", (4, 24, 6), (12, 16), kernel=5, pads=(2, 2, 2, 2))
    yield case("residual", (4, 24, 4), (12, 16), residual=True)
    yield case("residual-many-channels", (26, 50, 26), (9, 13), residual=True)
    yield case("no-expansion", (8, 8, 5), (12, 16), expands=False)
    yield case("no-expansion-stride2", (8, 8, 5), (12, 16), expands=False, stride=2, pads=(0, 0, 1, 1))
    yield case("stride2-even", (4, 24, 6), (12, 16), stride=2, pads=(0, 0, 1, 1))
    yield case("stride2-kernel5-odd-padding", (4, 24, 6), (12, 16), kernel=5, stride=2, pads=(1, 1, 2, 2))
    yield case("stride2-kernel5-even-padding", (4, 24, 6), (12, 16), kernel=5, stride=2, pads=(2, 2, 2, 2))
    yield case("stride2-odd-size", (4, 24, 6), (13, 17), stride=2)
    yield case("odd-sizes", (5, 13, 7), (11, 7), squeezed_channels=1)
    yield case("narrow", (3, 5, 7), (9, 1), kernel=5, pads=(2, 2, 2, 2))
    yield case("one-pixel", (3, 5, 7), (1, 1))
    yield case("unpadded", (3, 5, 7), (6, 8), pads=(0, 0, 0, 0))
    yield case("batch", (4, 24, 6), (12, 16), batch=3)
    yield case("strips", (4, 24, 30), (70, 520))
    yield case("strips-direct", (16, 20, 16), (68, 400), residual=True)
    yield case("strips-stride2", (4, 24, 6), (140, 520), kernel=5, stride=2, pads=(2, 2, 2, 2))
    yield case("late-stage", (40, 240, 100), (6, 8), squeezed_channels=10)


MBCONV_CASES: tuple[MBConvCase, ...] = tuple(
    replace(case, name=f"MBConv-{case.name}", seed=seed) for seed, case in enumerate(_mbconv_cases())
)


def _meta_block_cases() -> Iterator[DPWMetaBlockCase]:
    def case(name: str, hidden: int, **rest: object) -> DPWMetaBlockCase:
        base = DPWMetaBlockCase(name, 3, (2, 3), (4, 4), 5, hidden_channels=hidden)
        return replace(base, **rest)  # type: ignore[arg-type]

    for size in (1, 2, 3, 8, 16, 17, 32):
        yield case(f"patch{size}", 6, patch=(size, size))
    yield case("one-patch", 6, grid=(1, 1), patch=(5, 7))
    yield case("wide", 6, grid=(3, 1), patch=(2, 70))
    yield case("as-many-outputs", 6, out_channels=3)
    yield case("batch", 8, batch=3)
    yield case("pieces", 10, pieces=7)
    yield case("offset", 10, pieces=4, offset=29, spare=17)
    yield case("coordinates", 10, coordinates=True)
    yield case("glue", 14, coordinates=True, previous_channels=5, batch=2, pieces=8)
    yield case("level4", 32, x_channels=6, patch=(16, 16), out_channels=6, coordinates=True, previous_channels=8)
    yield case("level5", 22, patch=(32, 32), out_channels=21, coordinates=True, previous_channels=6, pieces=16)


def _fused_mapper_cases() -> Iterator[FusedMapperDPWConvCase]:
    def case(name: str, x_channels: int, out: int, patch: tuple[int, int], **rest: object) -> FusedMapperDPWConvCase:
        return replace(FusedMapperDPWConvCase(name, x_channels, (2, 3), patch, out), **rest)  # type: ignore[arg-type]

    yield case("one-pixel", 5, 4, (1, 1))
    yield case("one-channel", 1, 1, (1, 1), signal_length=1)
    yield case("piece-a-channel", 6, 8, (1, 1), pieces=8)
    yield case("piece-of-two-channels", 6, 8, (1, 1), pieces=4)
    yield case("two-pieces-a-channel", 6, 5, (2, 2), pieces=10)
    yield case("pieces-across-channels", 7, 5, (2, 2), pieces=4)
    yield case("offset", 7, 5, (2, 1), pieces=3, offset=11, spare=9)
    yield case("no-bias", 6, 4, (1, 2), pieces=4, bias=False)
    yield case("relu", 6, 4, (2, 2), activation="relu")
    yield case("relu6", 6, 4, (2, 2), activation="relu6", pieces=2)
    yield case("batch", 4, 6, (2, 2), batch=3, pieces=2, signal_length=9)
    yield case("wide", 3, 4, (3, 20), pieces=2, grid=(2, 5))
    yield case("level0", 80, 64, (1, 1), grid=(3, 24), pieces=64, signal_length=7, coordinates=True, activation="relu")
    yield case("level1", 28, 32, (2, 2), grid=(3, 24), pieces=32, signal_length=8, coordinates=True,
               previous_channels=64, activation="relu")  # fmt: skip


FUSED_MAPPER_CASES: tuple[FusedMapperDPWConvCase, ...] = tuple(
    replace(case, name=f"FusedMapperDPWConv-{case.name}", seed=seed) for seed, case in enumerate(_fused_mapper_cases())
)


META_BLOCK_CASES: tuple[DPWMetaBlockCase, ...] = tuple(
    replace(case, name=f"DPWMetaBlock-{case.name}", seed=seed) for seed, case in enumerate(_meta_block_cases())
)

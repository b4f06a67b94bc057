"""What the backends are tested on: operators, shapes, attributes, storage types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating]
Inputs: TypeAlias = dict[str, Array | None]
Attributes: TypeAlias = dict[str, int | str | list[int]]

# What lies in theta beside the operator's own weights: another level's slice, padding. Large, so that a kernel that
# reads it fails, yet finite, so that it shows as a wrong value and not as a NaN that a clamp may swallow.
POISON = 1.0e4


def _draw_theta(
    rng: np.random.Generator, weights: Array, grid: tuple[int, int], *, pieces: int, offset: int, spare: int
) -> Array:
    """Cuts weights [N, N_h, N_w, P] into theta [N, T, N_h, N_w, L]."""
    batch, count = weights.shape[0], weights.shape[-1]
    length = -(-(offset + count + spare) // pieces)
    sequence = np.where(rng.random((batch, *grid, pieces * length)) < 0.5, POISON, -POISON)
    sequence[..., offset : offset + count] = weights
    return np.ascontiguousarray(sequence.reshape(batch, *grid, pieces, length).transpose(0, 3, 1, 2, 4))


@dataclass(frozen=True)
class _LevelCase:
    """What both patch-wise operators have in common: a level's input, its grid and its weights' layout."""

    name: str
    x_channels: int
    grid: tuple[int, int]
    patch: tuple[int, int]
    out_channels: int
    batch: int = 1
    pieces: int = 1
    offset: int = 0
    spare: int = 0  # unused weights behind the operator's own
    coordinates: bool = False
    previous_channels: int = 0
    dtype: str = "float32"
    seed: int = 0

    @property
    def height(self) -> int:
        return self.grid[0] * self.patch[0]

    @property
    def width(self) -> int:
        return self.grid[1] * self.patch[1]

    @property
    def in_channels(self) -> int:
        """Channels of the composed input."""
        return self.x_channels + (2 if self.coordinates else 0) + self.previous_channels

    def _draw_maps(self, rng: np.random.Generator) -> tuple[Array, Array | None]:
        x = rng.standard_normal((self.batch, self.x_channels, self.height, self.width))
        if not self.previous_channels:
            return x, None
        return x, rng.standard_normal((self.batch, self.previous_channels, self.height // 2, self.width // 2))

    def _draw_weights(self, rng: np.random.Generator, count: int, fan_in: int) -> Array:
        """Weights that keep outputs at the size of the inputs, so that one tolerance fits all cases."""
        return np.asarray(rng.standard_normal((self.batch, *self.grid, count)) / np.sqrt(fan_in))

    def _stored(self, inputs: Inputs) -> Inputs:
        return {name: None if value is None else value.astype(self.dtype) for name, value in inputs.items()}


@dataclass(frozen=True)
class DPWConvCase(_LevelCase):
    operator: ClassVar[str] = "DPWConv"

    kernel: int = 1
    group: int = 1
    activation: str = "none"
    bias: bool = True

    @property
    def attributes(self) -> Attributes:
        return {
            "kernel_shape": [self.kernel, self.kernel],
            "group": self.group,
            "activation": self.activation,
            "offset": self.offset,
            "coordinates": int(self.coordinates),
        }

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, self.out_channels, self.height, self.width

    def inputs(self) -> Inputs:
        """The node's inputs in order; None where an optional one is left out."""
        rng = np.random.default_rng(self.seed)
        fan_in = self.in_channels // self.group * self.kernel**2
        x, previous = self._draw_maps(rng)
        weights = self._draw_weights(rng, self.out_channels * fan_in, fan_in)
        bias = rng.standard_normal(self.out_channels) if self.bias else None
        theta = _draw_theta(rng, weights, self.grid, pieces=self.pieces, offset=self.offset, spare=self.spare)
        # Spread over both ends of [0, 6] where values are clamped there.
        gain = 4.0 if self.activation == "relu6" else 1.0
        inputs = {"X": gain * x, "theta": theta, "bias": bias, "previous": previous}
        if previous is not None:
            inputs["previous"] = gain * previous
        return self._stored(inputs)


@dataclass(frozen=True)
class MappedDPWConvCase(_LevelCase):
    """A 1x1 DPWConv with its weight mapper: on the CPU, and as the product and the DPWConv that it replaces."""

    operator: ClassVar[str] = "MappedDPWConv"

    signal_length: int = 3  # K
    activation: str = "none"
    bias: bool = True

    @property
    def attributes(self) -> Attributes:
        return {
            "kernel_shape": [1, 1],
            "group": 1,
            "activation": self.activation,
            "offset": self.offset,
            "coordinates": int(self.coordinates),
        }

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, self.out_channels, self.height, self.width

    def inputs(self) -> Inputs:
        """The node's inputs in order; None where an optional one is left out."""
        rng = np.random.default_rng(self.seed)
        x, previous = self._draw_maps(rng)
        count = self.offset + self.out_channels * self.in_channels
        length = -(-(count + self.spare) // self.pieces)
        signal = rng.standard_normal((self.batch, self.pieces * self.signal_length, *self.grid))
        mapper = rng.standard_normal((self.pieces, self.signal_length, length))
        mapper /= np.sqrt(self.signal_length * self.in_channels)
        own = np.zeros(self.pieces * length, dtype=bool)
        own[self.offset : count] = True
        others = ~own.reshape(self.pieces, 1, length)
        mapper = np.where(others, POISON, mapper)
        bias = rng.standard_normal(self.out_channels) if self.bias else None
        return self._stored({"X": x, "signal": signal, "mapper": mapper, "bias": bias, "previous": previous})


@dataclass(frozen=True)
class DPWInvertedResidualCase(_LevelCase):
    operator: ClassVar[str] = "DPWInvertedResidual"

    hidden_channels: int = 1

    @property
    def attributes(self) -> Attributes:
        return {"kernel_shape": [3, 3], "offset": self.offset, "coordinates": int(self.coordinates)}

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, self.out_channels, self.height, self.width

    def inputs(self) -> Inputs:
        """The node's inputs in order; None where an optional one is left out."""
        rng = np.random.default_rng(self.seed)
        x, previous = self._draw_maps(rng)
        hidden = self.hidden_channels
        weights = np.concatenate(
            [
                # Twice and four times the usual size: hidden values are to reach both ends of [0, 6].
                2.0 * self._draw_weights(rng, hidden * self.in_channels, self.in_channels),
                2.0 * self._draw_weights(rng, hidden * 9, 9),
                0.5 * self._draw_weights(rng, self.out_channels * hidden, hidden),
            ],
            axis=-1,
        )
        return self._stored(
            {
                "X": x,
                "theta": _draw_theta(rng, weights, self.grid, pieces=self.pieces, offset=self.offset, spare=self.spare),
                "bias1": rng.standard_normal(hidden) + 1.0,
                "bias2": rng.standard_normal(hidden) + 1.0,
                "bias3": rng.standard_normal(self.out_channels),
                "previous": previous,
            }
        )


@dataclass(frozen=True)
class DPWMetaBlockCase(DPWInvertedResidualCase):
    """v0_1's meta block: on the CPU, and as the three DPWConvs that it replaces."""

    operator: ClassVar[str] = "DPWMetaBlock"


@dataclass(frozen=True)
class UpsampleArgmaxCase:
    operator: ClassVar[str] = "UpsampleArgmax"

    name: str
    channels: int
    height: int
    width: int
    scale: int
    batch: int = 1
    ties: bool = False  # every channel occurs twice, so the lower one has to win
    dtype: str = "float32"
    seed: int = 0

    @property
    def attributes(self) -> Attributes:
        return {"scale": self.scale}

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, self.height * self.scale, self.width * self.scale

    def inputs(self) -> Inputs:
        rng = np.random.default_rng(self.seed)
        x = rng.standard_normal((self.batch, self.channels, self.height, self.width))
        if self.ties:
            x[:, self.channels // 2 : self.channels // 2 * 2] = x[:, : self.channels // 2]
        return {"X": x.astype(self.dtype)}


@dataclass(frozen=True)
class InvertedResidualCase:
    """The encoder's block: on the CPU, and as the standard operators that it replaces."""

    operator: ClassVar[str] = "InvertedResidual"
    dtype: ClassVar[str] = "float32"

    name: str
    in_channels: int
    hidden_channels: int
    out_channels: int
    height: int
    width: int
    kernel: int = 3
    stride: int = 1
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)  # top, left, bottom, right
    squeezed_channels: int = 3
    batch: int = 1
    expands: bool = True
    residual: bool = False
    seed: int = 0

    @property
    def attributes(self) -> Attributes:
        return {
            "kernel_shape": [self.kernel, self.kernel],
            "strides": [self.stride, self.stride],
            "pads": list(self.pads),
            "residual": int(self.residual),
        }

    @property
    def output_shape(self) -> tuple[int, ...]:
        top, left, bottom, right = self.pads
        height = (self.height + top + bottom - self.kernel) // self.stride + 1
        return self.batch, self.out_channels, height, (self.width + left + right - self.kernel) // self.stride + 1

    def inputs(self) -> Inputs:
        """The node's inputs in order; None where an optional one is left out."""
        rng = np.random.default_rng(self.seed)
        hidden, squeezed, out = self.hidden_channels, self.squeezed_channels, self.out_channels

        def weight(rows: int, columns: int, kernel: int = 1) -> Array:
            drawn = rng.standard_normal((rows, columns, kernel, kernel)) / np.sqrt(columns * kernel**2)
            return np.asarray(2.0 * drawn, np.float32)

        def bias(count: int) -> Array:
            return rng.standard_normal(count).astype(np.float32)

        x = rng.standard_normal((self.batch, self.in_channels, self.height, self.width)).astype(np.float32)
        return {
            "X": x,
            "expand_weight": weight(hidden, self.in_channels) if self.expands else None,
            "expand_bias": bias(hidden) if self.expands else None,
            "depthwise_weight": weight(hidden, 1, self.kernel),
            "depthwise_bias": bias(hidden),
            "reduce_weight": weight(squeezed, hidden),
            "reduce_bias": bias(squeezed),
            "gate_weight": weight(hidden, squeezed),
            "gate_bias": bias(hidden),
            "project_weight": weight(out, hidden),
            "project_bias": bias(out),
        }


Case: TypeAlias = DPWConvCase | DPWInvertedResidualCase | UpsampleArgmaxCase
"""Of the operators that every backend has."""

AnyCase: TypeAlias = Case | MappedDPWConvCase | InvertedResidualCase
"""And of those for the CPU only."""


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


def _all_cases() -> Iterator[Case]:
    for seed, case in enumerate([*_conv_cases(), *_residual_cases(), *_argmax_cases(), *_preset_cases()]):
        for dtype in ("float32", "float16"):
            yield replace(case, name=f"{case.operator}-{case.name}-{dtype}", dtype=dtype, seed=seed)


CASES: tuple[Case, ...] = tuple(_all_cases())


def _encoder_cases() -> Iterator[InvertedResidualCase]:
    def case(name: str, channels: tuple[int, int, int], size: tuple[int, int], **rest: object) -> InvertedResidualCase:
        return replace(InvertedResidualCase(name, *channels, *size), **rest)  # type: ignore[arg-type]

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


ENCODER_CASES: tuple[InvertedResidualCase, ...] = tuple(
    replace(case, name=f"InvertedResidual-{case.name}", seed=seed) for seed, case in enumerate(_encoder_cases())
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


def _mapped_cases() -> Iterator[MappedDPWConvCase]:
    def case(name: str, x_channels: int, out: int, patch: tuple[int, int], **rest: object) -> MappedDPWConvCase:
        return replace(MappedDPWConvCase(name, x_channels, (2, 3), patch, out), **rest)  # type: ignore[arg-type]

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


MAPPED_CASES: tuple[MappedDPWConvCase, ...] = tuple(
    replace(case, name=f"MappedDPWConv-{case.name}", seed=seed) for seed, case in enumerate(_mapped_cases())
)


META_BLOCK_CASES: tuple[DPWMetaBlockCase, ...] = tuple(
    replace(case, name=f"DPWMetaBlock-{case.name}", seed=seed) for seed, case in enumerate(_meta_block_cases())
)

"""The types of test vectors: shapes, attributes and storage type of an operator, and how its inputs are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating]
Inputs: TypeAlias = dict[str, Array | None]
Attributes: TypeAlias = dict[str, int | str | list[int]]

# Contents of theta besides the operator's own weights: another level's slice, padding. Large, so that a kernel that
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
    """Base of the patch-wise operators: a level's input, its grid and its weights' layout."""

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

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, self.out_channels, self.height, self.width

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

    def inputs(self) -> Inputs:
        """The node's inputs in order; None for an omitted optional one."""
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
class FusedMapperDPWConvCase(_LevelCase):
    """A 1x1 DPWConv fused with its weight mapper: on the CPU, or as product and DPWConv."""

    operator: ClassVar[str] = "FusedMapperDPWConv"

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

    def inputs(self) -> Inputs:
        """The node's inputs in order; None for an omitted optional one."""
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

    def inputs(self) -> Inputs:
        """The node's inputs in order; None for an omitted optional one."""
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
    """v0_1's meta block: on the CPU, or as three DPWConvs."""

    operator: ClassVar[str] = "DPWMetaBlock"


@dataclass(frozen=True)
class UpsampleArgmaxCase:
    operator: ClassVar[str] = "UpsampleArgmax"

    name: str
    channels: int
    height: int
    width: int
    scale: int  # 0: `size` and `window` instead, which the ONNX operator does not have
    batch: int = 1
    ties: bool = False  # every channel occurs twice, so the lower one has to win
    blocks: bool = False  # pixels are alike in blocks, between which there are edges
    size: tuple[int, int] = (0, 0)  # of the labels
    window: tuple[float, float, float, float] | None = None  # top, left, height, width in pixels of X; None: all
    label_dtype: str = "int32"
    dtype: str = "float32"
    seed: int = 0

    @property
    def attributes(self) -> Attributes:
        return {"scale": self.scale}

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.batch, *(self.size if self.scale == 0 else (self.height * self.scale, self.width * self.scale))

    @property
    def whole_window(self) -> tuple[float, float, float, float]:
        """The window, also where it is all of X."""
        return self.window or (0.0, 0.0, self.height, self.width)

    def inputs(self) -> Inputs:
        rng = np.random.default_rng(self.seed)
        x = rng.standard_normal((self.batch, self.channels, self.height, self.width))
        if self.ties:
            x[:, self.channels // 2 : self.channels // 2 * 2] = x[:, : self.channels // 2]
        if self.blocks:
            rows, columns = (np.arange(extent) // 5 * 5 for extent in (self.height, self.width))
            x = x[:, :, rows][:, :, :, columns]
        return {"X": x.astype(self.dtype, order="C")}


@dataclass(frozen=True)
class MBConvCase:
    """The encoder's MBConv block: on the CPU, or in standard operators."""

    operator: ClassVar[str] = "MBConv"
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
        """The node's inputs in order; None for an omitted optional one."""
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
"""Cases of the operators that every backend has."""

AnyCase: TypeAlias = Case | FusedMapperDPWConvCase | MBConvCase
"""Cases of all operators, including those for the CPU only."""

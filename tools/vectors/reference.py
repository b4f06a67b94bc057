"""Reference implementation of the operators in NumPy and float64: slow and simple; every backend is compared with it.

Given `Inexact` inputs (inexact.py), the same code also computes an error bound for float32 arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .inexact import FLOAT32, Doubles, approximately, blend, composed, reassociable

_ACTIVATIONS = {
    "none": lambda y: y,
    "relu": lambda y: np.maximum(y, 0.0),
    "relu6": lambda y: np.clip(y, 0.0, 6.0),
}


def upsample(x: Doubles, scale: int) -> Doubles:
    """Bilinear upsampling of [N, C, h, w], align_corners=False."""
    for axis in (2, 3):
        extent = x.shape[axis]
        position = np.maximum((np.arange(extent * scale) + 0.5) / scale - 0.5, 0.0)
        low = position.astype(int)
        high = np.minimum(low + 1, extent - 1)
        weight = (position - low).reshape((-1, 1) if axis == 2 else (-1,))
        if scale & (scale - 1):  # else positions are multiples of a power of two, and exact
            weight = approximately(weight, x, 3 * FLOAT32 * (position + 1.0).reshape(weight.shape))
        x = blend(x.take(low, axis), x.take(high, axis), weight)
    return x


def _in_units(position: float, unit: float) -> int:
    """To the nearest multiple, halves away from zero."""
    exact = position / unit
    whole = int(exact)
    return whole + (exact - whole >= 0.5) - (exact - whole <= -0.5)


def _between(count: int, extent: int, begin: float, length: float) -> tuple[NDArray[np.intp], Doubles]:
    """The lower source line of each of `count` result lines from a window, and the upper one's weight. Positions are
    multiples of 2^-40 by contract (hyperseg/source_lines.h)."""
    unit = 2.0**-40
    first, step = _in_units(begin + 0.5 * (length / count) - 0.5, unit), _in_units(length / count, unit)
    middle = begin + (length - 1.0) / 2.0
    ends = (begin, begin + length - 1.0) if length > 1.0 else (middle, middle)
    least, most = (_in_units(min(max(end, 0.0), extent - 1.0), unit) for end in ends)
    positions = [min(max(first + line * step, least), most) for line in range(count)]
    low = np.array([position >> 40 for position in positions], dtype=np.intp)
    return low, np.array([(position & (2**40 - 1)) * unit for position in positions])


def enlarge(x: Doubles, size: tuple[int, int], window: tuple[float, float, float, float]) -> Doubles:
    """Bilinear, align_corners=False, from a window (top, left, height, width) of [N, C, h, w] to [N, C, *size]."""
    for axis, count, begin, length in zip((2, 3), size, window[:2], window[2:], strict=True):
        low, weight = _between(count, x.shape[axis], begin, length)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        weight = weight.reshape((-1, 1) if axis == 2 else (-1,))
        x = blend(x.take(low, axis), x.take(high, axis), approximately(weight, x, FLOAT32 * weight))
    return x


def compose(x: Doubles, previous: Doubles | None, coordinates: bool) -> Doubles:
    """The input map of a level: x- and y-coordinates, X, `previous` upsampled by 2."""
    parts = [x]
    if coordinates:
        batch, _, height, width = x.shape
        across = np.linspace(-1.0, 1.0, width) if width > 1 else np.array([-1.0])
        down = np.linspace(-1.0, 1.0, height) if height > 1 else np.array([-1.0])
        shape = (batch, 1, height, width)
        # -1 + i * step: the step, the product and the sum are rounded, each below 2.
        planes = [np.broadcast_to(plane, shape) for plane in (across, down[:, None])]
        parts = [*(approximately(plane, x, 6 * FLOAT32) for plane in planes), x]
    if previous is not None:
        parts.append(upsample(previous, 2))
    full: Doubles = composed(np.concatenate(parts, axis=1))
    return full


def patch_weights(theta: Doubles, offset: int, count: int) -> Doubles:
    """theta [N, T, N_h, N_w, L] -> the operator's own weights [N, N_h, N_w, count]."""
    pieces = [theta[:, t] for t in range(theta.shape[1])]
    return np.concatenate(pieces, axis=-1)[..., offset : offset + count]


def _pad(x: Doubles, by: int) -> Doubles:
    return np.pad(x, ((0, 0), (0, 0), (by, by), (by, by)), mode="reflect") if by else x


def _convolve(window: Doubles, weight: Doubles) -> Doubles:
    """Valid convolution of one window [C_in, h, w] with [C_out, C_in/group, K, K]."""
    out_channels, per_group, kernel, _ = weight.shape
    group = window.shape[0] // per_group
    taps = sliding_window_view(window, (kernel, kernel), axis=(1, 2))
    taps = taps.reshape(group, per_group, *taps.shape[1:])
    weight = weight.reshape(group, out_channels // group, per_group, kernel, kernel)
    y: Doubles = np.einsum("gocuv,gchwuv->gohw", weight, taps)
    return y.reshape(out_channels, *y.shape[2:])


def _of_patches(patch: Callable[[int, int, int], Doubles], batch: int, rows: int, columns: int) -> Doubles:
    """Assembles the patches [C, p_h, p_w] to the map [N, C, H, W]."""
    images = []
    for n in range(batch):
        lines = [np.concatenate([patch(n, i, j) for j in range(columns)], axis=2) for i in range(rows)]
        images.append(np.concatenate(lines, axis=1))
    return np.stack(images)


def dpw_conv(
    x: Doubles,
    theta: Doubles,
    bias: Doubles | None = None,
    previous: Doubles | None = None,
    *,
    kernel_shape: tuple[int, int] = (1, 1),
    group: int = 1,
    activation: str = "none",
    offset: int = 0,
    coordinates: bool = False,
) -> Doubles:
    """Y [N, C_out, H, W]. Without a bias C_out is as large as the weights allow."""
    kernel = kernel_shape[0]
    full = compose(x, previous, coordinates)
    batch, in_channels, height, width = full.shape
    per_channel = in_channels // group * kernel**2
    if bias is None:
        out_channels = (theta.shape[1] * theta.shape[-1] - offset) // per_channel // group * group
    else:
        out_channels = len(bias)
    weights = patch_weights(theta, offset, out_channels * per_channel)
    rows, columns = theta.shape[2:4]
    ph, pw = height // rows, width // columns
    padded = _pad(full, kernel // 2)

    def patch(n: int, i: int, j: int) -> Doubles:
        window = padded[n, :, i * ph : (i + 1) * ph + kernel - 1, j * pw : (j + 1) * pw + kernel - 1]
        weight = weights[n, i, j].reshape(out_channels, in_channels // group, kernel, kernel)
        y = _convolve(window, weight)
        activated: Doubles = _ACTIVATIONS[activation](y if bias is None else y + bias[:, None, None])
        return activated

    return _of_patches(patch, batch, rows, columns)


def fused_mapper_dpw_conv(
    x: Doubles,
    signal: Doubles,
    mapper: Doubles,
    bias: Doubles | None = None,
    previous: Doubles | None = None,
    **attributes: Any,
) -> Doubles:
    """Y [N, C_out, H, W]: the DPWConv with the weights that the mapper computes from the signal."""
    batch, _, rows, columns = signal.shape
    pieces, length, _ = mapper.shape
    split = signal.reshape(batch, pieces, length, rows, columns)
    theta = reassociable(np.einsum("ntkij,tkl->ntijl", split, mapper))
    return dpw_conv(x, theta, bias, previous, **attributes)


def dpw_inverted_residual(
    x: Doubles,
    theta: Doubles,
    bias1: Doubles,
    bias2: Doubles,
    bias3: Doubles,
    previous: Doubles | None = None,
    *,
    kernel_shape: tuple[int, int] = (3, 3),
    offset: int = 0,
    coordinates: bool = False,
) -> Doubles:
    """Y [N, C_out, H, W]; every patch applies its own pw1 to its halo."""
    if tuple(kernel_shape) != (3, 3):
        raise ValueError(f"kernel_shape is {kernel_shape}; only (3, 3) is defined")
    full = compose(x, previous, coordinates)
    batch, in_channels, height, width = full.shape
    hidden, out = len(bias1), len(bias3)
    weights = patch_weights(theta, offset, hidden * (in_channels + 9 + out))
    rows, columns = theta.shape[2:4]
    ph, pw = height // rows, width // columns
    padded = _pad(full, 1)

    def patch(n: int, i: int, j: int) -> Doubles:
        window = padded[n, :, i * ph : (i + 1) * ph + 2, j * pw : (j + 1) * pw + 2]
        ends = hidden * in_channels, hidden * (in_channels + 9)
        pw1, dw, pw2 = (weights[n, i, j, slice(*part)] for part in ((0, ends[0]), ends, (ends[1], None)))
        h = np.clip(np.einsum("ck,kuv->cuv", pw1.reshape(hidden, in_channels), window) + bias1[:, None, None], 0, 6)
        d = np.clip(_convolve(h, dw.reshape(hidden, 1, 3, 3)) + bias2[:, None, None], 0, 6)
        o: Doubles = np.einsum("mc,cuv->muv", pw2.reshape(out, hidden), d) + bias3[:, None, None]
        return o + window[:, 1:-1, 1:-1] if in_channels == out else o

    return _of_patches(patch, batch, rows, columns)


def upsample_argmax(x: Doubles, *, scale: int = 1) -> NDArray[np.int32]:
    """labels [N, h * scale, w * scale]; ties go to the lowest channel."""
    labels: NDArray[np.int32] = np.argmax(upsample(x, scale), axis=1).astype(np.int32)
    return labels


def _sigmoid(x: Doubles) -> Doubles:
    return 1.0 / (1.0 + np.exp(-x))


def _dense(weight: Doubles, bias: Doubles, x: Doubles) -> Doubles:
    """A 1x1 convolution of [N, C, H, W]."""
    y: Doubles = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], x) + bias[:, None, None]
    return y


def mbconv(
    inputs: Mapping[str, Any],
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    residual: int,
) -> Doubles:
    """The encoder's block [N, C_out, H', W']; inputs by name, in the operator's order."""
    x, expand_weight, expand_bias, dw_weight, dw_bias, reduce_weight, reduce_bias, *rest = inputs.values()
    gate_weight, gate_bias, project_weight, project_bias = rest
    h = x
    if expand_weight is not None:
        h = _dense(expand_weight, expand_bias, x)
        h = h * _sigmoid(h)
    padded = np.pad(h, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    d = np.stack([_convolve(image, dw_weight) for image in padded])[:, :, :: strides[0], :: strides[1]]
    d = d + dw_bias[:, None, None]
    d = d * _sigmoid(d)
    squeezed = _dense(reduce_weight, reduce_bias, d.mean(axis=(2, 3), keepdims=True))
    gate = _sigmoid(_dense(gate_weight, gate_bias, squeezed * _sigmoid(squeezed)))
    y = _dense(project_weight, project_bias, gate * d)
    assert list(kernel_shape) == list(dw_weight.shape[2:])
    return y + x if residual else y


def dpw_meta_block(
    x: Doubles,
    theta: Doubles,
    bias1: Doubles,
    bias2: Doubles,
    bias3: Doubles,
    previous: Doubles | None = None,
    *,
    kernel_shape: tuple[int, int] = (3, 3),
    offset: int = 0,
    coordinates: bool = False,
) -> Doubles:
    """Y [N, C_out, H, W]; the depth-wise convolution reads values computed with the neighbours' pw1."""
    hidden = len(bias1)
    channels = compose(x, previous, coordinates).shape[1]
    h = dpw_conv(x, theta, bias1, previous, activation="relu6", offset=offset, coordinates=coordinates)
    offset += hidden * channels
    d = dpw_conv(h, theta, bias2, kernel_shape=kernel_shape, group=hidden, activation="relu6", offset=offset)
    return dpw_conv(d, theta, bias3, offset=offset + 9 * hidden)

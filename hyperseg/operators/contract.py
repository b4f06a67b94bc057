"""Shape checks of the operators, for real and for fake tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperseg.cuda_library import ACTIVATIONS


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def composed_channels(x: Tensor, previous: Tensor | None, coordinates: int) -> int:
    """Channels of a level's composed input."""
    return int(x.shape[1]) + (2 if coordinates else 0) + (int(previous.shape[1]) if previous is not None else 0)


def check_map(name: str, x: Tensor, theta: Tensor, previous: Tensor | None) -> None:
    """Check X [N, C, H, W] against θ's grid, and `previous` at half its size."""
    _require(x.dim() == 4, f"{name}: X has {x.dim()} dimensions, expected [N, C, H, W]")
    _require(theta.dim() == 5, f"{name}: theta has {theta.dim()} dimensions, expected [N, T, N_h, N_w, L]")
    (n, _, h, w), (theta_n, _, rows, columns, _) = x.shape, theta.shape
    _require(rows > 0 and columns > 0, f"{name}: theta has an empty grid of {rows}x{columns} patches")
    _require(n == theta_n, f"{name}: X has batch {n}, theta {theta_n}")
    _require(
        h % rows == 0 and w % columns == 0,
        f"{name}: X of {h}x{w} does not divide into a grid of {rows}x{columns} patches",
    )
    tensors = [x, theta] if previous is None else [x, theta, previous]
    _require(len({t.dtype for t in tensors}) == 1, f"{name}: dtypes differ: {[str(t.dtype) for t in tensors]}")
    if previous is not None:
        _require(h % 2 == 0 and w % 2 == 0, f"{name}: X of {h}x{w} has no half size for previous")
        expected = (n, h // 2, w // 2)
        _require(previous.dim() == 4, f"{name}: previous has {previous.dim()} dimensions, expected [N, C, H/2, W/2]")
        found = (previous.shape[0], *previous.shape[2:])
        _require(found == expected, f"{name}: previous [N, H, W] is {found}, expected {expected}")


def check_devices(name: str, tensors: Sequence[Tensor | None]) -> None:
    """Check that all given tensors are on one device."""
    devices = sorted({str(tensor.device) for tensor in tensors if tensor is not None})
    _require(len(devices) == 1, f"{name}: tensors are on several devices: {', '.join(devices)}; move them to one")


def check_kernel(name: str, x: Tensor, kernel: Sequence[int]) -> None:
    """Check for an odd square kernel whose reflect padding fits the map."""
    square = len(kernel) == 2 and kernel[0] == kernel[1] and kernel[0] > 0 and kernel[0] % 2 == 1
    _require(square, f"{name}: kernel_shape {list(kernel)} is not an odd square")
    radius = kernel[0] // 2
    fits = x.shape[2] > radius and x.shape[3] > radius
    _require(fits, f"{name}: a map of {x.shape[2]}x{x.shape[3]} cannot be reflect-padded by {radius}")


def check_weights(name: str, theta: Tensor, offset: int, count: int) -> None:
    """Check that θ holds `count` weights from `offset` on."""
    available = theta.shape[1] * theta.shape[4]
    _require(
        offset >= 0 and offset + count <= available,
        f"{name}: theta holds {available} weights per patch, {count} are needed from offset {offset}",
    )


def dpw_conv_outputs(
    x: Tensor,
    theta: Tensor,
    bias: Tensor | None,
    previous: Tensor | None,
    kernel: Sequence[int],
    group: int,
    activation: str,
    offset: int,
    coordinates: int,
    outputs: int,
) -> int:
    """Check the arguments and return C_out: `outputs` if given, else the bias's length, else as many as θ allows."""
    name = "dpw_conv"
    check_devices(name, (x, theta, bias, previous))
    check_map(name, x, theta, previous)
    check_kernel(name, x, kernel)
    _require(activation in ACTIVATIONS, f"{name}: activation {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    inputs = composed_channels(x, previous, coordinates)
    _require(group >= 1 and inputs % group == 0, f"{name}: {inputs} input channels do not divide into {group} groups")
    _require(inputs > 0, f"{name}: there are no input channels")
    per_output = inputs // group * kernel[0] * kernel[1]
    if bias is not None:
        _require(bias.dim() == 1 and bias.numel() > 0, f"{name}: bias must be [C_out], at least one channel")
        _require(outputs in (0, bias.shape[0]), f"{name}: bias has {bias.shape[0]} channels, outputs is {outputs}")
        outputs = int(bias.shape[0])
    if not outputs:
        outputs = (theta.shape[1] * theta.shape[4] - offset) // per_output
    _require(outputs > 0 and outputs % group == 0, f"{name}: {outputs} output channels and {group} groups do not fit")
    check_weights(name, theta, offset, outputs * per_output)
    return int(outputs)


def dpw_inverted_residual_outputs(
    x: Tensor,
    theta: Tensor,
    biases: Sequence[Tensor],
    previous: Tensor | None,
    kernel: Sequence[int],
    offset: int,
    coordinates: int,
) -> int:
    """Check the arguments and return C_out of a meta block; hidden and output channels are the biases' lengths."""
    name = "dpw_inverted_residual"
    check_devices(name, (x, theta, *biases, previous))
    check_map(name, x, theta, previous)
    check_kernel(name, x, kernel)
    vectors = all(bias.dim() == 1 and bias.numel() > 0 for bias in biases)
    _require(vectors, f"{name}: biases must be one-dimensional, at least one channel each")
    hidden, outputs = int(biases[0].shape[0]), int(biases[2].shape[0])
    _require(biases[1].shape[0] == hidden, f"{name}: bias1 and bias2 have {hidden} and {biases[1].shape[0]} channels")
    inputs = composed_channels(x, previous, coordinates)
    check_weights(name, theta, offset, hidden * inputs + hidden * kernel[0] * kernel[1] + outputs * hidden)
    return outputs


def check_scale(x: Tensor, scale: int) -> None:
    """Check X [N, C, H, W] and the scale of upsample_argmax."""
    if x.dim() != 4 or scale < 1:
        raise ValueError(
            f"upsample_argmax: X must be [N, C, H, W] and scale at least 1, found {tuple(x.shape)}, {scale}"
        )


def accumulation_type(dtype: torch.dtype) -> torch.dtype:
    """Type of sums: float32 at least."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype

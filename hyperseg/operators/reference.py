"""The operators as compositions of PyTorch functions: differentiable, on any device, and their definition in code."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.operators.patches import Grid, compose, convolve, merge, patch_weights, pointwise, windows


def grid_of(theta: Tensor) -> Grid:
    """Patch grid (N_h, N_w) of θ [N, T, N_h, N_w, L]."""
    return theta.shape[2], theta.shape[3]


def activate(x: Tensor, activation: str) -> Tensor:
    """`none`, `relu` or `relu6`, in place."""
    if activation == "relu":
        return F.relu(x, inplace=True)
    if activation == "relu6":
        return F.relu6(x, inplace=True)
    return x


def add_bias(x: Tensor, bias: Tensor | None) -> Tensor:
    """Add a per-channel bias [C] to [B, C, h, w], in place."""
    return x if bias is None else x.add_(bias[:, None, None])


def dpw_conv(
    x: Tensor,
    theta: Tensor,
    bias: Tensor | None,
    previous: Tensor | None,
    kernel_shape: Sequence[int],
    group: int,
    activation: str,
    offset: int,
    with_coordinates: bool,
    outputs: int,
) -> Tensor:
    """O_{i,j} = X_{i,j} * θ_{i,j} (paper, Eq. 8), then bias and activation."""
    grid = grid_of(theta)
    composed = compose(x, previous, with_coordinates)
    kernel = (kernel_shape[0], kernel_shape[1])
    count = outputs * (composed.shape[1] // group) * kernel[0] * kernel[1]
    weights = patch_weights(theta, offset, count)
    patches = windows(composed, grid, kernel[0] // 2)
    if kernel == (1, 1) and group == 1:
        result = pointwise(patches, weights, outputs)
    else:
        result = convolve(patches, weights, outputs, kernel, group)
    return merge(activate(add_bias(result, bias), activation), grid)


def dpw_inverted_residual(
    x: Tensor,
    theta: Tensor,
    biases: tuple[Tensor, Tensor, Tensor],
    previous: Tensor | None,
    kernel_shape: Sequence[int],
    offset: int,
    with_coordinates: bool,
) -> Tensor:
    """The meta block m_i of paper Fig. 3(a); pw1's weights of a patch are applied to its halo as well."""
    grid = grid_of(theta)
    composed = compose(x, previous, with_coordinates)
    hidden, outputs = biases[0].numel(), biases[2].numel()
    kernel = (kernel_shape[0], kernel_shape[1])
    counts = [hidden * composed.shape[1], hidden * kernel[0] * kernel[1], outputs * hidden]
    pw1, dw, pw2 = patch_weights(theta, offset, sum(counts)).split(counts, dim=1)
    patches = windows(composed, grid, kernel[0] // 2)
    expanded = activate(add_bias(pointwise(patches, pw1, hidden), biases[0]), "relu6")
    filtered = activate(add_bias(convolve(expanded, dw, hidden, kernel, hidden), biases[1]), "relu6")
    result = merge(add_bias(pointwise(filtered, pw2, outputs), biases[2]), grid)
    return result + composed if composed.shape[1] == outputs else result


def upsample_argmax(x: Tensor, scale: int) -> Tensor:
    """Bilinear upsampling by `scale` and the index of the largest channel; the lowest index wins a tie."""
    if scale > 1:
        size = (x.shape[2] * scale, x.shape[3] * scale)
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    return torch.argmax(x, dim=1).to(torch.int32)

"""Reference implementation of the operators in PyTorch: differentiable, on any device.

Maps are cut into the patches of the weight grid. Patches lie along one batch dimension B = N · N_h · N_w, row by row,
so that a dynamic patch-wise convolution is a batched matrix product (1×1) or a grouped convolution (k×k).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def coordinates(x: Tensor) -> Tensor:
    """Positional encoding [N, 2, H, W] of x's pixels: x along the width, then y, both from -1 to 1 (paper, P^{H,W})."""
    n, _, h, w = x.shape
    across = torch.linspace(-1, 1, w, dtype=x.dtype, device=x.device)
    down = torch.linspace(-1, 1, h, dtype=x.dtype, device=x.device)
    return torch.stack([across.expand(h, w), down[:, None].expand(h, w)]).expand(n, 2, h, w)


def compose(x: Tensor, previous: Tensor | None, with_coordinates: bool) -> Tensor:
    """Concatenate a level's input: coordinates if asked for, x, and `previous` upsampled ×2 bilinearly if given."""
    parts = [coordinates(x)] if with_coordinates else []
    parts.append(x)
    if previous is not None:
        upsampled = F.interpolate(previous, size=x.shape[-2:], mode="bilinear", align_corners=False)
        parts.append(upsampled.to(x.dtype))
    return torch.cat(parts, dim=1) if len(parts) > 1 else x


def patch_weights(theta: Tensor, offset: int, count: int) -> Tensor:
    """Gather weights `offset` to `offset + count` of every patch, [B, count], from θ [N, T, N_h, N_w, L]."""
    n, _, grid_h, grid_w, length = theta.shape
    first, last = offset // length, -(-(offset + count) // length)
    rows = theta[:, first:last].permute(0, 2, 3, 1, 4).reshape(n * grid_h * grid_w, (last - first) * length)
    start = offset - first * length
    return rows[:, start : start + count]


def split(x: Tensor, grid: Grid) -> Tensor:
    """Cut a map [N, C, H, W] into patches [B, C, H / N_h, W / N_w]."""
    n, c, h, w = x.shape
    rows, columns = grid
    patches = x.reshape(n, c, rows, h // rows, columns, w // columns).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(n * rows * columns, c, h // rows, w // columns)


def merge(patches: Tensor, grid: Grid) -> Tensor:
    """Join patches into a map; the inverse of `split`."""
    rows, columns = grid
    b, c, h, w = patches.shape
    n = b // (rows * columns)
    return patches.reshape(n, rows, columns, c, h, w).permute(0, 3, 1, 4, 2, 5).reshape(n, c, rows * h, columns * w)


def windows(x: Tensor, grid: Grid, radius: int) -> Tensor:
    """Cut a reflect-padded map into patches with a halo, [B, C, H / N_h + 2·radius, W / N_w + 2·radius]."""
    if radius == 0:
        return split(x, grid)
    n, c, h, w = x.shape
    rows, columns = grid
    step = (h // rows, w // columns)
    size = (step[0] + 2 * radius, step[1] + 2 * radius)
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    if x.requires_grad:  # im2col has the faster gradient, the strided view the faster forward pass
        flat = F.unfold(padded, size, stride=step).transpose(1, 2)
        return flat.reshape(n * rows * columns, c, *size)
    view = padded.unfold(2, size[0], step[0]).unfold(3, size[1], step[1])
    return view.permute(0, 2, 3, 1, 4, 5).reshape(n * rows * columns, c, *size)


def pointwise(patches: Tensor, weights: Tensor, outputs: int) -> Tensor:
    """1×1 convolution of each patch [B, C, h, w] with its own matrix, weights [B, outputs · C]."""
    b, c, h, w = patches.shape
    return torch.bmm(weights.reshape(b, outputs, c), patches.reshape(b, c, h * w)).view(b, outputs, h, w)


def convolve(patches: Tensor, weights: Tensor, outputs: int, kernel: Grid, group: int) -> Tensor:
    """Valid k×k convolution of each window [B, C, h, w] with its own weights [B, outputs · C/group · k · k]."""
    b, c, h, w = patches.shape
    filters = weights.reshape(b * outputs, c // group, *kernel)
    result = F.conv2d(patches.reshape(1, b * c, h, w), filters, groups=b * group)
    return result.view(b, outputs, *result.shape[-2:])


def grid_of(theta: Tensor) -> Grid:
    """Patch grid (N_h, N_w) of θ [N, T, N_h, N_w, L]."""
    return theta.shape[2], theta.shape[3]


def activate(x: Tensor, activation: str) -> Tensor:
    """Apply `none`, `relu` or `relu6`, in place."""
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
    """Meta block m_i of paper Fig. 3(a); pw1's weights of a patch are applied to its halo as well."""
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

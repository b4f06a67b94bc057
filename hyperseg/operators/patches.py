"""Maps cut into the patches of a weight grid, and weights cut into the patches' matrices.

Patches lie along one batch dimension B = N · N_h · N_w, row by row, so that a dynamic patch-wise convolution is a
batched matrix product (1×1) or a grouped convolution (k×k).
"""

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
    """A level's input: cat(coordinates, x, previous upsampled ×2 bilinearly); the parts that are asked for."""
    parts = [coordinates(x)] if with_coordinates else []
    parts.append(x)
    if previous is not None:
        upsampled = F.interpolate(previous, size=x.shape[-2:], mode="bilinear", align_corners=False)
        parts.append(upsampled.to(x.dtype))
    return torch.cat(parts, dim=1) if len(parts) > 1 else x


def patch_weights(theta: Tensor, offset: int, count: int) -> Tensor:
    """Weights `offset` to `offset + count` of every patch, [B, count], from θ [N, T, N_h, N_w, L]."""
    n, _, grid_h, grid_w, length = theta.shape
    first, last = offset // length, -(-(offset + count) // length)
    rows = theta[:, first:last].permute(0, 2, 3, 1, 4).reshape(n * grid_h * grid_w, (last - first) * length)
    start = offset - first * length
    return rows[:, start : start + count]


def split(x: Tensor, grid: Grid) -> Tensor:
    """[N, C, H, W] -> patches [B, C, H / N_h, W / N_w]."""
    n, c, h, w = x.shape
    rows, columns = grid
    patches = x.reshape(n, c, rows, h // rows, columns, w // columns).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(n * rows * columns, c, h // rows, w // columns)


def merge(patches: Tensor, grid: Grid) -> Tensor:
    """The inverse of `split`."""
    rows, columns = grid
    b, c, h, w = patches.shape
    n = b // (rows * columns)
    return patches.reshape(n, rows, columns, c, h, w).permute(0, 3, 1, 4, 2, 5).reshape(n, c, rows * h, columns * w)


def windows(x: Tensor, grid: Grid, radius: int) -> Tensor:
    """Patches with a halo, [B, C, H / N_h + 2·radius, W / N_w + 2·radius], from the reflect-padded whole map."""
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

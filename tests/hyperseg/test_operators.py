"""torch.ops.hyperseg.*: shared test vectors, the published formulation with gradients, PyTorch's opcheck."""

from dataclasses import dataclass

import pytest
import torch
import torch_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck
from torch.nn import functional as F
from vectors import CASES, assert_matches, by_operator, check_each

import hyperseg.operators  # noqa: F401  registers the operators

ops = torch.ops.hyperseg


@pytest.mark.numerics
@pytest.mark.parametrize("operator", by_operator(CASES))
def test_shared_vectors(operator):
    check_each(
        by_operator(CASES)[operator],
        lambda case: assert_matches(case, torch_vectors.run(case, torch_vectors.tensors(case)).numpy()),
    )


@dataclass(frozen=True)
class Sizes:
    """A random meta block or DPWConv."""

    batch: int
    grid: tuple[int, int]
    patch: tuple[int, int]
    inputs: int
    hidden: int
    outputs: int
    pieces: int
    offset: int
    glue: bool
    seed: int

    @property
    def size(self) -> tuple[int, int]:
        return self.grid[0] * self.patch[0], self.grid[1] * self.patch[1]

    @property
    def composed(self) -> int:
        return self.inputs + (5 if self.glue else 0)

    def map(self) -> Tensor:
        return self.draw(self.batch, self.inputs, *self.size)

    def previous(self) -> Tensor | None:
        return self.draw(self.batch, 3, self.size[0] // 2, self.size[1] // 2) if self.glue else None

    def theta(self, weights: int) -> Tensor:
        length = -(-(self.offset + weights) // self.pieces)
        return self.draw(self.batch, self.pieces, *self.grid, length)

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, requires_grad=True)


sizes = st.builds(
    Sizes,
    batch=st.integers(1, 2),
    grid=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    patch=st.sampled_from([(2, 2), (4, 2), (2, 6), (4, 4)]),
    inputs=st.integers(1, 4),
    hidden=st.integers(1, 5),
    outputs=st.integers(1, 5),
    pieces=st.integers(1, 4),
    offset=st.integers(0, 7),
    glue=st.booleans(),
    seed=st.integers(0, 99),
)


def unfolded(x: Tensor, grid: tuple[int, int], radius: int) -> Tensor:
    """Windows [N, N_h·N_w, C, h, w] by im2col, as the published code cuts them."""
    h, w = x.shape[2] // grid[0], x.shape[3] // grid[1]
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    columns = F.unfold(padded, (h + 2 * radius, w + 2 * radius), stride=(h, w))
    return columns.transpose(1, 2).reshape(x.shape[0], grid[0] * grid[1], x.shape[1], h + 2 * radius, w + 2 * radius)


def grouped(patches: Tensor, weights: Tensor, group: int) -> Tensor:
    """Every patch with its own weights [N, N_h·N_w, C_out, C/group, k, k], by one grouped convolution."""
    n, count, channels, h, w = patches.shape
    filters = weights.reshape(n * count * weights.shape[2], *weights.shape[3:])
    result = F.conv2d(patches.reshape(1, n * count * channels, h, w), filters, groups=n * count * group)
    return result.reshape(n, count, weights.shape[2], *result.shape[2:])


def folded(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patches back into a map, by col2im."""
    n, count, channels, h, w = patches.shape
    columns = patches.reshape(n, count, channels * h * w).transpose(1, 2)
    return F.fold(columns, (grid[0] * h, grid[1] * w), (h, w), stride=(h, w))


def weights_of(theta: Tensor, offset: int, *shape: int) -> Tensor:
    """θ's weights from `offset` on as [N, N_h·N_w, *shape]."""
    n, pieces, rows, columns, length = theta.shape
    flat = theta.permute(0, 2, 3, 1, 4).reshape(n, rows * columns, pieces * length)
    count = torch.Size(shape).numel()
    return flat[:, :, offset : offset + count].reshape(n, rows * columns, *shape)


def glued(x: Tensor, previous: Tensor | None) -> Tensor:
    if previous is None:
        return x
    n, _, h, w = x.shape
    across = torch.linspace(-1, 1, w, dtype=x.dtype).expand(n, 1, h, w)
    down = torch.linspace(-1, 1, h, dtype=x.dtype)[:, None].expand(n, 1, h, w)
    upsampled = F.interpolate(previous, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([across, down, x, upsampled], dim=1)


def assert_same_with_gradients(actual: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    # float64: both sides differ by the order of sums only.
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-10)
    upstream = torch.randn_like(expected)
    ours = torch.autograd.grad(actual, inputs, upstream, retain_graph=True, allow_unused=True)
    theirs = torch.autograd.grad(expected, inputs, upstream, allow_unused=True)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-9, rtol=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    sizes=sizes,
    kernel=st.sampled_from([1, 3]),
    activation=st.sampled_from(["none", "relu", "relu6"]),
    wide=st.booleans(),
)
def test_dpw_conv_is_the_published_formulation(sizes, kernel, activation, wide):
    """With its gradients, in float64; groups are 1 or all input channels."""
    torch.manual_seed(sizes.seed)
    group = sizes.composed if wide else 1
    outputs = sizes.composed * 2 if wide else sizes.outputs
    shape = (outputs, sizes.composed // group, kernel, kernel)
    x, theta, bias, previous = (
        sizes.map(),
        sizes.theta(torch.Size(shape).numel()),
        sizes.draw(outputs),
        sizes.previous(),
    )
    actual = ops.dpw_conv(x, theta, bias, previous, [kernel, kernel], group, activation, sizes.offset, int(sizes.glue))
    patches = unfolded(glued(x, previous), sizes.grid, kernel // 2)
    expected = grouped(patches, weights_of(theta, sizes.offset, *shape), group)
    expected = folded(expected + bias[:, None, None], sizes.grid)
    expected = {"none": lambda y: y, "relu": F.relu, "relu6": F.relu6}[activation](expected)
    assert_same_with_gradients(actual, expected, [v for v in (x, theta, bias, previous) if v is not None])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(sizes=sizes)
def test_dpw_inverted_residual_is_the_published_formulation(sizes):
    """With its gradients, in float64; the patch's own weights on its halo."""
    torch.manual_seed(sizes.seed)
    c, hidden, outputs = sizes.composed, sizes.hidden, sizes.outputs
    shapes = [(hidden, c, 1, 1), (hidden, 1, 3, 3), (outputs, hidden, 1, 1)]
    counts = [torch.Size(shape).numel() for shape in shapes]
    x, theta, previous = sizes.map(), sizes.theta(sum(counts)), sizes.previous()
    biases = [sizes.draw(hidden), sizes.draw(hidden), sizes.draw(outputs)]
    actual = ops.dpw_inverted_residual(x, theta, *biases, previous, [3, 3], sizes.offset, int(sizes.glue))
    composed = glued(x, previous)
    y, start = unfolded(composed, sizes.grid, 1), sizes.offset
    for index, (shape, count, bias) in enumerate(zip(shapes, counts, biases, strict=True)):
        y = grouped(y, weights_of(theta, start, *shape), hidden if index == 1 else 1) + bias[:, None, None]
        y = F.relu6(y) if index < 2 else y
        start += count
    expected = folded(y, sizes.grid)
    expected = expected + composed if c == outputs else expected
    assert_same_with_gradients(actual, expected, [v for v in (x, theta, *biases, previous) if v is not None])


def test_gradcheck():
    """Against finite differences, away from the activations' kinks."""
    x = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    theta = (0.1 + torch.rand(1, 2, 2, 2, 14, dtype=torch.float64)).requires_grad_()
    biases = [torch.rand(count, dtype=torch.float64).requires_grad_() for count in (2, 2, 3)]
    assert torch.autograd.gradcheck(lambda *a: ops.dpw_inverted_residual(*a, None, [3, 3], 0, 0), (x, theta, *biases))
    assert torch.autograd.gradcheck(lambda a, b, c: ops.dpw_conv(a, b, c, None, [3, 3], 2), (x, theta, biases[0]))


def test_opcheck():
    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, requires_grad=True)

    opcheck(ops.dpw_conv, (draw(2, 3, 8, 12), draw(2, 4, 2, 3, 20), draw(7), draw(2, 5, 4, 6)), {"coordinates": 1})
    depthwise = {"kernel_shape": [3, 3], "group": 4, "activation": "relu6", "offset": 3}
    opcheck(ops.dpw_conv, (draw(2, 4, 8, 12), draw(2, 3, 2, 3, 20), draw(4)), depthwise)
    block = (draw(2, 4, 8, 12), draw(2, 5, 2, 3, 40), draw(6), draw(6), draw(3), draw(2, 3, 4, 6))
    opcheck(ops.dpw_inverted_residual, block, {"offset": 3, "coordinates": 1})
    opcheck(ops.upsample_argmax, (torch.randn(2, 4, 8, 12), 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_in_float32(dtype):
    """The result is the float32 result of the rounded inputs, rounded once."""
    x, theta, bias = (torch.randn(shape).to(dtype) for shape in [(1, 64, 8, 8), (1, 1, 2, 2, 64 * 8), (8,)])
    exact = ops.dpw_conv(x.float(), theta.float(), bias.float())
    assert torch.equal(ops.dpw_conv(x, theta, bias), exact.to(dtype))


X, THETA = torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 2, 2, 40)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"x": torch.zeros(1, 4, 9, 8)}, "grid of 2x2"),
        ({"x": torch.zeros(2, 4, 8, 8)}, "batch"),
        ({"x": torch.zeros(4, 8, 8)}, "dimensions"),
        ({"theta": THETA[0]}, "dimensions"),
        ({"theta": THETA.half()}, "dtypes"),
        ({"kernel_shape": [2, 2]}, "odd square"),
        ({"kernel_shape": [1, 3]}, "odd square"),
        ({"x": torch.zeros(1, 4, 2, 2), "kernel_shape": [5, 5]}, "reflect"),
        ({"activation": "silu"}, "silu"),
        ({"group": 3}, "groups"),
        ({"offset": 1}, "40 weights"),
        ({"bias": torch.zeros(11)}, "40 weights"),
        ({"previous": torch.zeros(1, 2, 8, 8)}, "previous"),
    ],
)
def test_bad_shapes(arguments, said):
    merged = {"x": X, "theta": THETA, "bias": torch.zeros(10), **arguments}
    with pytest.raises(ValueError, match=said):
        ops.dpw_conv(**merged)

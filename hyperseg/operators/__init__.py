"""`torch.ops.hyperseg.*`: the dynamic operators, with the contract that every backend shares.

dpw_conv(x, theta, bias, previous, kernel_shape, group, activation, offset, coordinates) -> y
    Dynamic patch-wise convolution (paper, Eq. 8): x [N, C, H, W], theta [N, T, N_h, N_w, L] -> y [N, C_out, H, W].
    C_out is the length of the bias [C_out]; without a bias, the most output channels that theta's weights from `offset`
    on can fill. activation: "none", "relu" or "relu6".
dpw_inverted_residual(x, theta, bias1, bias2, bias3, previous, kernel_shape, offset, coordinates) -> y
    The meta block with its own-weights halo (paper, Fig. 3a). hidden = len(bias1), C_out = len(bias3).
upsample_argmax(x, scale) -> labels
    Bilinear upsampling and argmax, int32 [N, H·scale, W·scale].

theta holds T·L weights for each patch of a grid of N_h x N_w, cut into T pieces of L: weight k of patch (i, j) is
theta[n, q // L, i, j, q % L], q = offset + k. With `coordinates` and `previous` [N, C_p, H/2, W/2] the block's input is
cat(x-coordinate, y-coordinate, x, previous upsampled ×2).

float32, float64, float16 and bfloat16; sums in float32 at least. Bad shapes raise ValueError. On CUDA tensors the
forward pass of float32 and float16 runs on our kernels (`cuda.py`), with a RuntimeWarning if they do not support it;
other types and every backward pass run as compositions of PyTorch functions (`composite.py`).
"""

from hyperseg.operators import registration as registration

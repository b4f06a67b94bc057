#pragma once

#include "conv_arguments.cuh"

// DPWConv of any kernel size, grouping and patch: the fallback for shapes that no other kernel supports.
//
// A thread block makes outs_per_block output channels of a patch. It reads their weights once, into shared memory; a
// thread makes one output at a time and reads its input pixels through the cache.
//
// Shared memory: weights float [outs_per_block][C_in / group * K * K].

namespace hyperseg::cuda {

/// Pixel (y, x) of composed channel c, reflected into the map.
template <typename T>
__device__ __forceinline__ float composed_value(const LevelInput& input, const LevelPointers<T>& pointers, int n, int c,
                                                int y, int x) {
  y = reflect(y, input.height);
  x = reflect(x, input.width);
  if (input.coordinates) {
    if (c == 0) return coordinate(x, input.width);
    if (c == 1) return coordinate(y, input.height);
    c -= 2;
  }
  if (c < input.x_channels) return to_float(load_one(pointers.x_at(input, n, c, y, x)));
  const int height = input.height / 2;
  const int width = input.width / 2;
  const std::int64_t plane = static_cast<std::int64_t>(n) * input.previous_channels + c - input.x_channels;
  const T* map = pointers.previous + plane * height * width;
  const Interpolation down = interpolate(y, height, 2);
  const Interpolation across = interpolate(x, width, 2);
  const auto line = [&](int row) {
    return lerp(to_float(load_one(map + row * width + across.low)), to_float(load_one(map + row * width + across.high)),
                across.weight);
  };
  return lerp(line(down.low), line(down.high), down.weight);
}

constexpr int kConvolutionThreads = 128;
constexpr int kConvolutionBlocks = 4;  // a multiprocessor; bounds the registers

template <typename T>
__global__ void __launch_bounds__(kConvolutionThreads, kConvolutionBlocks)
    convolution(const __grid_constant__ ConvArguments<T> arguments) {
  const DPWConvParams& params = arguments.params;
  const int kernel = params.kernel;
  const int row_weights = static_cast<int>(arguments.row_weights.divisor);
  const int inputs = params.in_channels() / params.group;
  const int outputs = params.out_channels / params.group;
  float* weights = shared<float>();

  const PatchPlace patch(params.theta, arguments.tiling);
  const int height = arguments.tiling.patch_height;
  const int width = arguments.tiling.patch_width;
  arguments.for_weights(patch, [&](int m, int k, T weight) { weights[m * row_weights + k] = to_float(weight); });
  __syncthreads();

  const int pixels = height * width;
  for (int item = threadIdx.x; item < arguments.outs() * pixels; item += blockDim.x) {
    const int m = item / pixels;
    const int channel = arguments.first_out() + m;
    const int first_input = channel / outputs * inputs;
    const int y = patch.i * height + item % pixels / width;
    const int x = patch.j * width + item % pixels % width;
    const float* weight = weights + m * row_weights;
    float sum = arguments.bias_of(channel);
    for (int c = 0; c < inputs; ++c) {
      for (int v = 0; v < kernel; ++v) {
        for (int u = 0; u < kernel; ++u) {
          const float value = composed_value(params.input, arguments.level, patch.n, first_input + c,
                                             y + v - kernel / 2, x + u - kernel / 2);
          sum = multiply_add(*weight++, value, sum);
        }
      }
    }
    const std::int64_t line =
        (static_cast<std::int64_t>(patch.n) * params.out_channels + channel) * params.input.height + y;
    store_one(arguments.y + line * params.input.width + x, convert<T>(arguments.finish(sum)));
  }
}

}  // namespace hyperseg::cuda

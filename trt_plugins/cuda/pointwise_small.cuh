#pragma once

#include "conv_arguments.cuh"

// DPWConv 1x1 on patches of 1x1, 2x2 and 4x4 pixels (levels 0 to 2), where reading the weights is nearly all the work.
//
// A thread block makes all output channels of one patch. Eight lanes share an output channel: they read its weights
// straight from global memory, neighbours in one sector, each weight once, and keep sums for all pixels of the patch.
// Exchanging halves of the sums then leaves every lane with an eighth of them to finish.
//
// Shared memory:
//   window  float [C_in][kLeading]                       the patch's composed input
//   scratch T     [C_previous][Shape::kPreviousWindow]   the window of `previous`

namespace hyperseg::cuda {

template <int kPatch>
struct PointwiseSmall {
  using Shape = TileShape<kPatch, kPatch, 0>;
  static constexpr int kPixels = kPatch * kPatch;
  static constexpr int kLanes = 8;
  static constexpr int kThreadsMax = 256;
  static constexpr int kBlocks = 3;  ///< a multiprocessor; bounds the registers
  /// Lanes read channels that lie two apart; the padding keeps them off each other's banks.
  static constexpr int kLeading = kPixels == 16 ? 20 : kPixels;
  static constexpr int kFinished = kPixels > kLanes ? kPixels / kLanes : 1;
  static constexpr int kLanesAPixel = kPixels < kLanes ? kLanes / kPixels : 1;

  static std::size_t shared_bytes(const DPWConvParams& params, std::size_t element_bytes) {
    return sizeof(float) * params.in_channels() * kLeading +
           element_bytes * params.input.previous_channels * Shape::kPreviousWindow;
  }
};

/// Adds `sums` over the lanes of a group. Every lane keeps the first Variant::kFinished, those of the pixels from the
/// returned one on.
template <typename Variant>
__device__ __forceinline__ int add_over_lanes(float (&sums)[Variant::kPixels]) {
  int first = 0;
  int count = Variant::kPixels;
#pragma unroll
  for (int distance = Variant::kLanes / 2; distance > 0; distance /= 2) {
    const bool upper = (threadIdx.x & distance) != 0;
    if (count == 1) {
      sums[0] += __shfl_xor_sync(0xffffffffu, sums[0], distance);
      continue;
    }
    count /= 2;
#pragma unroll
    for (int p = 0; p < count; ++p) {
      const float given = upper ? sums[p] : sums[p + count];
      const float kept = upper ? sums[p + count] : sums[p];
      sums[p] = kept + __shfl_xor_sync(0xffffffffu, given, distance);
    }
    if (upper) first += count;
  }
  return first;
}

template <int kPatch, int kVector, typename T>
__global__ void __launch_bounds__(PointwiseSmall<kPatch>::kThreadsMax, PointwiseSmall<kPatch>::kBlocks)
    pointwise_small(const __grid_constant__ ConvArguments<T> arguments) {
  using Variant = PointwiseSmall<kPatch>;
  using Shape = typename Variant::Shape;
  constexpr int kPixels = Variant::kPixels;
  const int in = arguments.params.in_channels();
  const int outs = arguments.params.out_channels;
  float* window = shared<float>();
  T* scratch = reinterpret_cast<T*>(window + in * Variant::kLeading);

  const PatchPlace patch(arguments.params.theta, arguments.tiling);
  const TilePlace tile(patch, arguments.tiling, 0, Shape{});
  load_window<Shape>(arguments.params.input, arguments.level, tile, ChannelRange{0, in}, window, Variant::kLeading,
                     scratch);
  __syncthreads();

  const PatchWeights<T> weights(arguments.layout, arguments.theta, patch.n, patch.i, patch.j);
  const int lane = threadIdx.x % Variant::kLanes;
  const int groups = blockDim.x / Variant::kLanes;
  for (int begin = 0; begin < outs; begin += groups) {
    const int m = begin + threadIdx.x / Variant::kLanes;
    const int end = m < outs ? in : 0;
    float sums[kPixels] = {};
#pragma unroll 4
    for (int c = lane * kVector; c < end; c += Variant::kLanes * kVector) {
      const Pack<T, kVector> pack = load<kVector>(weights.at(m * in + c));
#pragma unroll
      for (int v = 0; v < kVector; ++v) {
        const float weight = to_float(pack.values[v]);
        const float* values = window + (c + v) * Variant::kLeading;
#pragma unroll
        for (int p = 0; p < kPixels; ++p) sums[p] = multiply_add(weight, values[p], sums[p]);
      }
    }
    const int first = add_over_lanes<Variant>(sums);
    if (m >= outs || lane % Variant::kLanesAPixel != 0) continue;
    const float bias = arguments.bias_of(m);
    Pack<T, Variant::kFinished> pack;
#pragma unroll
    for (int p = 0; p < Variant::kFinished; ++p) pack.values[p] = convert<T>(arguments.finish(sums[p] + bias));
    store(arguments.output(tile, m, first / kPatch, first % kPatch), pack);
  }
}

}  // namespace hyperseg::cuda

#include <algorithm>

#include "convolution.cuh"
#include "depthwise.cuh"
#include "launch.h"
#include "launcher.h"
#include "pointwise_float.cuh"
#include "pointwise_small.cuh"
#include "pointwise_tensor.cuh"

namespace hyperseg::cuda {
namespace {

// Which kernel runs a shape, and on which tile (rows x columns). The first line that fits is taken.
//
//   kernel            shape                                        tile
//   pointwise_small   1x1, group 1, patches of 1x1, 2x2 and 4x4    the patch
//   pointwise_float   1x1, group 1, float                          8x8 for patches up to 8x8, else 8x16
//   pointwise_tensor  1x1, group 1, half                           the same
//   depthwise         3x3, group = C_in = C_out                    4x4, 8x8 or 16x16: the first that holds the patch,
//                                                                  or the last
//   convolution       anything else                                the patch
constexpr std::size_t kSharedBytesEverywhere = 64 << 10;  // what a block may have on every architecture from sm_75 on

/// A kernel, its tiling of patches, and the resources of a block.
template <typename T>
struct Plan {
  void (*kernel)(ConvArguments<T>) = nullptr;
  Tiling tiling{};
  unsigned threads = 0;
  int outs_per_block = 0;
  std::size_t shared_bytes = 0;
};

bool patch_within(const DPWConvParams& params, int side) {
  return params.patch_height() <= side && params.patch_width() <= side;
}

template <typename Shape>
Tiling tiling_of(const DPWConvParams& params, Shape shape) {
  return Tiling::of(params.patch_height(), params.patch_width(), shape, params.weights(),
                    tile_elements(params.input, params.out_channels, shape));
}

Tiling whole_patch(const DPWConvParams& params) {
  return {params.patch_height(), params.patch_width(), 1, 1, 1, 1};
}

template <int kPatch, typename T>
Plan<T> plan_small(const DPWConvParams& params) {
  using Variant = PointwiseSmall<kPatch>;
  const int threads = std::min(Variant::kThreadsMax, round_up(params.out_channels * Variant::kLanes, 32));
  const bool even = WeightLayout(params.theta).vector >= 2 && params.in_channels() % 2 == 0;
  return {even ? &pointwise_small<kPatch, 2, T> : &pointwise_small<kPatch, 1, T>, whole_patch(params),
          static_cast<unsigned>(threads), params.out_channels, Variant::shared_bytes(params, sizeof(T))};
}

/// All output channels in one block if their weights fit its shared memory, else as many as do.
template <typename Variant, typename T>
Plan<T> plan_pointwise(const DPWConvParams& params, void (*kernel)(ConvArguments<T>)) {
  int outs = params.out_channels;
  while (outs > kSide && Variant::shared_bytes(params, outs) > kSharedBytesEverywhere) {
    outs = round_up((outs + 1) / 2, kSide);
  }
  return {kernel, tiling_of(params, typename Variant::Shape{}), Variant::kThreads, outs,
          Variant::shared_bytes(params, outs)};
}

Plan<float> plan_pointwise_tile(const DPWConvParams& params, float) {
  using Small = PointwiseFloat<TileShape<8, 8, 0>>;
  using Large = PointwiseFloat<TileShape<8, 16, 0>>;
  return patch_within(params, 8) ? plan_pointwise<Small>(params, &pointwise_float<Small>)
                                 : plan_pointwise<Large>(params, &pointwise_float<Large>);
}

Plan<__half> plan_pointwise_tile(const DPWConvParams& params, __half) {
  using Small = PointwiseTensor<TileShape<8, 8, 0>>;
  using Large = PointwiseTensor<TileShape<8, 16, 0>>;
  return patch_within(params, 8) ? plan_pointwise<Small>(params, &pointwise_tensor<Small>)
                                 : plan_pointwise<Large>(params, &pointwise_tensor<Large>);
}

template <typename Variant, typename T>
Plan<T> plan_depthwise(const DPWConvParams& params) {
  const Tiling tiling = Tiling::of(params.patch_height(), params.patch_width(), typename Variant::Shape{}, 0, 1);
  return {&depthwise<Variant, T>, tiling, Variant::kThreads, Variant::kChannels,
          Variant::shared_bytes(params, sizeof(T))};
}

template <typename T>
Plan<T> plan_convolution(const DPWConvParams& params) {
  const std::size_t row_bytes = sizeof(float) * ConvArguments<T>::row_of(params);
  const std::size_t rows = std::max<std::size_t>(1, kSharedBytesDefault / row_bytes);
  const int outs = static_cast<int>(std::min<std::size_t>(rows, params.out_channels));
  return {&convolution<T>, whole_patch(params), kConvolutionThreads, outs, outs * row_bytes};
}

template <typename T>
Plan<T> plan(const DPWConvParams& params) {
  if (params.kernel == 1 && params.group == 1) {
    const int patch = params.patch_height() == params.patch_width() ? params.patch_height() : 0;
    if (patch == 1) return plan_small<1, T>(params);
    if (patch == 2) return plan_small<2, T>(params);
    if (patch == 4) return plan_small<4, T>(params);
    return plan_pointwise_tile(params, T{});
  }
  if (params.kernel == 3 && params.group == params.in_channels() && params.group == params.out_channels) {
    if (patch_within(params, 4)) return plan_depthwise<Depthwise<TileShape<4, 4, 1>>, T>(params);
    if (patch_within(params, 8)) return plan_depthwise<Depthwise<TileShape<8, 8, 1>>, T>(params);
    return plan_depthwise<Depthwise<TileShape<16, 16, 1>>, T>(params);
  }
  return plan_convolution<T>(params);
}

template <typename T>
cudaError_t launch_typed(const DPWConvParams& params, const DPWConvPointers& pointers, cudaStream_t stream) {
  const Plan<T> chosen = plan<T>(params);
  const unsigned blocks = grid_blocks(params.input, params.theta, chosen.tiling);
  const int groups = (params.out_channels + chosen.outs_per_block - 1) / chosen.outs_per_block;
  if (blocks == 0 || groups > static_cast<int>(kGridSidesMax)) return cudaErrorInvalidConfiguration;
  return launch(chosen.kernel, {dim3(blocks, static_cast<unsigned>(groups)), chosen.threads, chosen.shared_bytes},
                stream, ConvArguments<T>(params, chosen.tiling, chosen.outs_per_block, pointers));
}

}  // namespace

cudaError_t launch_dpw_conv(const DPWConvParams& params, DataType type, const DPWConvPointers& pointers,
                            cudaStream_t stream) {
  return type == DataType::kFloat16 ? launch_typed<__half>(params, pointers, stream)
                                    : launch_typed<float>(params, pointers, stream);
}

std::size_t shared_bytes(const DPWConvParams& params, DataType type) {
  return type == DataType::kFloat16 ? plan<__half>(params).shared_bytes : plan<float>(params).shared_bytes;
}

}  // namespace hyperseg::cuda

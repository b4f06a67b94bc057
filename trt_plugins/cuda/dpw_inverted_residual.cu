#include "dpw_inverted_residual_float.cuh"
#include "dpw_inverted_residual_tensor.cuh"
#include "launch.h"
#include "launcher.h"

namespace hyperseg::cuda {
namespace {

// Which variant runs a shape: the first line that fits the patch and 64 KiB of shared memory, or else the last.
//
//   type   patch           tile (rows x columns)  threads  output channels a block
//   float  beyond 8x8      16x16                  256      8, 12, 16, 20 or 24: the fewest that hold all
//   float  beyond 8x8      8x16                   128      the same
//   float  any             8x8                    128      the same
//   half   beyond 8x8      8x16                   128      16 or 32
//   half   any             8x8                    128      16 or 32
template <int kOuts>
using FloatSmall = FloatResidual<TileShape<8, 8, 1>, 4, 16, kOuts>;
template <int kOuts>
using FloatMedium = FloatResidual<TileShape<8, 16, 1>, 2, 8, kOuts>;
template <int kOuts>
using FloatLarge = FloatResidual<TileShape<16, 16, 1>, 2, 8, kOuts>;
template <int kRowTiles>
using TensorSmall = TensorResidual<TileShape<8, 8, 1>, kRowTiles>;
template <int kRowTiles>
using TensorLarge = TensorResidual<TileShape<8, 16, 1>, kRowTiles>;

constexpr std::size_t kSharedBytesEverywhere = 64 << 10;  // what a block may have on every architecture from sm_75 on

template <typename Variant>
bool suits(const DPWInvertedResidualParams& params) {
  const bool beyond_small = params.patch_height() > 8 || params.patch_width() > 8;
  return beyond_small && Variant::shared_bytes(params) <= kSharedBytesEverywhere;
}

template <int kOuts, typename Visit>
auto with_float_tile(const DPWInvertedResidualParams& params, Visit visit) {
  if (suits<FloatLarge<kOuts>>(params)) return visit(FloatLarge<kOuts>{});
  if (suits<FloatMedium<kOuts>>(params)) return visit(FloatMedium<kOuts>{});
  return visit(FloatSmall<kOuts>{});
}

template <int kRowTiles, typename Visit>
auto with_tensor_tile(const DPWInvertedResidualParams& params, Visit visit) {
  if (suits<TensorLarge<kRowTiles>>(params)) return visit(TensorLarge<kRowTiles>{});
  return visit(TensorSmall<kRowTiles>{});
}

template <typename Visit>
auto with_variant(const DPWInvertedResidualParams& params, DataType type, Visit visit) {
  const int outs = params.out_channels;
  if (type == DataType::kFloat16) {
    return outs <= kSide ? with_tensor_tile<1>(params, visit) : with_tensor_tile<2>(params, visit);
  }
  if (outs <= 8) return with_float_tile<8>(params, visit);
  if (outs <= 12) return with_float_tile<12>(params, visit);
  if (outs <= 16) return with_float_tile<16>(params, visit);
  if (outs <= 20) return with_float_tile<20>(params, visit);
  return with_float_tile<24>(params, visit);
}

template <typename Tile, int kSlices, int kChunk, int kOuts>
auto kernel_of(FloatResidual<Tile, kSlices, kChunk, kOuts>) {
  return &dpw_inverted_residual_float<FloatResidual<Tile, kSlices, kChunk, kOuts>>;
}

template <typename Tile, int kRowTiles>
auto kernel_of(TensorResidual<Tile, kRowTiles>) {
  return &dpw_inverted_residual_tensor<TensorResidual<Tile, kRowTiles>>;
}

template <typename Variant, typename T>
cudaError_t launch_kernel(Variant, void (*kernel)(ResidualArguments<T>), const DPWInvertedResidualParams& params,
                          const DPWInvertedResidualPointers& pointers, cudaStream_t stream) {
  const typename Variant::Shape shape;
  const Tiling tiling = Tiling::of(params.patch_height(), params.patch_width(), shape, params.weights(),
                                   tile_elements(params.input, params.out_channels, shape));
  const unsigned blocks = grid_blocks(params.input, params.theta, tiling);
  const unsigned slices = static_cast<unsigned>((params.out_channels + Variant::kOuts - 1) / Variant::kOuts);
  if (blocks == 0 || slices > kGridSidesMax) return cudaErrorInvalidConfiguration;
  return launch(kernel, {dim3(blocks, slices), Variant::kThreads, Variant::shared_bytes(params)}, stream,
                ResidualArguments<T>(params, tiling, pointers));
}

}  // namespace

cudaError_t launch_dpw_inverted_residual(const DPWInvertedResidualParams& params, DataType type,
                                         const DPWInvertedResidualPointers& pointers, cudaStream_t stream) {
  return with_variant(
      params, type, [&](auto variant) { return launch_kernel(variant, kernel_of(variant), params, pointers, stream); });
}

std::size_t shared_bytes(const DPWInvertedResidualParams& params, DataType type) {
  return with_variant(params, type, [&](auto variant) { return decltype(variant)::shared_bytes(params); });
}

}  // namespace hyperseg::cuda

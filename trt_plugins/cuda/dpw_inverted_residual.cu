#include "inverted_residual_float.cuh"
#include "inverted_residual_tensor.cuh"
#include "launch.h"
#include "launcher.h"

namespace hyperseg::cuda {
namespace {

// Which variant runs a shape. Tiles of 8x8 waste nothing on the patches of level 3 and less memory on many channels.
//
//   type   patch            tile (rows x columns)  threads  output channels a block
//   float  up to 8x8        8x8                    128      8, 12, 16, 20 or 24: the fewest that hold all
//   float  larger           16x16                  256      the same
//   half   up to 8x8        8x8                    128      16 or 32
//   half   larger           8x16                   128      16 or 32
template <int kOuts>
using FloatSmall = FloatResidual<TileShape<8, 8, 1>, 4, 16, kOuts>;
template <int kOuts>
using FloatLarge = FloatResidual<TileShape<16, 16, 1>, 2, 8, kOuts>;
template <int kRowTiles>
using TensorSmall = TensorResidual<TileShape<8, 8, 1>, kRowTiles>;
template <int kRowTiles>
using TensorLarge = TensorResidual<TileShape<8, 16, 1>, kRowTiles>;

constexpr std::size_t kSharedBytesEverywhere = 64 << 10;  // what a block may have on every architecture from sm_75 on

template <template <int> typename Small, template <int> typename Large, int kOuts, typename Visit>
auto with_tile(const DPWInvertedResidualParams& params, Visit visit) {
  const bool small_patch = params.patch_height() <= 8 && params.patch_width() <= 8;
  const bool fits = Large<kOuts>::shared_bytes(params) <= kSharedBytesEverywhere;
  return small_patch || !fits ? visit(Small<kOuts>{}) : visit(Large<kOuts>{});
}

template <typename Visit>
auto with_variant(const DPWInvertedResidualParams& params, DataType type, Visit visit) {
  const int outs = params.out_channels;
  if (type == DataType::kFloat16) {
    if (outs <= kSide) return with_tile<TensorSmall, TensorLarge, 1>(params, visit);
    return with_tile<TensorSmall, TensorLarge, 2>(params, visit);
  }
  if (outs <= 8) return with_tile<FloatSmall, FloatLarge, 8>(params, visit);
  if (outs <= 12) return with_tile<FloatSmall, FloatLarge, 12>(params, visit);
  if (outs <= 16) return with_tile<FloatSmall, FloatLarge, 16>(params, visit);
  if (outs <= 20) return with_tile<FloatSmall, FloatLarge, 20>(params, visit);
  return with_tile<FloatSmall, FloatLarge, 24>(params, visit);
}

template <typename Tile, int kSlices, int kChunk, int kOuts>
auto kernel_of(FloatResidual<Tile, kSlices, kChunk, kOuts>) {
  return &inverted_residual_float<FloatResidual<Tile, kSlices, kChunk, kOuts>>;
}

template <typename Tile, int kRowTiles>
auto kernel_of(TensorResidual<Tile, kRowTiles>) {
  return &inverted_residual_tensor<TensorResidual<Tile, kRowTiles>>;
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

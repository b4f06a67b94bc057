#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "hyperseg/level_input.h"
#include "hyperseg/theta.h"

namespace hyperseg::cuda {

constexpr int round_up(int value, int to) {
  return (value + to - 1) / to * to;
}

/// The pixels that a thread block works on at a time, and the window it reads for them.
template <int kTileHeight, int kTileWidth, int kTileHalo>
struct TileShape {
  static constexpr int kHeight = kTileHeight;
  static constexpr int kWidth = kTileWidth;
  static constexpr int kPixels = kHeight * kWidth;
  static constexpr int kHalo = kTileHalo;
  static constexpr int kRows = kHeight + 2 * kHalo;
  static constexpr int kColumns = kWidth + 2 * kHalo;
  static constexpr int kWindow = kRows * kColumns;
  /// Lines of the half-size `previous` that the window's upsampling reads; one more where the tile begins on an odd
  /// line.
  static constexpr int kPreviousRows = kHeight / 2 + 2;
  static constexpr int kPreviousColumns = kWidth / 2 + 2;
  static constexpr int kPreviousWindow = (kPreviousRows + 1) * (kPreviousColumns + 1);
};

/// How patches are cut into tiles and tiles spread over blocks; block b works on tiles
/// [b % blocks * tiles_per_block, ...) of patch b / blocks.
struct Tiling {
  int patch_height;
  int patch_width;
  int across;  ///< tiles side by side in a patch
  int tiles;   ///< in a patch
  int tiles_per_block;
  int blocks;  ///< a patch

  /// Few tiles a block for parallelism, yet so many that reading the patch's weights again in every block costs at
  /// most a sixteenth of what a tile reads and writes (`tile_elements`).
  template <typename Shape>
  static Tiling of(int patch_height, int patch_width, Shape, std::int64_t weights, std::int64_t tile_elements) {
    Tiling t{};
    t.patch_height = patch_height;
    t.patch_width = patch_width;
    t.across = (patch_width + Shape::kWidth - 1) / Shape::kWidth;
    t.tiles = t.across * ((patch_height + Shape::kHeight - 1) / Shape::kHeight);
    t.tiles_per_block = 1;
    while (t.tiles_per_block < t.tiles && weights * 16 > tile_elements * t.tiles_per_block) t.tiles_per_block *= 2;
    t.blocks = (t.tiles + t.tiles_per_block - 1) / t.tiles_per_block;
    return t;
  }
};

/// Elements that a tile reads and writes besides the weights.
template <typename Shape>
constexpr std::int64_t tile_elements(const LevelInput& input, int out_channels, Shape) {
  return std::int64_t{Shape::kWindow} * input.x_channels +
         std::int64_t{Shape::kPreviousRows} * Shape::kPreviousColumns * input.previous_channels +
         std::int64_t{Shape::kPixels} * out_channels;
}

/// Thread blocks for all patches of the batch; 0 if there are more than a grid can have.
inline unsigned grid_blocks(const LevelInput& input, const Theta& theta, const Tiling& tiling) {
  const std::int64_t blocks = std::int64_t{input.batch} * theta.grid_height * theta.grid_width * tiling.blocks;
  return blocks <= 0x7fffffff ? static_cast<unsigned>(blocks) : 0;
}

/// The patch a block works on.
struct PatchPlace {
  int n;
  int i;
  int j;
  int first_tile;

  __device__ PatchPlace(const Theta& theta, const Tiling& tiling) {
    unsigned rest = blockIdx.x;
    first_tile = static_cast<int>(rest % tiling.blocks) * tiling.tiles_per_block;
    rest /= tiling.blocks;
    j = static_cast<int>(rest % theta.grid_width);
    rest /= theta.grid_width;
    i = static_cast<int>(rest % theta.grid_height);
    n = static_cast<int>(rest / theta.grid_height);
  }
};

/// A tile's pixels in the map; `height` x `width` of them lie in the patch.
struct TilePlace {
  int n;
  int y;
  int x;
  int height;
  int width;

  template <typename Shape>
  __device__ TilePlace(const PatchPlace& patch, const Tiling& tiling, int tile, Shape) : n(patch.n) {
    const int row = tile / tiling.across * Shape::kHeight;
    const int column = tile % tiling.across * Shape::kWidth;
    y = patch.i * tiling.patch_height + row;
    x = patch.j * tiling.patch_width + column;
    height = min(Shape::kHeight, tiling.patch_height - row);
    width = min(Shape::kWidth, tiling.patch_width - column);
  }
};

}  // namespace hyperseg::cuda

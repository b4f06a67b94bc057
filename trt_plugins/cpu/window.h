#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hyperseg/level_input.h"
#include "hyperseg/theta.h"

namespace hyperseg::cpu {

/// Number of tasks of a patch-wise operator: one per patch.
inline std::size_t patches(const LevelInput& input, const Theta& theta) {
  return static_cast<std::size_t>(input.batch) * theta.grid_height * theta.grid_width;
}

/// The patch that a task computes.
struct PatchIndex {
  int n;
  int i;
  int j;

  PatchIndex(const Theta& theta, std::size_t task)
      : n(static_cast<int>(task / theta.grid_width / theta.grid_height)),
        i(static_cast<int>(task / theta.grid_width % theta.grid_height)),
        j(static_cast<int>(task % theta.grid_width)) {}
};

/// Layout of a patch's reflect-padded window in working memory: [channels][rows][columns], rows without gaps.
struct WindowLayout {
  int padding = 0;
  int patch_height = 1;
  int patch_width = 1;

  int rows() const { return patch_height + 2 * padding; }
  int row_stride() const { return patch_width + 2 * padding; }
  /// Elements from the patch's first pixel to its last, including the padding between its rows.
  std::size_t span() const { return static_cast<std::size_t>(patch_height - 1) * row_stride() + patch_width; }
  /// Stride between channels: an odd number of cache lines. With a power of two, all channels of a pixel would map to
  /// the same few cache sets.
  std::size_t plane() const {
    constexpr std::size_t kLine = 16;
    const std::size_t lines = (static_cast<std::size_t>(rows()) * row_stride() + kLine - 1) / kLine;
    return (lines | 1) * kLine;
  }
  /// Size of `channels` channels in floats, with room for vectors that run over the end.
  std::size_t size(int channels) const { return (channels + 1) * plane() + 2 * padding * (row_stride() + 1); }
};

/// The source rows of one row of a window.
struct MapRow {
  int y;                   ///< row of X; reflected where the window's row lies outside the image
  float coordinate;        ///< its y-coordinate
  Interpolation previous;  ///< the rows of `previous` that it is upsampled from
};

/// State shared by all patches of one input for composing their windows.
struct WindowSource {
  LevelInput input;
  WindowLayout layout;
  std::vector<float> across;  ///< the x-coordinate of every column; empty without coordinates
  std::vector<MapRow> down;   ///< every row of the padded image

  WindowSource(const LevelInput& level, const WindowLayout& window) : input(level), layout(window) {
    for (int row = -window.padding; row < level.height + window.padding; ++row) {
      const int y = reflect(row, level.height);
      down.push_back({y, coordinate(y, level.height), interpolate(y, level.height / 2, 2)});
    }
    for (int x = 0; level.coordinates && x < level.width; ++x) across.push_back(coordinate(x, level.width));
  }

  /// The rows of the windows of patch row i.
  const MapRow* rows_of(int i) const { return down.data() + static_cast<std::ptrdiff_t>(i) * layout.patch_height; }

  /// Floats of a row of `previous` that a window touches, and of that row upsampled; whole vectors may follow.
  std::size_t coarse_size() const { return layout.row_stride() / 2 + 4 + 2 * kVector; }
  std::size_t fine_stride() const { return layout.row_stride() + 4 + 4 * kVector; }
  std::size_t fine_size() const { return input.previous_channels > 0 ? (layout.rows() / 2 + 3) * fine_stride() : 0; }

 private:
  static constexpr std::size_t kVector = 16;
};

/// Working memory for upsampling `previous`: one coarse row, and all fine rows of a channel.
struct UpsampleBuffers {
  float* coarse;
  float* fine;
};

}  // namespace hyperseg::cpu

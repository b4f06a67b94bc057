#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hyperseg/mbconv.h"

namespace hyperseg::cpu {

/// Tiling of an MBConv block into tasks, chosen so that a task's working set stays in the L2 cache.
///
/// First pass: a task expands some channels over a strip of rows (and the rows around it that the kernel sees) and
/// filters them. Narrow strips recompute the rows that they share; few channels read the input more often.
/// Second pass: a task projects a run of pixels.
struct MBConvPlan {
  static constexpr int kVector = 16;                        ///< floats of the widest vector
  static constexpr int kPixels = 48;                        ///< pixels of a run of the second pass
  static constexpr std::size_t kExpandedFloats = 64 << 10;  ///< floats of a task's expanded channels
  static constexpr std::size_t kInputFloats = 96 << 10;     ///< floats of the input that a strip reads

  MBConvParams params;
  int strip_rows = 1;  ///< output rows of a strip
  int strips = 1;
  int block = 1;  ///< hidden channels of a task
  int blocks = 1;
  int row_block = 1;  ///< output channels of a task of the second pass
  int row_blocks = 1;
  int run = kPixels;  ///< pixels of a task of the second pass
  int runs = 1;
  std::vector<std::int32_t> input_offsets;    ///< of each channel of X
  std::vector<std::int32_t> project_offsets;  ///< of each hidden channel of what the second pass reads
  std::vector<std::int32_t> copy_offsets;     ///< of each channel of a copied rest of a strip

  explicit MBConvPlan(const MBConvParams& p) : params(p) {
    constexpr int kRows = 8;  // of the product's register block
    const std::size_t line = p.width;
    const int halo = p.kernel - p.stride;
    const std::size_t rows = std::min(kExpandedFloats / (2 * kRows * line), kInputFloats / (p.in_channels * line));
    strip_rows = std::max((static_cast<int>(rows) - halo) / p.stride, 8);
    if (whole_map_fits()) strip_rows = p.out_height;
    strip_rows = std::min(strip_rows, p.out_height);
    strips = (p.out_height + strip_rows - 1) / strip_rows;
    strip_rows = (p.out_height + strips - 1) / strips;
    strips = (p.out_height + strip_rows - 1) / strip_rows;

    const std::size_t expanded = input_rows() * line;
    block = std::clamp(static_cast<int>(kExpandedFloats / expanded) / kRows * kRows, kRows, 4 * kRows);
    block = std::min(block, p.hidden_channels);
    blocks = (p.hidden_channels + block - 1) / block;

    run = scales_weights() ? 16 * kPixels : kPixels;
    runs = (pixels() + run - 1) / run;
    row_block = runs < 64 ? std::min(p.out_channels, 96) : p.out_channels;
    row_blocks = (p.out_channels + row_block - 1) / row_block;

    for (int c = 0; c < p.in_channels; ++c) {
      input_offsets.push_back(c * p.height * p.width);
      copy_offsets.push_back(c * kPixels);
    }
    for (int c = 0; c < p.hidden_channels; ++c) {
      project_offsets.push_back(c * (scales_weights() ? pixels() : kPixels));
    }
  }

  /// Whether the gates are multiplied into the projection's weights, so that the filtered map is read in place. With
  /// more output channels than fit a register block, a run is read often enough for a packed, scaled copy to pay off.
  bool scales_weights() const { return params.out_channels <= 24 && pixels() >= 4096; }
  int pixels() const { return params.out_height * params.out_width; }
  /// Input rows that a strip sees, padding included.
  std::size_t input_rows() const { return static_cast<std::size_t>(strip_rows - 1) * params.stride + params.kernel; }
  /// Floats of a row of the zero-padded, activated channel; with stride 2, of its even or of its odd columns.
  std::size_t row_stride() const {
    return (params.width / params.stride + kVector - 1) / kVector * kVector + 3 * kVector;
  }

 private:
  /// Small maps are not split: eight channels of all their rows fit.
  bool whole_map_fits() const { return static_cast<std::size_t>(params.height) * params.width * 8 <= kExpandedFloats; }
};

}  // namespace hyperseg::cpu

#pragma once

#include <cstdint>
#include <string>

#include "hyperseg/macros.h"
#include "hyperseg/shape.h"

namespace hyperseg {

/// Position of theta's pieces within rows [N, T, N_h, N_w, :] that are wider than the pieces, as in TensorRT engines;
/// see export/hyperseg_export/passes/plugin_layouts.py.
struct PieceRows {
  int begin = 0;
  int length = 0;  ///< L; 0: whole rows
};

/// The generated weights, theta [N, T, N_h, N_w, L]: the weights of patch (i, j) of image n are the pieces
/// theta[n, 0..T-1, i, j, :] one after the other; the operator's own begin `offset` weights into that sequence.
struct Theta {
  int pieces = 1;        ///< T
  int grid_height = 1;   ///< N_h
  int grid_width = 1;    ///< N_w
  int piece_length = 0;  ///< L
  int offset = 0;
  int piece_pitch = 0;  ///< length of the row that a piece lies in, L by default
  int piece_begin = 0;  ///< where in it

  /// Offset in elements of weight `k` (0 <= k < P) of patch (i, j) of image n.
  HYPERSEG_HOST_DEVICE std::int64_t index(int n, int i, int j, int k) const {
    const int q = offset + k;
    const std::int64_t piece = static_cast<std::int64_t>(n) * pieces + q / piece_length;
    return ((piece * grid_height + i) * grid_width + j) * piece_pitch + piece_begin + q % piece_length;
  }

  /// Distance in elements between piece t and piece t+1 of one patch.
  HYPERSEG_HOST_DEVICE std::int64_t piece_stride() const {
    return static_cast<std::int64_t>(grid_height) * grid_width * piece_pitch;
  }

  /// Number of weights of a patch from `offset` on, including padding.
  std::int64_t available() const { return static_cast<std::int64_t>(pieces) * piece_length - offset; }
};

/// Reads theta's shape. `name` is the operator's.
inline Error read_theta(const std::string& name, const Shape& shape, int offset, const PieceRows& rows,
                        std::int64_t batch, Theta* theta) {
  if (Error error = check_extents(name + ": theta", shape, 5); !error.empty()) return error;
  if (shape[0] != batch) {
    return name + ": theta has batch " + std::to_string(shape[0]) + ", X has " + std::to_string(batch);
  }
  if (offset < 0) return name + ": offset is " + std::to_string(offset) + "; it must not be negative";
  if (shape[1] * shape[4] > std::numeric_limits<int>::max()) {
    return name + ": theta has shape " + shape.text() + "; " + std::to_string(shape[1] * shape[4]) +
           " weights a patch are too many";
  }
  theta->pieces = static_cast<int>(shape[1]);
  theta->grid_height = static_cast<int>(shape[2]);
  theta->grid_width = static_cast<int>(shape[3]);
  theta->piece_length = theta->piece_pitch = static_cast<int>(shape[4]);
  if (rows.length > 0) {
    if (rows.begin < 0 || rows.length > theta->piece_pitch - rows.begin) {
      return name + ": pieces of " + std::to_string(rows.length) + " weights from " + std::to_string(rows.begin) +
             " on do not lie in theta's rows of " + std::to_string(theta->piece_pitch);
    }
    theta->piece_length = rows.length;
    theta->piece_begin = rows.begin;
  }
  theta->offset = offset;
  return {};
}

/// Checks that the patches have `needed` (P) weights each. `formula` spells out P for the message.
inline Error check_available(const std::string& name, const Theta& theta, std::int64_t needed,
                             const std::string& formula) {
  if (theta.available() >= needed) return {};
  return name + ": theta holds " + std::to_string(static_cast<std::int64_t>(theta.pieces) * theta.piece_length) +
         " weights a patch (T=" + std::to_string(theta.pieces) + ", L=" + std::to_string(theta.piece_length) +
         "), but offset " + std::to_string(theta.offset) + " and " + std::to_string(needed) + " weights (" + formula +
         ") are needed";
}

}  // namespace hyperseg

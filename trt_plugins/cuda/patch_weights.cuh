#pragma once

#include "divider.h"
#include "hyperseg/theta.h"
#include "memory.cuh"

namespace hyperseg::cuda {

/// How theta is read: by `vector` neighbours at a time, as its pieces, its offset and the multiples of `step` weights
/// at which blocks begin allow.
struct WeightLayout {
  Theta theta;
  Divider piece_length;
  int vector = 1;

  explicit WeightLayout(const Theta& layout, int step = 0)
      : theta(layout), piece_length(static_cast<unsigned>(layout.piece_length)) {
    const auto divides = [&](int by) {
      return layout.piece_pitch % by == 0 && layout.piece_begin % by == 0 && layout.piece_length % by == 0 &&
             layout.offset % by == 0 && step % by == 0;
    };
    vector = divides(4) ? 4 : divides(2) ? 2 : 1;
  }
};

/// The generated weights of one patch.
template <typename T>
class PatchWeights {
 public:
  __device__ PatchWeights(const WeightLayout& layout, const T* theta, int n, int i, int j)
      : layout_(layout), first_piece_(theta) {
    const Theta& t = layout.theta;
    first_piece_ += n * t.pieces * t.piece_stride() +
                    (i * t.grid_width + j) * static_cast<std::int64_t>(t.piece_pitch) + t.piece_begin;
  }

  /// Address of weight `k`.
  __device__ __forceinline__ const T* at(int k) const {
    const unsigned q = static_cast<unsigned>(layout_.theta.offset + k);
    const unsigned piece = layout_.piece_length.quotient(q);
    return first_piece_ + piece * layout_.theta.piece_stride() + (q - piece * layout_.piece_length.divisor);
  }

  /// Reads weights [begin, begin + count) once, all threads of the block together: place(k, weight), k from 0.
  template <typename Place>
  __device__ __forceinline__ void for_each(int begin, int count, Place place) const {
    if (layout_.vector == 4) {
      for_each_vector<4>(begin, count, place);
    } else if (layout_.vector == 2) {
      for_each_vector<2>(begin, count, place);
    } else {
      for_each_vector<1>(begin, count, place);
    }
  }

 private:
  template <int kVector, typename Place>
  __device__ __forceinline__ void for_each_vector(int begin, int count, Place place) const {
#pragma unroll 4
    for (int k = threadIdx.x * kVector; k < count; k += blockDim.x * kVector) {
      const Pack<T, kVector> pack = load<kVector>(at(begin + k));
#pragma unroll
      for (int v = 0; v < kVector; ++v) {
        if (k + v < count) place(k + v, pack.values[v]);
      }
    }
  }

  const WeightLayout& layout_;
  const T* first_piece_;
};

}  // namespace hyperseg::cuda

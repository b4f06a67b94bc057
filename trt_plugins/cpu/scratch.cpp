#include "cpu/scratch.h"

#include <algorithm>
#include <new>

namespace hyperseg::cpu {
namespace {

// A multiple of every vector's and cache line's size.
constexpr std::size_t kAlignment = 128;
constexpr std::size_t kFloats = kAlignment / sizeof(float);

}  // namespace

void Scratch::Free::operator()(float* block) const {
  ::operator delete[](block, std::align_val_t{kAlignment});
}

Scratch& Scratch::of_this_thread() {
  thread_local Scratch scratch;
  return scratch;
}

void Scratch::Layout::add(float** array, std::size_t floats) {
  arrays_[count_] = array;
  begins_[count_] = floats_;
  ++count_;
  // Vectors may run over an array's end by less than one alignment unit.
  floats_ += (floats + kFloats - 1) / kFloats * kFloats + kFloats;
}

void Scratch::Layout::commit() {
  if (floats_ > scratch_.floats_) {
    scratch_.block_.reset();
    scratch_.floats_ = 0;
    scratch_.block_.reset(static_cast<float*>(::operator new[](floats_ * sizeof(float), std::align_val_t{kAlignment})));
    scratch_.floats_ = floats_;
    // Vectors read past an array's valid part; these values are never used, but must not be (slow) denormals.
    std::fill_n(scratch_.block_.get(), floats_, 0.0f);
  }
  for (int i = 0; i < count_; ++i) *arrays_[i] = scratch_.block_.get() + begins_[i];
}

}  // namespace hyperseg::cpu

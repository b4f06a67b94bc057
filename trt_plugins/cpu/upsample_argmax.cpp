// UpsampleArgmax on the CPU: one task per output row. Each channel's two source rows are blended into one; then a
// vector of source columns at a time runs through the channels, once for each of the `scale` positions between two
// columns, with the largest value and its channel in registers. The upsampled logits are never stored.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/upsample_argmax.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/window-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_UPSAMPLE_ARGMAX_ONCE
#define HYPERSEG_CPU_UPSAMPLE_ARGMAX_ONCE

#include <algorithm>
#include <type_traits>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

/// Floats between two channels' blended rows: the row, one value before and after, and a vector's overrun.
inline std::size_t blended_stride(int width) {
  return static_cast<std::size_t>(width) + 2 + 64;
}

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The labels of output columns column * scale + phase, for a vector of source columns.
/// `blended` points at source column 0 of channel 0.
HWY_INLINE void label_phase(const UpsampleArgmaxParams& params, const float* HWY_RESTRICT blended, int column,
                            int phase, int32_t* HWY_RESTRICT labels) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t stride = blended_stride(params.width);
  const float position = (static_cast<float>(phase) + 0.5f) / static_cast<float>(params.scale) - 0.5f;
  const float* low = blended + column - (position < 0.0f ? 1 : 0);
  const auto weight = hn::Set(d, position < 0.0f ? position + 1.0f : position);
  auto largest = hn::Zero(d);
  auto label = hn::Zero(di);
  for (int c = 0; c < params.channels; ++c, low += stride) {
    const auto left = hn::LoadU(d, low);
    const auto value = hn::MulAdd(weight, hn::Sub(hn::LoadU(d, low + 1), left), left);
    if (c == 0) {
      largest = value;
      continue;
    }
    const auto larger = hn::Gt(value, largest);
    largest = hn::IfThenElse(larger, value, largest);
    label = hn::IfThenElse(hn::RebindMask(di, larger), hn::Set(di, c), label);
  }
  hn::StoreU(label, di, labels);
}

/// A row as floats: where it lies, or copied if it is not float or whole vectors would run over the tensor's end.
template <typename T>
HWY_INLINE const float* in_place(const T* row, int width, const T* end, float* copy) {
  if constexpr (std::is_same_v<T, float>) {
    if (end - row >= width + static_cast<ptrdiff_t>(hn::Lanes(hn::ScalableTag<float>()))) return row;
  }
  load_row(row, width, copy);
  return copy;
}

template <typename T>
HWY_INLINE void label_row(const UpsampleArgmaxParams& params, const T* x, int32_t* labels, size_t task) {
  const int n = static_cast<int>(task / params.out_height());
  const int y = static_cast<int>(task % params.out_height());
  const int width = params.width;
  const size_t stride = blended_stride(width);
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<float>()));

  float* low = nullptr;
  float* high = nullptr;
  float* blended = nullptr;
  float* phases = nullptr;  // [scale][lanes] labels
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&low, stride);
  memory.add(&high, stride);
  memory.add(&blended, params.channels * stride);
  memory.add(&phases, static_cast<size_t>(params.scale) * lanes);
  memory.commit();

  const T* const end = x + static_cast<ptrdiff_t>(params.batch) * params.channels * params.height * width;
  const Interpolation rows = interpolate(y, params.height, params.scale);
  for (int c = 0; c < params.channels; ++c) {
    const T* plane = x + (static_cast<ptrdiff_t>(n) * params.channels + c) * params.height * width;
    float* to = blended + c * stride + 1;
    const float* first = in_place(plane + static_cast<ptrdiff_t>(rows.low) * width, width, end, low);
    const float* second = in_place(plane + static_cast<ptrdiff_t>(rows.high) * width, width, end, high);
    blend_rows(first, second, rows.weight, width, to);
    to[-1] = to[0];
    to[width] = to[width - 1];
  }
  const hn::ScalableTag<int32_t> di;
  int32_t* const phase_labels = reinterpret_cast<int32_t*>(phases);
  int32_t* const row = labels + static_cast<ptrdiff_t>(task) * params.out_width();
  for (int column = 0; column < width; column += lanes) {
    for (int phase = 0; phase < params.scale; ++phase) {
      label_phase(params, blended + 1, column, phase, phase_labels + phase * lanes);
    }
    const int count = std::min(lanes, width - column);
    int32_t* to = row + static_cast<ptrdiff_t>(column) * params.scale;
    if (params.scale == 2 && count == lanes) {
      hn::StoreInterleaved2(hn::LoadU(di, phase_labels), hn::LoadU(di, phase_labels + lanes), di, to);
      continue;
    }
    for (int i = 0; i < count; ++i) {
      for (int phase = 0; phase < params.scale; ++phase) *to++ = phase_labels[phase * lanes + i];
    }
  }
}

void label_row_float(const UpsampleArgmaxParams& params, const float* x, int32_t* labels, size_t task) {
  label_row(params, x, labels, task);
}

void label_row_half(const UpsampleArgmaxParams& params, const Half* x, int32_t* labels, size_t task) {
  label_row(params, x, labels, task);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(label_row_float);
HWY_EXPORT(label_row_half);

void upsample_argmax(const UpsampleArgmaxParams& params, const float* x, std::int32_t* labels, const Workers& workers) {
  workers.run(static_cast<std::size_t>(params.batch) * params.out_height(), [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(label_row_float)(params, x, labels, task);
  });
}

void upsample_argmax(const UpsampleArgmaxParams& params, const Half* x, std::int32_t* labels, const Workers& workers) {
  workers.run(static_cast<std::size_t>(params.batch) * params.out_height(), [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(label_row_half)(params, x, labels, task);
  });
}

}  // namespace hyperseg::cpu
#endif

// Composes a patch's window: coordinates, X and the upsampled `previous`, with the reflect padding around.

#if defined(HYPERSEG_CPU_WINDOW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HYPERSEG_CPU_WINDOW_INL_H_
#undef HYPERSEG_CPU_WINDOW_INL_H_
#else
#define HYPERSEG_CPU_WINDOW_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/convert-inl.h"
#include "cpu/window.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A run of image columns and where it begins in a window's row. What lies outside the image is mirrored afterwards.
struct Columns {
  int begin;
  int end;
  int margin;  // columns of the window before `begin`, outside the image

  Columns(const WindowSource& source, int patch_column) {
    const int first = patch_column * source.layout.patch_width - source.layout.padding;
    begin = std::max(first, 0);
    end = std::min(first + source.layout.row_stride(), source.input.width);
    margin = begin - first;
  }
};

HWY_INLINE void mirror_margins(const Columns& columns, int row_stride, float* row) {
  for (int i = 0; i < columns.margin; ++i) row[i] = row[2 * columns.margin - i];
  const int past = columns.margin + columns.end - columns.begin;
  for (int i = past; i < row_stride; ++i) row[i] = row[2 * (past - 1) - i];
}

/// Linear interpolation of two rows of storage: to[i] = low[i] + weight * (high[i] - low[i]).
HWY_INLINE void blend_rows(const float* low, const float* high, float weight, int count, float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto w = hn::Set(d, weight);
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto a = hn::LoadU(d, low + i);
    hn::StoreU(hn::MulAdd(w, hn::Sub(hn::LoadU(d, high + i), a), a), d, to + i);
  }
  for (; i < count; ++i) to[i] = low[i] + weight * (high[i] - low[i]);
}

HWY_INLINE void blend_rows(const Half* low, const Half* high, float weight, int count, float* HWY_RESTRICT to) {
  load_row(low, count, to);
  for (int i = 0; i < count; ++i) to[i] += weight * (load_one(high + i) - to[i]);
}

/// Upsamples one row by 2 horizontally. `row` holds one value before and one after the `count` that are upsampled;
/// writes 2 * count values, and up to two vectors more.
HWY_INLINE void double_row(const float* HWY_RESTRICT row, int count, float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto quarter = hn::Set(d, 0.25f);
  for (int i = 0; i < count; i += lanes) {
    const auto before = hn::LoadU(d, row + i);
    const auto here = hn::LoadU(d, row + i + 1);
    const auto after = hn::LoadU(d, row + i + 2);
    const auto left = hn::MulAdd(quarter, hn::Sub(before, here), here);
    const auto right = hn::MulAdd(quarter, hn::Sub(after, here), here);
    hn::StoreInterleaved2(left, right, d, to + 2 * i);
  }
}

/// One row of one channel of `previous`, upsampled, into the window's row.
template <typename T>
HWY_INLINE void upsample_into(const T* plane, int width, const Interpolation& rows, const Columns& columns,
                              float* HWY_RESTRICT coarse, float* HWY_RESTRICT fine, float* HWY_RESTRICT to) {
  const int first = columns.begin / 2;
  const int last = (columns.end - 1) / 2;
  const T* low = plane + static_cast<ptrdiff_t>(rows.low) * width;
  const T* high = plane + static_cast<ptrdiff_t>(rows.high) * width;
  const int begin = std::max(first - 1, 0);
  const int end = std::min(last + 2, width);
  float* const start = coarse + (begin - (first - 1));
  blend_rows(low + begin, high + begin, rows.weight, end - begin, start);
  if (first == 0) coarse[0] = coarse[1];
  if (last == width - 1) start[end - begin] = start[end - begin - 1];
  double_row(coarse, last - first + 1, fine);
  load_row(fine + (columns.begin & 1), columns.end - columns.begin, to);
}

/// Composes the window of one patch. `coarse` and `fine` are working memory of `row_size()` and twice
/// that.
template <typename T>
HWY_INLINE void compose_window(const WindowSource& source, const T* x, const T* previous, const PatchIndex& patch,
                               float* coarse, float* fine, float* HWY_RESTRICT window) {
  const LevelInput& input = source.input;
  const WindowLayout& layout = source.layout;
  const Columns columns(source, patch.j);
  const size_t plane = layout.plane();
  const int row_stride = layout.row_stride();
  const int count = columns.end - columns.begin;
  const ptrdiff_t x_plane = static_cast<ptrdiff_t>(input.height) * input.width;
  const ptrdiff_t previous_plane = x_plane / 4;
  const T* const x_image = x + patch.n * input.x_channels * x_plane;
  for (int row = 0; row < layout.rows(); ++row) {
    const int y = reflect(patch.i * layout.patch_height - layout.padding + row, input.height);
    float* to = window + static_cast<size_t>(row) * row_stride;
    if (input.coordinates) {
      load_row(source.across.data() + columns.begin, count, to + columns.margin);
      mirror_margins(columns, row_stride, to);
      std::fill_n(to + plane, row_stride, coordinate(y, input.height));
      to += 2 * plane;
    }
    const T* from = x_image + static_cast<ptrdiff_t>(y) * input.width + columns.begin;
    for (int c = 0; c < input.x_channels; ++c, from += x_plane, to += plane) {
      load_row(from, count, to + columns.margin);
      mirror_margins(columns, row_stride, to);
    }
    if (input.previous_channels == 0) continue;
    const Interpolation rows = interpolate(y, input.height / 2, 2);
    const T* channel = previous + patch.n * input.previous_channels * previous_plane;
    for (int c = 0; c < input.previous_channels; ++c, channel += previous_plane, to += plane) {
      upsample_into(channel, input.width / 2, rows, columns, coarse, fine, to + columns.margin);
      mirror_margins(columns, row_stride, to);
    }
  }
}

/// Copies the patch's pixels of a buffer with the window's rows [channels][plane] to the map y.
template <typename T>
HWY_INLINE void store_patch(const WindowSource& source, const float* from, size_t plane, int channels,
                            const PatchIndex& patch, T* y) {
  const WindowLayout& layout = source.layout;
  const ptrdiff_t width = source.input.width;
  const ptrdiff_t first_row = static_cast<ptrdiff_t>(patch.i) * layout.patch_height;
  for (int c = 0; c < channels; ++c, from += plane) {
    const ptrdiff_t channel = static_cast<ptrdiff_t>(patch.n) * channels + c;
    T* to = y + (channel * source.input.height + first_row) * width + patch.j * layout.patch_width;
    for (int row = 0; row < layout.patch_height; ++row) {
      store_row(from + static_cast<size_t>(row) * layout.row_stride(), layout.patch_width, to + row * width);
    }
  }
}

/// Gathers a patch's weights [begin, begin + count) from theta's pieces.
template <typename T>
HWY_INLINE void gather_weights(const Theta& layout, const T* theta, const PatchIndex& patch, int begin, int count,
                               float* HWY_RESTRICT to) {
  while (count > 0) {
    const int in_piece = (layout.offset + begin) % layout.piece_length;
    const int run = std::min(count, layout.piece_length - in_piece);
    load_row(theta + layout.index(patch.n, patch.i, patch.j, begin), run, to);
    begin += run;
    count -= run;
    to += run;
  }
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

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
#include <type_traits>

#include "cpu/convert-inl.h"
#include "cpu/scratch.h"
#include "cpu/window.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A run of image columns and its position in a window's row. Columns outside the image are reflected afterwards.
struct Columns {
  int begin;
  int end;
  int margin;   // columns of the window before `begin`, outside the image
  bool inside;  // the whole window lies in the image

  Columns(const WindowSource& source, int patch_column) {
    const int first = patch_column * source.layout.patch_width - source.layout.padding;
    begin = std::max(first, 0);
    end = std::min(first + source.layout.row_stride(), source.input.width);
    margin = begin - first;
    inside = end - begin == source.layout.row_stride();
  }
};

/// to[i] = low[i] + weight * (high[i] - low[i]), in whole vectors: reads and writes past `count`.
HWY_INLINE void blend_rows(const float* HWY_RESTRICT low, const float* HWY_RESTRICT high, float weight, int count,
                           float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto w = hn::Set(d, weight);
  for (int i = 0; i < count; i += lanes) {
    const auto a = hn::LoadU(d, low + i);
    hn::StoreU(hn::MulAdd(w, hn::Sub(hn::LoadU(d, high + i), a), a), d, to + i);
  }
}

/// Upsamples one row by 2 horizontally. `row` holds one value before and one after the `count` that are upsampled;
/// writes 2 * count values in whole vectors.
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

/// Composes a window's channels of `previous`: first every coarse row that the window touches is upsampled
/// horizontally, once, then pairs of these rows are blended vertically.
template <typename T>
HWY_INLINE void upsample_window(const WindowSource& source, const T* previous, const PatchIndex& patch,
                                const Columns& columns, const UpsampleBuffers& buffers, float* HWY_RESTRICT window) {
  const LevelInput& input = source.input;
  const WindowLayout& layout = source.layout;
  const int height = input.height / 2, width = input.width / 2;
  const MapRow* const map_rows = source.rows_of(patch.i);
  const int top = patch.i * layout.patch_height - layout.padding;
  const int first_row = std::max(std::max(top, 0) - 1, 0) / 2;
  const int last_row = std::min(std::min(top + layout.rows(), input.height) / 2, height - 1);
  const int first = columns.begin / 2;
  const int count = (columns.end - 1) / 2 - first + 1;
  const int begin = std::max(first - 1, 0), end = std::min(first + count + 1, width);
  const size_t fine_stride = source.fine_stride();
  // Away from the image's edges, rows of float are read where they lie, unless a vector would run over the tensor.
  const bool direct = std::is_same_v<T, float> && end - begin == count + 2;
  const ptrdiff_t image = static_cast<ptrdiff_t>(input.previous_channels) * height * width;
  const ptrdiff_t overrun = count + 2 + static_cast<ptrdiff_t>(hn::Lanes(hn::ScalableTag<float>()));
  const T* const previous_end = previous + input.batch * image;
  const T* plane = previous + patch.n * image;
  for (int c = 0; c < input.previous_channels; ++c, plane += static_cast<ptrdiff_t>(height) * width) {
    for (int row = first_row; row <= last_row; ++row) {
      const T* from = plane + static_cast<ptrdiff_t>(row) * width + begin;
      float* const fine_row = buffers.fine + (row - first_row) * fine_stride;
      if (direct && from + overrun <= previous_end) {
        double_row(reinterpret_cast<const float*>(from), count, fine_row);
        continue;
      }
      float* const coarse = buffers.coarse + (begin - (first - 1));
      load_row(from, end - begin, coarse);
      if (first == 0) buffers.coarse[0] = buffers.coarse[1];
      if (first + count == width) coarse[end - begin] = coarse[end - begin - 1];
      double_row(buffers.coarse, count, fine_row);
    }
    const float* const fine = buffers.fine + (columns.begin & 1);
    float* to = window + c * layout.plane() + columns.margin;
    for (int row = 0; row < layout.rows(); ++row, to += layout.row_stride()) {
      const Interpolation& rows = map_rows[row].previous;
      blend_rows(fine + (rows.low - first_row) * fine_stride, fine + (rows.high - first_row) * fine_stride, rows.weight,
                 columns.end - columns.begin, to);
    }
  }
}

/// Reflects the columns outside the image, in every row of every channel.
HWY_INLINE void mirror_columns(const WindowLayout& layout, const Columns& columns, int channels, float* window) {
  if (columns.inside) return;
  const int row_stride = layout.row_stride();
  const int past = columns.margin + columns.end - columns.begin;
  for (int c = 0; c < channels; ++c) {
    float* row = window + c * layout.plane();
    for (int r = 0; r < layout.rows(); ++r, row += row_stride) {
      for (int i = 0; i < columns.margin; ++i) row[i] = row[2 * columns.margin - i];
      for (int i = past; i < row_stride; ++i) row[i] = row[2 * (past - 1) - i];
    }
  }
}

/// Composes the window of one patch. Rows may be written past their ends: each next one is written later.
template <typename T>
HWY_INLINE void compose_window(const WindowSource& source, const T* x, const T* previous, const PatchIndex& patch,
                               const UpsampleBuffers& buffers, float* HWY_RESTRICT window) {
  const LevelInput& input = source.input;
  const WindowLayout& layout = source.layout;
  const Columns columns(source, patch.j);
  const int count = columns.end - columns.begin;
  const MapRow* const map_rows = source.rows_of(patch.i);
  float* to = window;
  if (input.coordinates) {
    for (int row = 0; row < layout.rows(); ++row) {
      float* const across = to + static_cast<size_t>(row) * layout.row_stride();
      load_row(source.across.data() + columns.begin, count, across + columns.margin);
      std::fill_n(across + layout.plane(), layout.row_stride(), map_rows[row].coordinate);
    }
    to += 2 * layout.plane();
  }
  const ptrdiff_t x_plane = static_cast<ptrdiff_t>(input.height) * input.width;
  const T* from = x + patch.n * input.x_channels * x_plane + columns.begin;
  for (int c = 0; c < input.x_channels; ++c, from += x_plane, to += layout.plane()) {
    for (int row = 0; row < layout.rows(); ++row) {
      load_row(from + static_cast<ptrdiff_t>(map_rows[row].y) * input.width, count,
               to + static_cast<size_t>(row) * layout.row_stride() + columns.margin);
    }
  }
  if (input.previous_channels > 0) upsample_window(source, previous, patch, columns, buffers, to);
  mirror_columns(layout, columns, input.channels(), window);
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

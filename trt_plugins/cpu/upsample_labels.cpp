// UpsampleArgmax on the CPU at any size: bands of output rows. Interpolated values lie between those of their four
// source pixels, so where one channel is the largest at all four it is the largest everywhere between them: runs of
// such cells are filled. In the other cells, a vector of output columns at a time runs through the channels, for all
// output rows between two source rows together, with the largest values and their channels in registers.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/upsample_labels.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/convert-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_UPSAMPLE_LABELS_ONCE
#define HYPERSEG_CPU_UPSAMPLE_LABELS_ONCE

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

/// Elements of the largest vector, which whole vectors may run over an array's end by.
constexpr int kOverrun = 64;

/// The source columns of every output column, shared by all bands.
struct ColumnTable {
  std::vector<std::int32_t> low;           ///< as long as the row, and the last one repeated
  std::vector<float> weight;               ///< the same
  std::vector<std::int32_t> first_output;  ///< [width + 1]: the first output column at or right of a source column
  bool shrinks;                            ///< a vector of output columns may span more source columns than lanes

  explicit ColumnTable(const UpsampleArgmaxParams& params) : first_output(params.width + 1, params.out_width()) {
    const int count = params.out_width();
    for (int x = 0; x < count + kOverrun; ++x) {
      const Interpolation column = params.column(std::min(x, count - 1));
      low.push_back(column.low);
      weight.push_back(column.weight);
    }
    for (int x = count - 1; x >= 0; --x) first_output[low[x]] = x;
    for (int x = params.width - 1; x >= 0; --x) first_output[x] = std::min(first_output[x], first_output[x + 1]);
    shrinks = params.across.step > std::int64_t{1} << SourceLines::kFraction;
  }
};

/// One source row of all channels, and the largest channel of each pixel. The pixel behind the last one is its copy.
struct SourceRow {
  int y = -1;
  float* values = nullptr;         ///< [channels][stride]
  std::int32_t* labels = nullptr;  ///< [stride]
};

/// The output rows between two source rows.
struct Strip {
  const SourceRow* above;
  const SourceRow* below;
  const std::int32_t* run_end;  ///< [width + 1]: the first cell at or right of this one with several labels
  const float* weights;         ///< of each output row
  int rows;
  std::uint8_t* labels;  ///< of the first output row
};

inline std::size_t source_stride(const UpsampleArgmaxParams& params) {
  return static_cast<std::size_t>(params.width) + 1 + kOverrun;
}

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Keeps the larger of two values, and its channel.
template <class V, class L>
HWY_INLINE void keep_larger(V value, int channel, V* largest, L* label) {
  const hn::DFromV<L> di;
  const auto larger = hn::Gt(value, *largest);
  *largest = hn::IfThenElse(larger, value, *largest);
  *label = hn::IfThenElse(hn::RebindMask(di, larger), hn::Set(di, channel), *label);
}

template <typename T>
void read_source_row(const UpsampleArgmaxParams& params, const T* image, int y, SourceRow* row) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t stride = source_stride(params);
  const int width = params.width;
  row->y = y;
  for (int c = 0; c < params.channels; ++c) {
    float* const to = row->values + c * stride;
    load_row(image + (static_cast<ptrdiff_t>(c) * params.height + y) * width, width, to);
    to[width] = to[width - 1];
  }
  for (int x = 0; x < width; x += static_cast<int>(hn::Lanes(d))) {
    auto largest = hn::LoadU(d, row->values + x);
    auto label = hn::Zero(di);
    for (int c = 1; c < params.channels; ++c) {
      keep_larger(hn::LoadU(d, row->values + c * stride + x), c, &largest, &label);
    }
    hn::StoreU(label, di, row->labels + x);
  }
  row->labels[width] = row->labels[width - 1];
}

void find_runs(const SourceRow& above, const SourceRow& below, int width, int32_t* HWY_RESTRICT run_end) {
  run_end[width] = width;
  for (int x = width - 1; x >= 0; --x) {
    const int32_t label = above.labels[x];
    const bool same = label == above.labels[x + 1] && label == below.labels[x] && label == below.labels[x + 1];
    run_end[x] = same ? run_end[x + 1] : x;
  }
}

/// A source row's values at output columns whose source columns are `low`.
template <bool kShrinks, class D, class Indices>
HWY_INLINE hn::Vec<D> across(D d, const float* HWY_RESTRICT row, int32_t first, hn::VFromD<hn::RebindToSigned<D>> low,
                             const Indices& indices, hn::Vec<D> weight) {
  hn::Vec<D> left, right;
  if constexpr (kShrinks) {
    left = hn::GatherIndex(d, row, low);
    right = hn::GatherIndex(d, row + 1, low);
  } else {
    left = hn::TableLookupLanes(hn::LoadU(d, row + first), indices);
    right = hn::TableLookupLanes(hn::LoadU(d, row + first + 1), indices);
  }
  return hn::MulAdd(weight, hn::Sub(right, left), left);
}

/// The labels of `kRows` output rows from `row` of the strip, in a vector of columns from `x` or what is left of the
/// row.
template <int kRows, bool kShrinks>
void label_vectors(const UpsampleArgmaxParams& params, const ColumnTable& columns, const Strip& strip, int row, int x) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const size_t stride = source_stride(params);
  const int32_t first = columns.low[x];
  const auto low = hn::LoadU(di, columns.low.data() + x);
  const auto weight = hn::LoadU(d, columns.weight.data() + x);
  const auto indices = hn::IndicesFromVec(d, kShrinks ? hn::Zero(di) : hn::Sub(low, hn::Set(di, first)));
  hn::Vec<decltype(d)> down[kRows], largest[kRows];
  hn::Vec<decltype(di)> label[kRows];
  for (int k = 0; k < kRows; ++k) down[k] = hn::Set(d, strip.weights[row + k]);
  for (int c = 0; c < params.channels; ++c) {
    const auto top = across<kShrinks>(d, strip.above->values + c * stride, first, low, indices, weight);
    const auto bottom = across<kShrinks>(d, strip.below->values + c * stride, first, low, indices, weight);
    const auto difference = hn::Sub(bottom, top);
    for (int k = 0; k < kRows; ++k) {
      const auto value = hn::MulAdd(down[k], difference, top);
      if (c == 0) {
        largest[k] = value;
        label[k] = hn::Zero(di);
      } else {
        keep_larger(value, c, &largest[k], &label[k]);
      }
    }
  }
  uint8_t* to = strip.labels + static_cast<ptrdiff_t>(row) * params.out_width() + x;
  const int count = std::min(lanes, params.out_width() - x);
  for (int k = 0; k < kRows; ++k, to += params.out_width()) {
    if (count == lanes) {
      hn::StoreU(hn::DemoteTo(d8, label[k]), d8, to);
    } else {
      uint8_t rest[kOverrun];
      hn::StoreU(hn::DemoteTo(d8, label[k]), d8, rest);
      std::memcpy(to, rest, static_cast<size_t>(count));
    }
  }
}

template <bool kShrinks>
void label_all_rows(const UpsampleArgmaxParams& params, const ColumnTable& columns, const Strip& strip, int x) {
  int row = 0;
  for (; row + 4 <= strip.rows; row += 4) label_vectors<4, kShrinks>(params, columns, strip, row, x);
  if (strip.rows - row == 3) label_vectors<3, kShrinks>(params, columns, strip, row, x);
  if (strip.rows - row == 2) label_vectors<2, kShrinks>(params, columns, strip, row, x);
  if (strip.rows - row == 1) label_vectors<1, kShrinks>(params, columns, strip, row, x);
}

void label_strip(const UpsampleArgmaxParams& params, const ColumnTable& columns, const Strip& strip) {
  const int width = params.out_width();
  const int lanes = static_cast<int>(hn::Lanes(hn::ScalableTag<float>()));
  for (int x = 0; x < width;) {
    const int32_t cell = columns.low[x];
    const int32_t end = strip.run_end[cell];
    if (end == cell) {
      if (columns.shrinks) {
        label_all_rows<true>(params, columns, strip, x);
      } else {
        label_all_rows<false>(params, columns, strip, x);
      }
      x += lanes;
      continue;
    }
    const int to = columns.first_output[end];
    for (int row = 0; row < strip.rows; ++row) {
      std::memset(strip.labels + static_cast<ptrdiff_t>(row) * width + x, strip.above->labels[cell],
                  static_cast<size_t>(to - x));
    }
    x = to;
  }
}

/// Output rows [begin, end) of one image.
template <typename T>
HWY_INLINE void label_band(const UpsampleArgmaxParams& params, const ColumnTable& columns, const T* image, int begin,
                           int end, uint8_t* labels) {
  const size_t stride = source_stride(params);
  SourceRow above, below;
  float *above_labels = nullptr, *below_labels = nullptr, *run_end = nullptr, *weights = nullptr;
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&above.values, params.channels * stride);
  memory.add(&below.values, params.channels * stride);
  memory.add(&above_labels, stride);
  memory.add(&below_labels, stride);
  memory.add(&run_end, stride);
  memory.add(&weights, static_cast<size_t>(end - begin));
  memory.commit();
  above.labels = reinterpret_cast<int32_t*>(above_labels);
  below.labels = reinterpret_cast<int32_t*>(below_labels);
  int32_t* const runs = reinterpret_cast<int32_t*>(run_end);

  for (int y = begin; y < end;) {
    const Interpolation rows = params.row(y);
    int count = 0;
    for (Interpolation next = rows; next.low == rows.low; next = params.row(y + count)) {
      weights[count++] = next.weight;
      if (y + count == end) break;
    }
    if (below.y == rows.low) std::swap(above, below);
    if (above.y != rows.low) read_source_row(params, image, rows.low, &above);
    if (below.y != rows.high) read_source_row(params, image, rows.high, &below);
    find_runs(above, below, params.width, runs);
    label_strip(params, columns,
                {&above, &below, runs, weights, count, labels + static_cast<ptrdiff_t>(y) * params.out_width()});
    y += count;
  }
}

void label_band_float(const UpsampleArgmaxParams& params, const ColumnTable& columns, const float* image, int begin,
                      int end, uint8_t* labels) {
  label_band(params, columns, image, begin, end, labels);
}

void label_band_half(const UpsampleArgmaxParams& params, const ColumnTable& columns, const Half* image, int begin,
                     int end, uint8_t* labels) {
  label_band(params, columns, image, begin, end, labels);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(label_band_float);
HWY_EXPORT(label_band_half);

namespace {

template <typename T, typename Band>
void run_bands(const UpsampleArgmaxParams& params, int bands, const T* x, std::uint8_t* labels, const Workers& workers,
               const Band& band) {
  const ColumnTable columns(params);
  const std::int64_t height = params.out_height();
  const std::size_t image = static_cast<std::size_t>(params.channels) * params.height * params.width;
  workers.run(static_cast<std::size_t>(params.batch) * bands, [&](std::size_t task) {
    const std::size_t n = task / bands;
    const std::int64_t i = static_cast<std::int64_t>(task % bands);
    band(columns, x + n * image, static_cast<int>(height * i / bands), static_cast<int>(height * (i + 1) / bands),
         labels + n * height * params.out_width());
  });
}

}  // namespace

void upsample_labels(const UpsampleArgmaxParams& params, int bands, const float* x, std::uint8_t* labels,
                     const Workers& workers) {
  run_bands(params, bands, x, labels, workers,
            [&](const ColumnTable& columns, const float* image, int begin, int end, std::uint8_t* to) {
              HWY_DYNAMIC_DISPATCH(label_band_float)(params, columns, image, begin, end, to);
            });
}

void upsample_labels(const UpsampleArgmaxParams& params, int bands, const Half* x, std::uint8_t* labels,
                     const Workers& workers) {
  run_bands(params, bands, x, labels, workers,
            [&](const ColumnTable& columns, const Half* image, int begin, int end, std::uint8_t* to) {
              HWY_DYNAMIC_DISPATCH(label_band_half)(params, columns, image, begin, end, to);
            });
}

}  // namespace hyperseg::cpu
#endif

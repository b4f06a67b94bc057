// DPWMetaBlock on the CPU: one task per row of patches. A task goes down its image rows: each is composed, expanded
// patch by patch, and kept until the depth-wise convolution has read it as bottom, middle and top row; the result is
// projected at once. Hidden maps, the largest of the decoder, never leave the cache; only the two rows of hidden
// values shared with the patches above and below are computed twice.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/dpw_meta_block.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/filter-inl.h"
#include "cpu/product-inl.h"
#include "cpu/window-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_DPW_META_BLOCK_ONCE
#define HYPERSEG_CPU_DPW_META_BLOCK_ONCE

#include <limits>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

/// State shared by all rows of patches.
struct MetaPlan {
  DPWInvertedResidualParams params;
  std::vector<float> across;          ///< the x-coordinate of every column
  std::vector<std::int32_t> expand;   ///< offsets in a composed row, of each input channel
  std::vector<std::int32_t> project;  ///< offsets in a filtered row, of each hidden channel

  explicit MetaPlan(const DPWInvertedResidualParams& p) : params(p) {
    for (int x = 0; x < p.input.width; ++x) across.push_back(coordinate(x, p.input.width));
    for (int c = 0; c < p.in_channels(); ++c) expand.push_back(c * static_cast<std::int32_t>(row_stride()));
    for (int c = 0; c < p.hidden_channels; ++c) project.push_back(c * static_cast<std::int32_t>(row_stride()));
  }

  /// Floats between two channels of a row: halo, overrun of a vector, and an odd number of cache lines, since with a
  /// power of two all channels of a pixel would map to the same few cache sets.
  std::size_t row_stride() const { return ((params.input.width + 2 + 16) / 16 + 1 | 1) * 16; }
};

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct MetaBuffers {
  float* composed;        // [C_in] rows
  float* hidden[3];       // [hidden] rows with a column of halo on both sides, of image rows modulo 3
  float* filtered;        // [hidden] rows
  float* out;             // [C_out] runs of a patch's columns, where they are no whole vectors
  float* expand_weights;  // [N_w] times pw1, of the row of patches that the current image row lies in
  float* weights;         // [N_w] times dw and pw2
  float* low;             // three coarse rows
  float* high;
  float* blended;
};

/// Coordinates, X and the upsampled `previous` of one image row.
HWY_INLINE void compose_row(const MetaPlan& plan, const DPWInvertedResidualInputs<float>& inputs, int n, int y,
                            const MetaBuffers& buffers) {
  const LevelInput& input = plan.params.input;
  const size_t width = input.width;
  float* to = buffers.composed;
  if (input.coordinates) {
    load_row(plan.across.data(), width, to);
    to += plan.row_stride();
    std::fill_n(to, width, coordinate(y, input.height));
    to += plan.row_stride();
  }
  const size_t plane = static_cast<size_t>(input.height) * width;
  const float* from = inputs.x + n * input.x_channels * plane + y * width;
  for (int c = 0; c < input.x_channels; ++c, from += plane, to += plan.row_stride()) load_row(from, width, to);
  if (input.previous_channels == 0) return;

  const size_t coarse_width = width / 2;
  const size_t coarse_plane = plane / 4;
  const Interpolation rows = interpolate(y, input.height / 2, 2);
  const float* previous = inputs.previous + n * input.previous_channels * coarse_plane;
  for (int c = 0; c < input.previous_channels; ++c, previous += coarse_plane, to += plan.row_stride()) {
    load_row(previous + rows.low * coarse_width, coarse_width, buffers.low);
    load_row(previous + rows.high * coarse_width, coarse_width, buffers.high);
    float* const blended = buffers.blended + 1;
    blend_rows(buffers.low, buffers.high, rows.weight, static_cast<int>(coarse_width), blended);
    blended[-1] = blended[0];
    blended[coarse_width] = blended[coarse_width - 1];
    double_row(buffers.blended, static_cast<int>(coarse_width), to);
  }
}

/// pw1 of every patch in row `i` of the grid.
HWY_INLINE void gather_expansions(const MetaPlan& plan, const float* theta, int n, int i, float* to) {
  const Theta& layout = plan.params.theta;
  const int count = plan.params.depthwise_begin();
  PatchIndex patch(layout, (static_cast<size_t>(n) * layout.grid_height + i) * layout.grid_width);
  for (; patch.j < layout.grid_width; ++patch.j, to += count) gather_weights(layout, theta, patch, 0, count, to);
}

/// Hidden values of the composed row. Vectors run over into the right neighbour, which is written later.
HWY_INLINE void expand_row(const MetaPlan& plan, const float* bias, const MetaBuffers& buffers, float* hidden) {
  const DPWInvertedResidualParams& params = plan.params;
  const size_t width = params.input.width;
  Product product{};
  product.weights_stride = product.depth = params.in_channels();
  product.bias = bias;
  product.offsets = plan.expand.data();
  product.out_stride = plan.row_stride();
  product.rows = params.hidden_channels;
  product.columns = params.patch_width();
  product.lowest = 0.0f;
  product.highest = 6.0f;
  for (int j = 0; j < params.theta.grid_width; ++j) {
    product.weights = buffers.expand_weights + static_cast<size_t>(j) * params.depthwise_begin();
    product.window = buffers.composed + j * product.columns;
    product.out = hidden + 1 + j * product.columns;
    multiply(product);
  }
  for (int c = 0; c < params.hidden_channels; ++c, hidden += plan.row_stride()) {
    hidden[0] = hidden[2];
    hidden[width + 1] = hidden[width - 1];
  }
}

/// The depth-wise convolution of one row, from the hidden rows above, at and below it.
HWY_INLINE void filter_row(const MetaPlan& plan, const float* bias, const MetaBuffers& buffers,
                           const float* const (&hidden)[3]) {
  const DPWInvertedResidualParams& params = plan.params;
  const size_t count = params.weights() - params.depthwise_begin();
  Filter filter{};
  filter.columns = params.patch_width();
  filter.lowest = 0.0f;
  filter.highest = 6.0f;
  for (int c = 0; c < params.hidden_channels; ++c) {
    const size_t channel = c * plan.row_stride();
    filter.bias = bias[c];
    for (int j = 0; j < params.theta.grid_width; ++j) {
      const size_t begin = channel + j * filter.columns;
      for (size_t u = 0; u < 3; ++u) filter.rows[u] = hidden[u] + begin;
      filter.weights = buffers.weights + j * count + 9 * c;
      filter.out = buffers.filtered + begin;
      filter_3x3(filter);
    }
  }
}

/// Projects the filtered row into Y's row, `y` of channel 0.
HWY_INLINE void project_row(const MetaPlan& plan, const float* bias, const MetaBuffers& buffers, float* y) {
  const DPWInvertedResidualParams& params = plan.params;
  const size_t plane = static_cast<size_t>(params.input.height) * params.input.width;
  const size_t width = params.patch_width();
  const bool whole_vectors = width % hn::Lanes(hn::ScalableTag<float>()) == 0;
  const size_t count = params.weights() - params.depthwise_begin();
  Product product{};
  product.weights_stride = product.depth = params.hidden_channels;
  product.bias = bias;
  product.offsets = plan.project.data();
  product.rows = params.out_channels;
  product.columns = width;
  product.lowest = -std::numeric_limits<float>::infinity();
  product.out_stride = whole_vectors ? plane : plan.row_stride();
  for (int j = 0; j < params.theta.grid_width; ++j, y += width) {
    product.weights = buffers.weights + j * count + 9 * params.hidden_channels;
    product.window = buffers.filtered + j * width;
    product.out = whole_vectors ? y : buffers.out;
    multiply(product);
    if (whole_vectors) continue;
    for (size_t c = 0; c < product.rows; ++c) store_row(buffers.out + c * product.out_stride, width, y + c * plane);
  }
}

void meta_patches(const MetaPlan& plan, const DPWInvertedResidualInputs<float>& inputs, float* y, size_t task) {
  const DPWInvertedResidualParams& params = plan.params;
  const Theta& theta = params.theta;
  const LevelInput& input = params.input;
  const int n = static_cast<int>(task) / theta.grid_height;
  const int i = static_cast<int>(task) % theta.grid_height;
  const size_t rest = params.weights() - params.depthwise_begin();

  MetaBuffers buffers;
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&buffers.composed, params.in_channels() * plan.row_stride());
  for (float*& hidden : buffers.hidden) memory.add(&hidden, params.hidden_channels * plan.row_stride());
  memory.add(&buffers.filtered, params.hidden_channels * plan.row_stride());
  memory.add(&buffers.out, params.out_channels * plan.row_stride());
  memory.add(&buffers.expand_weights, static_cast<size_t>(theta.grid_width) * params.depthwise_begin());
  memory.add(&buffers.weights, theta.grid_width * rest);
  for (float** row : {&buffers.low, &buffers.high, &buffers.blended}) memory.add(row, plan.row_stride());
  memory.commit();

  PatchIndex patch(theta, task * theta.grid_width);
  for (; patch.j < theta.grid_width; ++patch.j) {
    gather_weights(theta, inputs.theta, patch, params.depthwise_begin(), static_cast<int>(rest),
                   buffers.weights + patch.j * rest);
  }
  const size_t plane = static_cast<size_t>(input.height) * input.width;
  const int top = i * params.patch_height();
  int gathered = -1;
  for (int step = -1; step <= params.patch_height(); ++step) {
    const int row = reflect(top + step, input.height);
    if (row / params.patch_height() != gathered) {
      gathered = row / params.patch_height();
      gather_expansions(plan, inputs.theta, n, gathered, buffers.expand_weights);
    }
    compose_row(plan, inputs, n, row, buffers);
    expand_row(plan, inputs.bias1, buffers, buffers.hidden[(step + 1) % 3]);
    if (step < 1) continue;
    const float* const hidden[3] = {buffers.hidden[(step + 2) % 3], buffers.hidden[step % 3],
                                    buffers.hidden[(step + 1) % 3]};
    filter_row(plan, inputs.bias2, buffers, hidden);
    float* const out = y + n * params.out_channels * plane + static_cast<size_t>(top + step - 1) * input.width;
    project_row(plan, inputs.bias3, buffers, out);
  }
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(meta_patches);

void dpw_meta_block(const DPWInvertedResidualParams& params, const DPWInvertedResidualInputs<float>& inputs, float* y,
                    const Workers& workers) {
  const MetaPlan plan(params);
  workers.run(static_cast<std::size_t>(params.input.batch) * params.theta.grid_height, [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(meta_patches)(plan, inputs, y, task);
  });
}

}  // namespace hyperseg::cpu
#endif

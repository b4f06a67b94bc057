// MBConv on the CPU, in two passes with the squeeze-excite gates between them. The expanded map, six times
// the size of its input, is never stored: a task of the first pass expands a few channels over a strip of rows, filters
// them, and writes the filtered map and its sums. The second pass applies the gates and the projection.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/mbconv.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/convert-inl.h"
#include "cpu/mbconv_filter-inl.h"
#include "cpu/product-inl.h"
#include "cpu/silu-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_MBCONV_ONCE
#define HYPERSEG_CPU_MBCONV_ONCE

#include <limits>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/mbconv_plan.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

constexpr float kUnbounded = std::numeric_limits<float>::infinity();

/// The rows of a strip: output rows, and the input rows that they need.
struct Strip {
  int out_begin;
  int out_rows;
  int top;       ///< first input row that the kernel sees; may be negative
  int in_begin;  ///< first one inside the image
  int in_rows;

  Strip(const MBConvPlan& plan, int index) : out_begin(index * plan.strip_rows) {
    const MBConvParams& p = plan.params;
    out_rows = std::min(plan.strip_rows, p.out_height - out_begin);
    top = out_begin * p.stride - p.pad_top;
    const int bottom = top + (out_rows - 1) * p.stride + p.kernel;
    in_begin = std::min(std::max(top, 0), p.height);
    in_rows = std::max(std::min(bottom, p.height) - in_begin, 0);
  }
};

/// Inputs of the second pass for one image.
struct ProjectionInputs {
  const float* x;  ///< null without a residual
  const float* filtered;
  const float* gate;
  const float* weights;
};

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// `multiply` for a window that ends where its memory ends: the columns that do not fill a vector are copied first.
HWY_INLINE void multiply_exact(Product product, float* HWY_RESTRICT copy, const int32_t* copy_offsets) {
  const size_t lanes = hn::Lanes(hn::ScalableTag<float>());
  const size_t whole = product.columns / lanes * lanes;
  const size_t rest = product.columns - whole;
  product.columns = whole;
  multiply(product);
  if (rest == 0) return;
  for (size_t k = 0; k < product.depth; ++k) {
    load_row(product.window + product.offsets[k] + whole, rest, copy + copy_offsets[k]);
  }
  product.columns = rest;
  product.window = copy;
  product.offsets = copy_offsets;
  product.out += whole;
  multiply(product);
}

/// First pass: some hidden channels of a strip. `x` is one image, `filtered` [hidden, H', W'], `sums` [strips, hidden].
void filter_strip(const MBConvPlan& plan, const MBConvInputs& inputs, const float* x, float* filtered, float* sums,
                  size_t task) {
  const MBConvParams& params = plan.params;
  const int index = static_cast<int>(task) / plan.blocks;
  const int begin = static_cast<int>(task) % plan.blocks * plan.block;
  const int count = std::min(plan.block, params.hidden_channels - begin);
  const Strip strip(plan, index);
  const size_t columns = static_cast<size_t>(strip.in_rows) * params.width;
  const size_t expanded_stride = (columns / MBConvPlan::kVector | 1) * MBConvPlan::kVector + 2 * MBConvPlan::kVector;

  float* expanded = nullptr;
  float* copy = nullptr;
  PaddedRows rows{nullptr, nullptr, plan.row_stride()};
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&expanded, count * expanded_stride);
  memory.add(&copy, params.in_channels * MBConvPlan::kPixels);
  memory.add(&rows.even, plan.input_rows() * rows.stride);
  memory.add(&rows.odd, plan.input_rows() * rows.stride);
  memory.commit();

  const float* const first_row = x + static_cast<size_t>(strip.in_begin) * params.width;
  if (params.expands && columns > 0) {
    Product product{};
    product.weights = inputs.expand_weight + static_cast<size_t>(begin) * params.in_channels;
    product.weights_stride = product.depth = params.in_channels;
    product.bias = inputs.expand_bias + begin;
    product.window = first_row;
    product.offsets = plan.input_offsets.data();
    product.out = expanded;
    product.out_stride = expanded_stride;
    product.rows = count;
    product.columns = columns;
    product.lowest = -kUnbounded;
    multiply_exact(product, copy, plan.copy_offsets.data());
  }
  const size_t plane = static_cast<size_t>(params.out_height) * params.out_width;
  for (int c = 0; c < count; ++c) {
    const int rows_seen = (strip.out_rows - 1) * params.stride + params.kernel;
    for (int row = 0; row < rows_seen; ++row) {
      const int y = strip.top + row - strip.in_begin;
      if (y < 0 || y >= strip.in_rows) {
        std::fill_n(rows.even + row * rows.stride, rows.stride, 0.0f);
        std::fill_n(rows.odd + row * rows.stride, rows.stride, 0.0f);
      } else if (params.expands) {
        place_row<true>(params, expanded + c * expanded_stride + static_cast<size_t>(y) * params.width, row, rows);
      } else {
        // Copied, since vectors may not run over the tensor's end.
        const float* from = first_row + plan.input_offsets[begin + c] + static_cast<size_t>(y) * params.width;
        load_row(from, params.width, expanded);
        place_row<false>(params, expanded, row, rows);
      }
    }
    const int channel = begin + c;
    sums[static_cast<size_t>(index) * params.hidden_channels + channel] =
        filter_any(params, rows, strip.out_rows,
                   inputs.depthwise_weight + static_cast<size_t>(channel) * params.kernel * params.kernel,
                   inputs.depthwise_bias[channel],
                   filtered + channel * plane + static_cast<size_t>(strip.out_begin) * params.out_width);
  }
}

HWY_INLINE float dot(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t count) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) sum = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum);
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < count; ++i) total += a[i] * b[i];
  return total;
}

/// Squeeze-excite: turns the strips' sums into one factor per hidden channel.
void gates(const MBConvPlan& plan, const MBConvInputs& inputs, const float* sums, float* gate) {
  const hn::CappedTag<float, 1> d;
  const MBConvParams& params = plan.params;
  std::vector<float> mean(params.hidden_channels);
  for (int strip = 0; strip < plan.strips; ++strip) {
    for (int c = 0; c < params.hidden_channels; ++c) mean[c] += sums[strip * params.hidden_channels + c];
  }
  for (float& value : mean) value /= static_cast<float>(plan.pixels());
  std::vector<float> squeezed(params.squeezed_channels);
  for (int s = 0; s < params.squeezed_channels; ++s) {
    const float* weight = inputs.reduce_weight + static_cast<size_t>(s) * params.hidden_channels;
    const float value = dot(weight, mean.data(), params.hidden_channels) + inputs.reduce_bias[s];
    squeezed[s] = hn::GetLane(silu(d, hn::Set(d, value)));
  }
  for (int c = 0; c < params.hidden_channels; ++c) {
    const float* weight = inputs.gate_weight + static_cast<size_t>(c) * params.squeezed_channels;
    const float value = dot(weight, squeezed.data(), params.squeezed_channels) + inputs.gate_bias[c];
    gate[c] = hn::GetLane(sigmoid(d, hn::Set(d, value)));
  }
}

HWY_INLINE void scale(const float* HWY_RESTRICT from, float factor, size_t count, float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const auto vector = hn::Set(d, factor);
  for (size_t n = 0; n < count; n += hn::Lanes(d)) hn::StoreU(hn::Mul(vector, hn::LoadU(d, from + n)), d, to + n);
}

/// Second pass: some output channels of a run of pixels. `x` and `y` are one image; `x` is null without a residual;
/// `weights` are the projection's, multiplied by the gates where the plan says so.
void project_run(const MBConvPlan& plan, const MBConvInputs& inputs, const ProjectionInputs& second, float* y,
                 size_t task) {
  const size_t lanes = hn::Lanes(hn::ScalableTag<float>());
  constexpr size_t kPixels = MBConvPlan::kPixels;
  const MBConvParams& params = plan.params;
  const size_t begin = task / plan.row_blocks * plan.run;
  const size_t first = task % plan.row_blocks * plan.row_block;
  const size_t plane = plan.pixels();
  const size_t count = std::min<size_t>(plan.run, plane - begin);

  Product product{};
  product.rows = std::min<size_t>(plan.row_block, params.out_channels - first);
  product.weights = second.weights + first * params.hidden_channels;
  product.weights_stride = product.depth = params.hidden_channels;
  product.bias = inputs.project_bias + first;
  product.window = second.filtered + begin;
  product.offsets = plan.project_offsets.data();
  product.out = y + first * plane + begin;
  product.out_stride = plane;
  product.lowest = -kUnbounded;
  product.addend = second.x == nullptr ? nullptr : second.x + first * plane + begin;

  float* packed = nullptr;
  float* rest = nullptr;
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&packed, params.hidden_channels * kPixels);
  memory.add(&rest, product.rows * lanes);
  memory.commit();
  if (!plan.scales_weights()) {
    // Runs over the channel's end; behind the last channel the working memory has room for that.
    for (int c = 0; c < params.hidden_channels; ++c) {
      scale(second.filtered + c * plane + begin, second.gate[c], count, packed + c * kPixels);
    }
    product.window = packed;
  }
  product.columns = count / lanes * lanes;
  multiply(product);
  if (product.columns == count) return;

  // The pixels that do not fill a vector: y has no room for the others.
  const size_t whole = product.columns;
  float* const to = product.out + whole;
  const float* const addend = product.addend;
  product.columns = count - whole;
  product.window += whole;
  product.out = rest;
  product.out_stride = lanes;
  product.addend = nullptr;
  multiply(product);
  for (size_t c = 0; c < product.rows; ++c) {
    for (size_t n = 0; n < count - whole; ++n) {
      to[c * plane + n] = rest[c * lanes + n] + (addend == nullptr ? 0.0f : addend[whole + c * plane + n]);
    }
  }
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(filter_strip);
HWY_EXPORT(gates);
HWY_EXPORT(project_run);

std::size_t working_floats(const MBConvParams& params) {
  return static_cast<std::size_t>(params.hidden_channels) * params.out_height * params.out_width + MBConvPlan::kPixels;
}

void mbconv(const MBConvParams& params, const MBConvInputs& inputs, float* working, float* y, const Workers& workers) {
  const MBConvPlan plan(params);
  std::vector<float> sums(static_cast<std::size_t>(plan.strips) * params.hidden_channels);
  std::vector<float> gate(params.hidden_channels);
  const std::size_t projected = static_cast<std::size_t>(params.out_channels) * params.hidden_channels;
  std::vector<float> weights(plan.scales_weights() ? projected : 0);
  const std::size_t x_size = static_cast<std::size_t>(params.in_channels) * params.height * params.width;
  const std::size_t y_size = static_cast<std::size_t>(params.out_channels) * plan.pixels();
  for (int n = 0; n < params.batch; ++n) {
    const float* const x = inputs.x + n * x_size;
    float* const image = y + n * y_size;
    workers.run(static_cast<std::size_t>(plan.strips) * plan.blocks, [&](std::size_t task) {
      HWY_DYNAMIC_DISPATCH(filter_strip)(plan, inputs, x, working, sums.data(), task);
    });
    HWY_DYNAMIC_DISPATCH(gates)(plan, inputs, sums.data(), gate.data());
    if (plan.scales_weights()) {
      for (std::size_t i = 0; i < weights.size(); ++i) {
        weights[i] = inputs.project_weight[i] * gate[i % params.hidden_channels];
      }
    }
    const ProjectionInputs second{params.residual ? x : nullptr, working, gate.data(),
                                  plan.scales_weights() ? weights.data() : inputs.project_weight};
    workers.run(static_cast<std::size_t>(plan.runs) * plan.row_blocks, [&](std::size_t task) {
      HWY_DYNAMIC_DISPATCH(project_run)(plan, inputs, second, image, task);
    });
  }
}

}  // namespace hyperseg::cpu
#endif

// DPWInvertedResidual on the CPU: one task per patch. A task composes the patch's window, expands all of it (the halo
// with this patch's weights, as the operator defines it), and then goes over the patch in short runs of pixels, so that
// the depth-wise result stays in the first-level cache until the projection has read it.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/dpw_inverted_residual.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/filter-inl.h"
#include "cpu/product-inl.h"
#include "cpu/window-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_DPW_INVERTED_RESIDUAL_ONCE
#define HYPERSEG_CPU_DPW_INVERTED_RESIDUAL_ONCE

#include <limits>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

/// State shared by all patches of a call.
struct ResidualPlan {
  /// Pixels of a run: a few blocks of the product, a few kilobytes of depth-wise results.
  static constexpr std::size_t kRun = 96;

  DPWInvertedResidualParams params;
  WindowSource source;
  std::vector<std::int32_t> expand;   ///< offsets in the window, of each input channel
  std::vector<std::int32_t> project;  ///< offsets in a run's depth-wise results, of each hidden channel

  explicit ResidualPlan(const DPWInvertedResidualParams& p)
      : params(p), source(p.input, {1, p.patch_height(), p.patch_width()}) {
    const std::int32_t plane = static_cast<std::int32_t>(source.layout.plane());
    for (int c = 0; c < p.in_channels(); ++c) expand.push_back(c * plane);
    for (int c = 0; c < p.hidden_channels; ++c) project.push_back(c * static_cast<std::int32_t>(kRun));
  }

  std::size_t out_plane() const { return (source.layout.span() / 16 + 1) * 16; }
};

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct ResidualBuffers {
  float* window;
  float* expanded;
  float* run;
  float* out;
  float* weights;
  float* biases;  // bias1, bias2, bias3
  UpsampleBuffers upsample;
};

HWY_INLINE void expand(const ResidualPlan& plan, const ResidualBuffers& buffers) {
  const WindowLayout& layout = plan.source.layout;
  Product product{};
  product.weights = buffers.weights;
  product.weights_stride = product.depth = plan.params.in_channels();
  product.bias = buffers.biases;
  product.window = buffers.window;
  product.offsets = plan.expand.data();
  product.out = buffers.expanded;
  product.out_stride = layout.plane();
  product.rows = plan.params.hidden_channels;
  product.columns = static_cast<size_t>(layout.rows()) * layout.row_stride();
  product.lowest = 0.0f;
  product.highest = 6.0f;
  multiply(product);
}

/// Depth-wise convolution of the pixels [begin, begin + count) of every hidden channel into `run`.
HWY_INLINE void filter_run(const ResidualPlan& plan, const ResidualBuffers& buffers, size_t begin, size_t count) {
  Filter filter{};
  filter.columns = count;
  filter.lowest = 0.0f;
  filter.highest = 6.0f;
  for (int c = 0; c < plan.params.hidden_channels; ++c) {
    filter.weights = buffers.weights + plan.params.depthwise_begin() + 9 * c;
    filter.bias = buffers.biases[plan.params.hidden_channels + c];
    filter.set_rows(buffers.expanded + c * plan.source.layout.plane() + begin, plan.source.layout.row_stride());
    filter.out = buffers.run + c * ResidualPlan::kRun;
    filter_3x3(filter);
  }
}

HWY_INLINE void project_run(const ResidualPlan& plan, const ResidualBuffers& buffers, size_t begin, size_t count) {
  Product product{};
  product.weights = buffers.weights + plan.params.project_begin();
  product.weights_stride = product.depth = plan.params.hidden_channels;
  product.bias = buffers.biases + 2 * plan.params.hidden_channels;
  product.window = buffers.run;
  product.offsets = plan.project.data();
  product.out = buffers.out + begin;
  product.out_stride = plan.out_plane();
  product.rows = plan.params.out_channels;
  product.columns = count;
  product.lowest = -std::numeric_limits<float>::infinity();
  product.highest = std::numeric_limits<float>::infinity();
  multiply(product);
}

HWY_INLINE void add_input(const ResidualPlan& plan, const ResidualBuffers& buffers) {
  const WindowLayout& layout = plan.source.layout;
  for (int c = 0; c < plan.params.out_channels; ++c) {
    const float* HWY_RESTRICT x = buffers.window + c * layout.plane() + layout.row_stride() + 1;
    float* HWY_RESTRICT out = buffers.out + c * plan.out_plane();
    for (size_t i = 0; i < layout.span(); ++i) out[i] += x[i];
  }
}

template <typename T>
HWY_INLINE void residual_patch(const ResidualPlan& plan, const DPWInvertedResidualInputs<T>& inputs, T* y,
                               size_t task) {
  const DPWInvertedResidualParams& params = plan.params;
  const WindowLayout& layout = plan.source.layout;
  const PatchIndex patch(params.theta, task);
  const int hidden = params.hidden_channels;

  ResidualBuffers buffers;
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&buffers.window, layout.size(params.in_channels()));
  memory.add(&buffers.expanded, layout.size(hidden));
  memory.add(&buffers.run, hidden * ResidualPlan::kRun);
  memory.add(&buffers.out, params.out_channels * plan.out_plane());
  memory.add(&buffers.weights, params.weights());
  memory.add(&buffers.biases, 2 * hidden + params.out_channels);
  memory.add(&buffers.upsample.coarse, plan.source.coarse_size());
  memory.add(&buffers.upsample.fine, plan.source.fine_size());
  memory.commit();

  gather_weights(params.theta, inputs.theta, patch, 0, params.weights(), buffers.weights);
  load_row(inputs.bias1, hidden, buffers.biases);
  load_row(inputs.bias2, hidden, buffers.biases + hidden);
  load_row(inputs.bias3, params.out_channels, buffers.biases + 2 * hidden);
  compose_window(plan.source, inputs.x, inputs.previous, patch, buffers.upsample, buffers.window);
  expand(plan, buffers);
  const size_t span = layout.span();
  for (size_t begin = 0; begin < span; begin += ResidualPlan::kRun) {
    const size_t count = std::min(ResidualPlan::kRun, span - begin);
    filter_run(plan, buffers, begin, count);
    project_run(plan, buffers, begin, count);
  }
  if (params.residual()) add_input(plan, buffers);
  store_patch(plan.source, buffers.out, plan.out_plane(), params.out_channels, patch, y);
}

void residual_patch_float(const ResidualPlan& plan, const DPWInvertedResidualInputs<float>& inputs, float* y,
                          size_t task) {
  residual_patch(plan, inputs, y, task);
}

void residual_patch_half(const ResidualPlan& plan, const DPWInvertedResidualInputs<Half>& inputs, Half* y,
                         size_t task) {
  residual_patch(plan, inputs, y, task);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(residual_patch_float);
HWY_EXPORT(residual_patch_half);

void dpw_inverted_residual(const DPWInvertedResidualParams& params, const DPWInvertedResidualInputs<float>& inputs,
                           float* y, const Workers& workers) {
  const ResidualPlan plan(params);
  workers.run(patches(params.input, params.theta), [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(residual_patch_float)(plan, inputs, y, task);
  });
}

void dpw_inverted_residual(const DPWInvertedResidualParams& params, const DPWInvertedResidualInputs<Half>& inputs,
                           Half* y, const Workers& workers) {
  const ResidualPlan plan(params);
  workers.run(patches(params.input, params.theta), [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(residual_patch_half)(plan, inputs, y, task);
  });
}

}  // namespace hyperseg::cpu
#endif

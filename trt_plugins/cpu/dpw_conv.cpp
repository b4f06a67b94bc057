// DPWConv on the CPU: one task per patch. A task gathers its patch's weights, composes their input window and
// multiplies the two; a patch of a few pixels is computed as scalar products along the input channels instead.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/dpw_conv.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/filter-inl.h"
#include "cpu/product-inl.h"
#include "cpu/window-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_DPW_CONV_ONCE
#define HYPERSEG_CPU_DPW_CONV_ONCE

#include <limits>
#include <type_traits>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

constexpr std::int64_t kLargestOffset = std::numeric_limits<std::int32_t>::max();

/// Patches up to this many pixels are computed as scalar products.
constexpr int kFewPixels = 4;

template <typename T>
struct ConvInputs {
  const T* x;
  const T* theta;
  const T* bias;
  const T* previous;
};

/// State shared by all patches of a call.
struct ConvPlan {
  DPWConvParams params;
  WindowSource source;
  std::vector<std::int32_t> offsets;  ///< in the window, of what each weight of an output channel multiplies
  bool few_pixels;
  bool depthwise;                         ///< 3x3, one channel a group
  bool in_place;                          ///< 1x1 on X alone, patches whole vectors wide, offsets within 32 bits
  std::vector<std::int32_t> map_offsets;  ///< in X, of each channel, if in place

  explicit ConvPlan(const DPWConvParams& p)
      : params(p),
        source(p.input, {p.kernel / 2, p.patch_height(), p.patch_width()}),
        few_pixels(p.kernel == 1 && p.group == 1 && p.patch_height() * p.patch_width() <= kFewPixels),
        depthwise(p.kernel == 3 && p.group == p.in_channels() && p.group == p.out_channels),
        in_place(p.kernel == 1 && p.group == 1 && p.in_channels() == p.input.x_channels && p.patch_width() % 16 == 0 &&
                 static_cast<std::int64_t>(p.in_channels()) * p.input.height * p.input.width < kLargestOffset) {
    for (int c = 0; in_place && c < p.in_channels(); ++c) {
      map_offsets.push_back(c * p.input.height * p.input.width);
    }
    const std::int32_t plane = static_cast<std::int32_t>(source.layout.plane());
    for (int c = 0; c < p.in_channels() / p.group; ++c) {
      for (int u = 0; u < p.kernel; ++u) {
        for (int v = 0; v < p.kernel; ++v) offsets.push_back(c * plane + u * source.layout.row_stride() + v);
      }
    }
  }

  std::size_t out_plane() const { return (source.layout.span() / 16 + 1) * 16; }
};

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct ConvBuffers {
  float* window;
  float* weights;
  float* bias;
  float* out;
  float* pixel;
  UpsampleBuffers upsample;
};

/// Scalar products of kRows weight rows with the pixel `x`, both contiguous along the input channels.
template <size_t kRows>
HWY_INLINE void scalar_products(const float* HWY_RESTRICT weights, size_t depth, const float* HWY_RESTRICT x,
                                const float* bias, float* out, size_t out_stride) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> sum[kRows];
  for (size_t m = 0; m < kRows; ++m) sum[m] = hn::Zero(d);
  size_t k = 0;
  for (; k + lanes <= depth; k += lanes) {
    const auto value = hn::LoadU(d, x + k);
    for (size_t m = 0; m < kRows; ++m) sum[m] = hn::MulAdd(hn::LoadU(d, weights + m * depth + k), value, sum[m]);
  }
  if (k < depth) {
    const auto rest = hn::FirstN(d, depth - k);
    const auto value = hn::LoadU(d, x + k);
    for (size_t m = 0; m < kRows; ++m) {
      const auto weight = hn::IfThenElseZero(rest, hn::LoadU(d, weights + m * depth + k));
      sum[m] = hn::MulAdd(weight, value, sum[m]);
    }
  }
  for (size_t m = 0; m < kRows; ++m) {
    out[m * out_stride] = hn::GetLane(hn::SumOfLanes(d, sum[m])) + (bias != nullptr ? bias[m] : 0.0f);
  }
}

HWY_INLINE void multiply_few_pixels(const ConvPlan& plan, const ConvBuffers& buffers) {
  constexpr size_t kRows = 4;
  const DPWConvParams& params = plan.params;
  const size_t depth = params.in_channels();
  const size_t out_plane = plan.out_plane();
  const size_t plane = plan.source.layout.plane();
  const size_t channels = params.out_channels;
  const bool has_bias = params.has_bias;
  for (size_t pixel = 0; pixel < plan.source.layout.span(); ++pixel) {
    float* const x = buffers.pixel;
    for (size_t k = 0; k < depth; ++k) x[k] = buffers.window[k * plane + pixel];
    float* const out = buffers.out + pixel;
    size_t m = 0;
    for (; m + kRows <= channels; m += kRows) {
      scalar_products<kRows>(buffers.weights + m * depth, depth, x, has_bias ? buffers.bias + m : nullptr,
                             out + m * out_plane, out_plane);
    }
    for (; m < channels; ++m) {
      scalar_products<1>(buffers.weights + m * depth, depth, x, has_bias ? buffers.bias + m : nullptr,
                         out + m * out_plane, out_plane);
    }
    for (m = 0; m < channels; ++m) out[m * out_plane] = activate(out[m * out_plane], params.activation);
  }
}

/// A product with the operator's clamp.
HWY_INLINE Product product_of(const DPWConvParams& params) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Product product{};
  product.lowest = params.activation == Activation::kNone ? -kInfinity : 0.0f;
  product.highest = params.activation == Activation::kRelu6 ? 6.0f : kInfinity;
  return product;
}

HWY_INLINE void multiply_groups(const ConvPlan& plan, const ConvBuffers& buffers) {
  const DPWConvParams& params = plan.params;
  const size_t in_group = params.in_channels() / params.group;
  const size_t out_group = params.out_channels / params.group;
  Product product = product_of(params);
  product.weights_stride = product.depth = plan.offsets.size();
  product.offsets = plan.offsets.data();
  product.out_stride = plan.out_plane();
  product.rows = out_group;
  product.columns = plan.source.layout.span();
  for (int g = 0; g < params.group; ++g) {
    product.weights = buffers.weights + g * out_group * product.depth;
    product.bias = params.has_bias ? buffers.bias + g * out_group : nullptr;
    product.window = buffers.window + g * in_group * plan.source.layout.plane();
    product.out = buffers.out + g * out_group * product.out_stride;
    multiply(product);
  }
}

/// A 1x1 convolution of a plain map of floats whose patches are whole vectors wide: row by row from X to Y, nothing
/// copied.
HWY_INLINE void multiply_in_place(const ConvPlan& plan, const ConvBuffers& buffers, const float* x, float* y,
                                  const PatchIndex& patch) {
  const DPWConvParams& params = plan.params;
  const WindowLayout& layout = plan.source.layout;
  const size_t plane = static_cast<size_t>(params.input.height) * params.input.width;
  const size_t first = static_cast<size_t>(patch.i) * layout.patch_height * params.input.width +
                       static_cast<size_t>(patch.j) * layout.patch_width;
  Product product = product_of(params);
  product.weights = buffers.weights;
  product.weights_stride = product.depth = params.in_channels();
  product.bias = params.has_bias ? buffers.bias : nullptr;
  product.offsets = plan.map_offsets.data();
  product.out_stride = plane;
  product.rows = params.out_channels;
  product.columns = layout.patch_width;
  for (int row = 0; row < layout.patch_height; ++row) {
    const size_t at = first + static_cast<size_t>(row) * params.input.width;
    product.window = x + patch.n * params.input.x_channels * plane + at;
    product.out = y + patch.n * params.out_channels * plane + at;
    multiply(product);
  }
}

HWY_INLINE void filter_channels(const ConvPlan& plan, const ConvBuffers& buffers) {
  const DPWConvParams& params = plan.params;
  Filter filter{};
  filter.columns = plan.source.layout.span();
  filter.lowest = product_of(params).lowest;
  filter.highest = product_of(params).highest;
  for (int c = 0; c < params.out_channels; ++c) {
    filter.weights = buffers.weights + 9 * c;
    filter.bias = params.has_bias ? buffers.bias[c] : 0.0f;
    filter.set_rows(buffers.window + c * plan.source.layout.plane(), plan.source.layout.row_stride());
    filter.out = buffers.out + c * plan.out_plane();
    filter_3x3(filter);
  }
}

template <typename T>
HWY_INLINE void convolve_patch(const ConvPlan& plan, const ConvInputs<T>& inputs, T* y, size_t task) {
  const DPWConvParams& params = plan.params;
  const WindowLayout& layout = plan.source.layout;
  const PatchIndex patch(params.theta, task);

  ConvBuffers buffers;
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&buffers.window, layout.size(params.in_channels()));
  memory.add(&buffers.weights, params.weights());
  memory.add(&buffers.bias, params.out_channels);
  memory.add(&buffers.out, params.out_channels * plan.out_plane());
  memory.add(&buffers.pixel, params.in_channels());
  memory.add(&buffers.upsample.coarse, plan.source.coarse_size());
  memory.add(&buffers.upsample.fine, plan.source.fine_size());
  memory.commit();

  gather_weights(params.theta, inputs.theta, patch, 0, params.weights(), buffers.weights);
  if (params.has_bias) load_row(inputs.bias, params.out_channels, buffers.bias);
  if constexpr (std::is_same_v<T, float>) {
    if (plan.in_place) return multiply_in_place(plan, buffers, inputs.x, y, patch);
  }
  compose_window(plan.source, inputs.x, inputs.previous, patch, buffers.upsample, buffers.window);
  if (plan.few_pixels) {
    multiply_few_pixels(plan, buffers);
  } else if (plan.depthwise) {
    filter_channels(plan, buffers);
  } else {
    multiply_groups(plan, buffers);
  }
  store_patch(plan.source, buffers.out, plan.out_plane(), params.out_channels, patch, y);
}

void convolve_patch_float(const ConvPlan& plan, const ConvInputs<float>& inputs, float* y, size_t task) {
  convolve_patch(plan, inputs, y, task);
}

void convolve_patch_half(const ConvPlan& plan, const ConvInputs<Half>& inputs, Half* y, size_t task) {
  convolve_patch(plan, inputs, y, task);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(convolve_patch_float);
HWY_EXPORT(convolve_patch_half);

void dpw_conv(const DPWConvParams& params, const float* x, const float* theta, const float* bias, const float* previous,
              float* y, const Workers& workers) {
  const ConvPlan plan(params);
  const ConvInputs<float> inputs{x, theta, bias, previous};
  workers.run(patches(params.input, params.theta), [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(convolve_patch_float)(plan, inputs, y, task);
  });
}

void dpw_conv(const DPWConvParams& params, const Half* x, const Half* theta, const Half* bias, const Half* previous,
              Half* y, const Workers& workers) {
  const ConvPlan plan(params);
  const ConvInputs<Half> inputs{x, theta, bias, previous};
  workers.run(patches(params.input, params.theta), [&](std::size_t task) {
    HWY_DYNAMIC_DISPATCH(convolve_patch_half)(plan, inputs, y, task);
  });
}

}  // namespace hyperseg::cpu
#endif

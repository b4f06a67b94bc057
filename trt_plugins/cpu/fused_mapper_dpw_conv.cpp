// FusedMapperDPWConv on the CPU: one task per row of patches. A task composes its input, applies the mapper to it as
// dense products, one for each stretch of weights that a piece has for an output channel, and sums the results weighted
// by the signal. The weights of a patch are never computed.

#include "cpu/targets.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fused_mapper_dpw_conv.cpp"
#include "hwy/foreach_target.h"
//
#include "cpu/product-inl.h"
#include "cpu/window-inl.h"
#include "hwy/highway.h"

#ifndef HYPERSEG_CPU_MAPPED_DPW_CONV_ONCE
#define HYPERSEG_CPU_MAPPED_DPW_CONV_ONCE

#include <limits>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/scratch.h"

namespace hyperseg::cpu {

/// Consecutive weights of one output channel that lie in one piece.
struct Stretch {
  int out_channel;
  int piece;
  int begin;    ///< in the piece
  int channel;  ///< of the input that the first one multiplies
  int count;
};

/// State shared by all rows of patches of a call.
struct FusedMapperPlan {
  FusedMapperDPWConvParams params;
  WindowSource source;  ///< a window is a whole row of patches
  std::vector<Stretch> stretches;
  std::vector<std::int32_t> offsets;  ///< in the window, of each channel

  explicit FusedMapperPlan(const FusedMapperDPWConvParams& p)
      : params(p), source(p.conv.input, {0, p.conv.patch_height(), p.conv.input.width}) {
    const Theta& theta = p.conv.theta;
    const int channels = p.conv.in_channels();
    for (int o = 0; o < p.conv.out_channels; ++o) {
      for (int c = 0; c < channels;) {
        const int at = theta.offset + o * channels + c;
        const int begin = at % theta.piece_length;
        const int count = std::min(channels - c, theta.piece_length - begin);
        stretches.push_back({o, at / theta.piece_length, begin, c, count});
        c += count;
      }
    }
    const std::int32_t plane = static_cast<std::int32_t>(source.layout.plane());
    for (int c = 0; c < channels; ++c) offsets.push_back(c * plane);
  }

  std::size_t pixels() const { return source.layout.span(); }
  /// Floats of a row of pixels, whole vectors.
  std::size_t stride() const { return (pixels() / 16 + 1) * 16; }
};

}  // namespace hyperseg::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace hyperseg::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct MappedBuffers {
  float* window;
  float* signal;  // [T*K][stride]: of each pixel its patch's
  float* mapped;  // [K][stride]
  float* out;     // [C_out][stride]
  UpsampleBuffers upsample;
};

/// Repeats the signal of a row of patches for each of their pixels.
HWY_INLINE void spread_signal(const FusedMapperPlan& plan, const float* signal, const PatchIndex& row, float* to) {
  const DPWConvParams& conv = plan.params.conv;
  const int columns = conv.theta.grid_width, repeat = conv.patch_width();
  const size_t plane = static_cast<size_t>(conv.theta.grid_height) * columns;
  const size_t channels = plan.params.signal_channels();
  const float* from = signal + row.n * channels * plane + static_cast<size_t>(row.i) * columns;
  for (size_t c = 0; c < channels; ++c, from += plane, to += plan.stride()) {
    if (repeat == 1) {
      load_row(from, columns, to);
    } else {
      for (int j = 0; j < columns; ++j) std::fill_n(to + j * repeat, repeat, from[j]);
    }
    for (int y = 1; y < conv.patch_height(); ++y) {
      load_row(to, conv.input.width, to + static_cast<size_t>(y) * conv.input.width);
    }
  }
}

/// out[n] = start + sum_k signal[k][n] * mapped[k][n], where start is `bias`, or out[n] itself without one.
HWY_INLINE void sum_weighted(const FusedMapperPlan& plan, const float* HWY_RESTRICT signal,
                             const float* HWY_RESTRICT mapped, const float* bias, float* HWY_RESTRICT out) {
  const hn::ScalableTag<float> d;
  const size_t stride = plan.stride();
  for (size_t n = 0; n < plan.pixels(); n += hn::Lanes(d)) {
    auto sum = bias != nullptr ? hn::Set(d, *bias) : hn::LoadU(d, out + n);
    for (int k = 0; k < plan.params.signal_length; ++k) {
      sum = hn::MulAdd(hn::LoadU(d, signal + k * stride + n), hn::LoadU(d, mapped + k * stride + n), sum);
    }
    hn::StoreU(sum, d, out + n);
  }
}

void convolve_row(const FusedMapperPlan& plan, const FusedMapperDPWConvInputs& inputs, float* y, size_t task) {
  const DPWConvParams& conv = plan.params.conv;
  const Theta& theta = conv.theta;
  PatchIndex row(theta, task * theta.grid_width);

  MappedBuffers buffers;
  Scratch::Layout memory(Scratch::of_this_thread());
  memory.add(&buffers.window, plan.source.layout.size(conv.in_channels()));
  memory.add(&buffers.signal, plan.params.signal_channels() * plan.stride());
  memory.add(&buffers.mapped, plan.params.signal_length * plan.stride());
  memory.add(&buffers.out, conv.out_channels * plan.stride());
  memory.add(&buffers.upsample.coarse, plan.source.coarse_size());
  memory.add(&buffers.upsample.fine, plan.source.fine_size());
  memory.commit();

  compose_window(plan.source, inputs.x, inputs.previous, row, buffers.upsample, buffers.window);
  spread_signal(plan, inputs.signal, row, buffers.signal);
  Product product{};
  product.weights_stride = theta.piece_length;
  product.window = buffers.window;
  product.out = buffers.mapped;
  product.out_stride = plan.stride();
  product.rows = plan.params.signal_length;
  product.columns = plan.pixels();
  product.lowest = -std::numeric_limits<float>::infinity();
  for (const Stretch& stretch : plan.stretches) {
    const size_t first = static_cast<size_t>(stretch.piece) * plan.params.signal_length;
    product.weights = inputs.mapper + first * theta.piece_length + stretch.begin;
    product.depth = stretch.count;
    product.offsets = plan.offsets.data() + stretch.channel;
    multiply(product);
    const float start = conv.has_bias ? inputs.bias[stretch.out_channel] : 0.0f;
    sum_weighted(plan, buffers.signal + first * plan.stride(), buffers.mapped, stretch.channel == 0 ? &start : nullptr,
                 buffers.out + stretch.out_channel * plan.stride());
  }
  for (size_t i = 0; conv.activation != Activation::kNone && i < conv.out_channels * plan.stride(); ++i) {
    buffers.out[i] = activate(buffers.out[i], conv.activation);
  }
  store_patch(plan.source, buffers.out, plan.stride(), conv.out_channels, row, y);
}

}  // namespace hyperseg::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace hyperseg::cpu {

HWY_EXPORT(convolve_row);

void fused_mapper_dpw_conv(const FusedMapperDPWConvParams& params, const FusedMapperDPWConvInputs& inputs, float* y,
                           const Workers& workers) {
  const FusedMapperPlan plan(params);
  const std::size_t rows = static_cast<std::size_t>(params.conv.input.batch) * params.conv.theta.grid_height;
  workers.run(rows, [&](std::size_t task) { HWY_DYNAMIC_DISPATCH(convolve_row)(plan, inputs, y, task); });
}

}  // namespace hyperseg::cpu
#endif

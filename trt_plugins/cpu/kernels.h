#pragma once

#include <cstdint>

#include "cpu/half.h"
#include "cpu/workers.h"
#include "hyperseg/dpw_conv.h"
#include "hyperseg/dpw_inverted_residual.h"
#include "hyperseg/fused_mapper_dpw_conv.h"
#include "hyperseg/mbconv.h"
#include "hyperseg/upsample_argmax.h"

/// The operators on the CPU. Contracts are in hyperseg/*.h; parameters come from `validate`, pointers are to dense
/// row-major tensors of the shapes given there. Optional inputs are null where absent.
/// They may throw std::bad_alloc, also from within a worker's task.
namespace hyperseg::cpu {

void dpw_conv(const DPWConvParams& params, const float* x, const float* theta, const float* bias, const float* previous,
              float* y, const Workers& workers);
void dpw_conv(const DPWConvParams& params, const Half* x, const Half* theta, const Half* bias, const Half* previous,
              Half* y, const Workers& workers);

/// The inputs of FusedMapperDPWConv.
struct FusedMapperDPWConvInputs {
  const float* x;
  const float* signal;
  const float* mapper;
  const float* bias;
  const float* previous;
};

void fused_mapper_dpw_conv(const FusedMapperDPWConvParams& params, const FusedMapperDPWConvInputs& inputs, float* y,
                           const Workers& workers);

/// The inputs of DPWInvertedResidual.
template <typename T>
struct DPWInvertedResidualInputs {
  const T* x;
  const T* theta;
  const T* bias1;
  const T* bias2;
  const T* bias3;
  const T* previous;
};

void dpw_inverted_residual(const DPWInvertedResidualParams& params, const DPWInvertedResidualInputs<float>& inputs,
                           float* y, const Workers& workers);
void dpw_inverted_residual(const DPWInvertedResidualParams& params, const DPWInvertedResidualInputs<Half>& inputs,
                           Half* y, const Workers& workers);

/// DPWMetaBlock: the halo of a patch is computed with its neighbours' weights.
void dpw_meta_block(const DPWInvertedResidualParams& params, const DPWInvertedResidualInputs<float>& inputs, float* y,
                    const Workers& workers);

/// UpsampleArgmax by a whole factor.
void upsample_argmax(const UpsampleArgmaxParams& params, const float* x, std::int32_t* labels, const Workers& workers);
void upsample_argmax(const UpsampleArgmaxParams& params, const Half* x, std::int32_t* labels, const Workers& workers);

/// UpsampleArgmax with a target, labels of at most 256 channels, in `bands` tasks an image. Source rows between two
/// bands are read twice.
void upsample_labels(const UpsampleArgmaxParams& params, int bands, const float* x, std::uint8_t* labels,
                     const Workers& workers);
void upsample_labels(const UpsampleArgmaxParams& params, int bands, const Half* x, std::uint8_t* labels,
                     const Workers& workers);

/// The inputs of MBConv; expand_weight and expand_bias may be null.
struct MBConvInputs {
  const float* x;
  const float* expand_weight;
  const float* expand_bias;
  const float* depthwise_weight;
  const float* depthwise_bias;
  const float* reduce_weight;
  const float* reduce_bias;
  const float* gate_weight;
  const float* gate_bias;
  const float* project_weight;
  const float* project_bias;
};

/// Floats of working memory that `mbconv` needs in addition to its threads' own: one image's depth-wise result.
std::size_t working_floats(const MBConvParams& params);

void mbconv(const MBConvParams& params, const MBConvInputs& inputs, float* working, float* y, const Workers& workers);

}  // namespace hyperseg::cpu

#pragma once

#include <vector>

#include "hyperseg/dpw_conv.h"
#include "hyperseg/dpw_inverted_residual.h"
#include "hyperseg/mbconv.h"
#include "hyperseg/upsample_argmax.h"
#include "inexact.h"

/// Reference implementation in double precision, one output value at a time, each with the error bound of float32.
namespace hyperseg::plain {

using Values = std::vector<Inexact>;

/// A mistake that is planted in the reference to check that it is found.
enum class Plant {
  kNone,
  kWeight,  ///< one weight is a hundredth of the weights' standard deviation off; made by the caller
  kHalo,    ///< padding is one pixel off
  kPhase,   ///< upsampling counts from a pixel's corner instead of its centre
};

/// `theta` may hold sums that are not rounded, as FusedMapperDPWConv has them.
Values dpw_conv(const DPWConvParams& params, const Values& x, const Values& theta, const Values& bias,
                const Values& previous, Plant plant);

struct ResidualInputs {
  Values x, theta, bias1, bias2, bias3, previous;
};
Values dpw_inverted_residual(const DPWInvertedResidualParams& params, const ResidualInputs& inputs, Plant plant);

/// The upsampled logits [N, C, H, W].
Values upsample(const UpsampleArgmaxParams& params, const Values& x, Plant plant);

struct EncoderInputs {
  Values x, expand_weight, expand_bias, depthwise_weight, depthwise_bias, reduce_weight, reduce_bias, gate_weight,
      gate_bias, project_weight, project_bias;
};
Values mbconv(const MBConvParams& params, const EncoderInputs& inputs, Plant plant);

}  // namespace hyperseg::plain

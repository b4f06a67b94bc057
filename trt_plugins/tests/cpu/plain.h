#pragma once

#include <vector>

#include "hyperseg/dpw_conv.h"
#include "hyperseg/dpw_inverted_residual.h"
#include "hyperseg/inverted_residual.h"
#include "hyperseg/upsample_argmax.h"

/// The operators in double precision, one output value at a time.
namespace hyperseg::plain {

using Values = std::vector<double>;

/// Value of the composed, reflect-padded level input; y and x may lie outside the image.
double level_value(const LevelInput& input, const Values& x, const Values& previous, int n, int c, int row, int column);

Values dpw_conv(const DPWConvParams& params, const Values& x, const Values& theta, const Values& bias,
                const Values& previous);

struct ResidualInputs {
  Values x, theta, bias1, bias2, bias3, previous;
};
Values dpw_inverted_residual(const DPWInvertedResidualParams& params, const ResidualInputs& inputs);

/// The upsampled logits [N, C, h * scale, w * scale].
Values upsample(const UpsampleArgmaxParams& params, const Values& x);

struct EncoderInputs {
  Values x, expand_weight, expand_bias, depthwise_weight, depthwise_bias, reduce_weight, reduce_bias, gate_weight,
      gate_bias, project_weight, project_bias;
};
Values inverted_residual(const InvertedResidualParams& params, const EncoderInputs& inputs);

}  // namespace hyperseg::plain

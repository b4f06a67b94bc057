#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cpu/kernels.h"
#include "kernel_test.h"
#include "operators.h"

namespace hyperseg::test {
namespace {

/// The mistakes that a patch-wise operator can have.
std::vector<Plant> concerns(const Level& level, bool pads) {
  std::vector<Plant> plants{Plant::kWeight};
  if (pads) plants.push_back(Plant::kHalo);
  if (!level.previous.absent()) plants.push_back(Plant::kPhase);
  return plants;
}

std::string text(const Level& level) {
  return "X " + level.x.text() + " previous " + level.previous.text();
}

template <typename T>
void test_dpw_conv(Random& random, Judge& judge) {
  DPWConvAttributes attributes;
  attributes.kernel_height = attributes.kernel_width = 2 * random.between(0, 2) * random.between(0, 1) + 1;
  attributes.group = random.chance() ? random.between(1, 4) : 1;
  attributes.activation = static_cast<Activation>(random.between(0, 2));
  const int in_group = random.between(1, random.chance() ? 40 : 6);
  const int out = attributes.group * random.between(1, random.chance() ? 20 : 3);
  const Level level = draw_level(random, in_group * attributes.group, attributes.kernel_height / 2 + 1);
  const int fan_in = in_group * attributes.kernel_height * attributes.kernel_width;
  const Weights weights = draw_weights(random, level, out * fan_in, fan_in);
  attributes.offset = weights.offset;
  attributes.coordinates = level.coordinates;
  const Values bias = random.normal(out, 1.0);
  DPWConvParams params;
  require(validate(attributes, level.x, weights.shape, Shape{out}, level.previous, &params));

  const Mistake mistake = draw_mistake(random, weights, params.theta, params.weights());
  const auto reference = [&](Plant plant) {
    return plain::dpw_conv(params, level.x_values, mistake.in(weights.values, plant), bias, level.previous_values,
                           plant);
  };
  std::vector<T> y(level.x[0] * out * level.x[2] * level.x[3]);
  const auto previous = tensor<T>(level.previous_values);
  cpu::dpw_conv(params, tensor<T>(level.x_values).data(), tensor<T>(weights.values).data(), tensor<T>(bias).data(),
                pointer(previous), y.data(), ThreadWorkers());
  judge.values({"DPWConv", text(level) + " theta " + weights.shape.text() + " kernel " + std::to_string(params.kernel),
                concerns(level, params.kernel > 1), reference},
               y);
}

/// Compares with the DPWConv on the weights that the mapper computes.
void test_mapped_dpw_conv(Random& random, Judge& judge) {
  DPWConvAttributes attributes;
  attributes.activation = static_cast<Activation>(random.between(0, 2));
  const int in = random.between(1, random.chance() ? 40 : 6), out = random.between(1, 20);
  const Level level = draw_level(random, in, 1);
  const Shape theta = draw_weights(random, level, out * in, in).shape;
  attributes.offset = random.between(0, static_cast<int>(theta[1] * theta[4]) - out * in);
  attributes.coordinates = level.coordinates;
  const int pieces = static_cast<int>(theta[1]), length = random.between(1, 9), weights = static_cast<int>(theta[4]);
  const Shape signal{theta[0], pieces * length, theta[2], theta[3]}, mapper{pieces, length, weights};
  const Values bias = random.chance() ? random.normal(out, 1.0) : Values{};
  const Shape bias_shape = bias.empty() ? Shape{} : Shape{out};
  FusedMapperDPWConvParams params;
  require(validate(attributes, level.x, signal, mapper, bias_shape, level.previous, &params));
  const Values signal_values = random.normal(signal[0] * signal[1] * signal[2] * signal[3], 1.0 / std::sqrt(length));
  const Values mapper_values = random.normal(pieces * length * weights, 1.0 / std::sqrt(in));

  const int used = attributes.offset + random.between(0, out * in - 1);
  const int row = used / weights * length + random.between(0, length - 1);
  const Mistake mistake(static_cast<std::size_t>(row) * weights + used % weights, 1.0 / std::sqrt(in));
  const int patches = static_cast<int>(theta[2] * theta[3]);
  const auto reference = [&](Plant plant) {
    const Values map = mistake.in(mapper_values, plant);
    Values made;
    for (int t = 0; t < theta[0] * pieces; ++t) {
      for (int patch = 0; patch < patches; ++patch) {
        for (int w = 0; w < weights; ++w) {
          // Not rounded: kernels multiply the input by the mapper first, and sum the products in another order.
          plain::Inexact sum;
          for (int k = 0; k < length; ++k) {
            sum += signal_values[(t * length + k) * patches + patch] * map[((t % pieces) * length + k) * weights + w];
          }
          made.push_back(sum);
        }
      }
    }
    return plain::dpw_conv(params.conv, level.x_values, made, bias, level.previous_values, plant);
  };

  std::vector<float> y(level.x[0] * params.conv.out_channels * level.x[2] * level.x[3]);
  const auto x = tensor<float>(level.x_values), s = tensor<float>(signal_values), m = tensor<float>(mapper_values);
  const auto b = tensor<float>(bias), previous = tensor<float>(level.previous_values);
  cpu::fused_mapper_dpw_conv(params, {x.data(), s.data(), m.data(), pointer(b), pointer(previous)}, y.data(),
                             ThreadWorkers());
  judge.values({"FusedMapperDPWConv", text(level) + " signal " + signal.text() + " mapper " + mapper.text(),
                concerns(level, false), reference},
               y);
}

/// A decoder block of random extents.
struct Block {
  int hidden, out;
  Level level;
  Weights weights;
  DPWInvertedResidualParams params;
  plain::ResidualInputs inputs;

  Block(Random& random, int in, int hidden_channels, int out_channels)
      : hidden(hidden_channels), out(out_channels), level(draw_level(random, in, 2)) {
    weights = draw_weights(random, level, hidden * (in + 9 + out), in);
    DPWInvertedResidualAttributes attributes;
    attributes.offset = weights.offset;
    attributes.coordinates = level.coordinates;
    inputs = {level.x_values,          weights.values,       random.normal(hidden, 1.0), random.normal(hidden, 1.0),
              random.normal(out, 1.0), level.previous_values};
    require(validate(attributes, level.x, weights.shape, Shape{hidden}, Shape{hidden}, Shape{out}, level.previous,
                     &params));
  }

  template <typename T, typename Kernel>
  std::vector<T> run(const Kernel& kernel) const {
    std::vector<T> y(level.x[0] * out * level.x[2] * level.x[3]);
    const auto x = tensor<T>(inputs.x), theta = tensor<T>(inputs.theta), previous = tensor<T>(inputs.previous);
    const auto bias1 = tensor<T>(inputs.bias1), bias2 = tensor<T>(inputs.bias2), bias3 = tensor<T>(inputs.bias3);
    const cpu::DPWInvertedResidualInputs<T> pointers{x.data(),     theta.data(), bias1.data(),
                                                     bias2.data(), bias3.data(), pointer(previous)};
    kernel(pointers, y.data());
    return y;
  }

  std::string shapes() const {
    return text(level) + " theta " + weights.shape.text() + " hidden " + std::to_string(hidden) + " out " +
           std::to_string(out);
  }
};

template <typename T>
void test_dpw_inverted_residual(Random& random, Judge& judge) {
  const int in = random.between(1, random.chance() ? 30 : 6);
  const int hidden = random.between(1, random.chance() ? 50 : 6);
  const Block block(random, in, hidden, random.chance() ? in : random.between(1, 20));
  const Mistake mistake = draw_mistake(random, block.weights, block.params.theta, block.params.weights());
  const auto reference = [&](Plant plant) {
    plain::ResidualInputs inputs = block.inputs;
    inputs.theta = mistake.in(inputs.theta, plant);
    return plain::dpw_inverted_residual(block.params, inputs, plant);
  };
  const auto y = block.run<T>([&](const cpu::DPWInvertedResidualInputs<T>& inputs, T* out) {
    cpu::dpw_inverted_residual(block.params, inputs, out, ThreadWorkers());
  });
  judge.values({"DPWInvertedResidual", block.shapes(), concerns(block.level, true), reference}, y);
}

/// The three DPWConvs that a DPWMetaBlock replaces.
Values three_convolutions(const Block& block, const Values& theta, Plant plant) {
  const Level& level = block.level;
  Values y = level.x_values;
  const auto convolve = [&](int kernel, int channels, const Values& bias, int offset, Activation activation) {
    DPWConvAttributes convolution;
    convolution.kernel_height = convolution.kernel_width = kernel;
    convolution.group = kernel == 3 ? channels : 1;
    convolution.activation = activation;
    convolution.offset = block.weights.offset + offset;
    const bool first = offset == 0;
    convolution.coordinates = first && level.coordinates;
    const Shape x = first ? level.x : Shape{level.x[0], channels, level.x[2], level.x[3]};
    DPWConvParams one;
    require(validate(convolution, x, block.weights.shape, Shape{static_cast<std::int64_t>(bias.size())},
                     first ? level.previous : Shape{}, &one));
    y = plain::dpw_conv(one, y, theta, bias, first ? level.previous_values : Values{}, plant);
  };
  convolve(1, block.params.in_channels(), block.inputs.bias1, 0, Activation::kRelu6);
  convolve(3, block.hidden, block.inputs.bias2, block.params.depthwise_begin(), Activation::kRelu6);
  convolve(1, block.hidden, block.inputs.bias3, block.params.project_begin(), Activation::kNone);
  return y;
}

void test_dpw_meta_block(Random& random, Judge& judge) {
  const int in = random.between(1, 12), hidden = random.between(1, 20), out = random.between(1, 20);
  const Block block(random, in, hidden, out);
  const Mistake mistake = draw_mistake(random, block.weights, block.params.theta, block.params.weights());
  const auto reference = [&](Plant plant) {
    return three_convolutions(block, mistake.in(block.inputs.theta, plant), plant);
  };
  const auto y = block.run<float>([&](const cpu::DPWInvertedResidualInputs<float>& inputs, float* result) {
    cpu::dpw_meta_block(block.params, inputs, result, ThreadWorkers());
  });
  judge.values({"DPWMetaBlock", block.shapes(), concerns(block.level, true), reference}, y);
}

template <typename T>
void test_upsample_argmax(Random& random, Judge& judge) {
  const Shape shape{random.between(1, 2), random.between(1, 25), random.between(1, 9), random.between(1, 70)};
  UpsampleArgmaxParams params;
  require(validate(UpsampleArgmaxAttributes{random.between(1, 5)}, shape, &params));
  Values x = random.normal(shape[0] * shape[1] * shape[2] * shape[3], 1.0);
  // Equal operands make equal logits: sometimes the last channel equals the first, and must never win.
  const bool twin = random.chance() && params.channels > 1;
  const std::size_t plane = static_cast<std::size_t>(params.height) * params.width;
  for (int n = 0; twin && n < params.batch; ++n) {
    const auto first = x.begin() + n * params.channels * plane;
    std::copy_n(first, plane, first + (params.channels - 1) * plane);
  }
  std::vector<std::int32_t> labels(static_cast<std::size_t>(params.batch) * params.out_height() * params.out_width());
  cpu::upsample_argmax(params, tensor<T>(x).data(), labels.data(), ThreadWorkers());
  const Subject subject{sizeof(T) == 2 ? "UpsampleArgmax float16" : "UpsampleArgmax",
                        "X " + shape.text() + " scale " + std::to_string(params.scale),
                        {Plant::kPhase},
                        [&](Plant plant) { return plain::upsample(params, x, plant); }};
  const int largest = params.channels - (twin ? 2 : 1);
  for (std::int32_t label : labels) {
    if (label < 0 || label > largest) {
      fail(judge.target() + " " + subject.operation + " " + subject.shapes + ": label " + std::to_string(label) +
           ", expected 0 to " + std::to_string(largest));
    }
  }
  judge.labels(subject, params, labels);
}

/// A target of any size, from all of X or from a window that may begin before it and end behind it.
UpsampleArgmaxTarget draw_target(Random& random, const Shape& x) {
  const int height = static_cast<int>(x[2]), width = static_cast<int>(x[3]);
  UpsampleArgmaxTarget target{random.between(1, 3 * height + 5), random.between(1, 3 * width + 5)};
  target.height = height;
  target.width = width;
  if (random.chance()) {
    target.top = random.between(-16, 16 * height - 1) / 16.0;
    target.left = random.between(-16, 16 * width - 1) / 16.0;
    target.height = random.between(17, 16 * height + 16) / 16.0;
    target.width = random.between(17, 16 * width + 16) / 16.0;
  }
  return target;
}

template <typename T>
void test_upsample_labels(Random& random, Judge& judge) {
  const Shape shape{random.between(1, 2), random.between(1, 25), random.between(1, 20), random.between(1, 70)};
  const UpsampleArgmaxTarget target = draw_target(random, shape);
  UpsampleArgmaxParams params;
  require(validate(target, shape, &params));
  // Blocks of equal pixels, mostly: between them are cells that one channel fills.
  Values x = random.normal(shape[0] * shape[1] * shape[2] * shape[3], 1.0);
  const int block = random.between(1, 9);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t column = i % params.width, row = i / params.width % params.height;
    x[i] = x[i - column % block - row % block * params.width];
  }
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(params.batch) * params.out_height() * params.out_width());
  cpu::upsample_labels(params, random.between(1, std::min(params.out_height(), 5)), tensor<T>(x).data(), labels.data(),
                       ThreadWorkers());
  const Subject subject{sizeof(T) == 2 ? "labels float16" : "labels",
                        "X " + shape.text() + " labels " + params.output().text() + " from " +
                            std::to_string(target.top) + ", " + std::to_string(target.left) + " of " +
                            std::to_string(target.height) + " x " + std::to_string(target.width),
                        {Plant::kPhase},
                        [&](Plant plant) { return plain::upsample(params, x, plant); }};
  judge.labels(subject, params, {labels.begin(), labels.end()});
}

template <typename T>
void test_both_types(Random& random, Judge& judge) {
  test_dpw_conv<T>(random, judge);
  test_dpw_inverted_residual<T>(random, judge);
  test_upsample_argmax<T>(random, judge);
  test_upsample_labels<T>(random, judge);
}

}  // namespace

void test_decoder_operators(Random& random, Judge& judge) {
  test_both_types<float>(random, judge);
  test_both_types<cpu::Half>(random, judge);
  test_mapped_dpw_conv(random, judge);
  test_dpw_meta_block(random, judge);
}

}  // namespace hyperseg::test

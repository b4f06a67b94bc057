// Random shapes through the CPU kernels, on every SIMD target of this processor and on several threads, against the
// plain reference. Usage: hyperseg_cpu_test [shapes per target and operator] [seed]

#include "cpu/targets.h"
//
#include <hwy/highway.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpu/kernels.h"
#include "plain.h"

namespace {

using namespace hyperseg;
using plain::Values;

/// Threads that take the next task until none is left.
class ThreadWorkers final : public cpu::Workers {
 public:
  void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const override {
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < tasks; i = next++) task(i);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
  }
};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool chance() { return between(0, 1) == 1; }
  Values normal(std::size_t count, double size) {
    std::normal_distribution<double> distribution(0.0, size);
    Values values(count);
    // Multiples of 1/64 below 16, which both storage types hold exactly.
    for (double& value : values) value = std::round(std::clamp(distribution(engine_), -15.0, 15.0) * 64) / 64;
    return values;
  }

 private:
  std::mt19937 engine_;
};

template <typename T>
T stored(double value);
template <>
float stored<float>(double value) {
  return static_cast<float>(value);
}
// Exact for the multiples of 1/64 that the test draws.
template <>
cpu::Half stored<cpu::Half>(double value) {
  if (value == 0.0) return {0};
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  const std::uint32_t exponent = ((bits >> 23) & 0xff) - 127 + 15;
  return {static_cast<std::uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff))};
}

double loaded(float value) {
  return value;
}
double loaded(cpu::Half half) {
  const int exponent = half.bits >> 10 & 0x1f;
  const double fraction = half.bits & 0x3ff;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half.bits & 0x8000 ? -size : size;
}

/// A heap block of exactly the tensor's size, so that the address sanitizer sees every overrun.
template <typename T>
std::vector<T> tensor(const Values& values) {
  std::vector<T> result;
  result.reserve(values.size());
  for (double value : values) result.push_back(stored<T>(value));
  return result;
}

template <typename T>
const T* pointer(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

void require(const Error& error) {
  if (!error.empty()) fail("a valid shape was refused: " + error);
}

/// float16 results carry 2^-11 of their own size; float32 sums here have some hundred terms.
template <typename T>
void compare(const std::string& what, const Values& expected, const std::vector<T>& actual) {
  const double tolerance = sizeof(T) == 2 ? 2e-3 : 2e-5;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(expected[i] - loaded(actual[i]));
    if (!(difference <= tolerance * (1.0 + std::abs(expected[i])))) {
      fail(what + ": value " + std::to_string(i) + " is " + std::to_string(loaded(actual[i])) + ", expected " +
           std::to_string(expected[i]));
    }
  }
}

struct Level {
  Shape x, previous;
  int rows, columns;
  bool coordinates;
  int channels;
  Values x_values, previous_values;
};

Level draw_level(Random& random, int in_channels, int smallest) {
  Level level;
  level.coordinates = random.chance() && in_channels > 3;
  const bool upsampled = random.chance() && in_channels > 4;
  const int previous = upsampled ? random.between(1, in_channels - 3) : 0;
  const int x_channels = in_channels - previous - (level.coordinates ? 2 : 0);
  const int batch = random.between(1, 2);
  const int even = upsampled ? 2 : 1;
  int patch_height, patch_width;
  do {
    level.rows = random.between(1, 4);
    level.columns = random.between(1, 4);
    patch_height = random.between(1, random.chance() ? 4 : 20);
    patch_width = random.between(1, random.chance() ? 4 : 40);
  } while (level.rows * patch_height < smallest || level.columns * patch_width < smallest ||
           level.rows * patch_height % even != 0 || level.columns * patch_width % even != 0);
  const int height = level.rows * patch_height, width = level.columns * patch_width;
  level.x = Shape{batch, x_channels, height, width};
  level.x_values = random.normal(static_cast<std::size_t>(batch) * x_channels * height * width, 1.0);
  if (upsampled) {
    level.previous = Shape{batch, previous, height / 2, width / 2};
    level.previous_values = random.normal(static_cast<std::size_t>(batch) * previous * (height / 2) * (width / 2), 1.0);
  }
  level.channels = in_channels;
  return level;
}

struct Weights {
  Shape shape;
  int offset;
  Values values;
};

Weights draw_weights(Random& random, const Level& level, int count, int fan_in) {
  Weights weights;
  weights.offset = random.chance() ? random.between(0, 20) : 0;
  const int pieces = random.between(1, 9);
  const int length = (weights.offset + count + random.between(0, 5) + pieces - 1) / pieces;
  weights.shape = Shape{level.x[0], pieces, level.rows, level.columns, length};
  weights.values = random.normal(level.x[0] * pieces * level.rows * level.columns * length, 1.0 / std::sqrt(fan_in));
  return weights;
}

template <typename T>
void test_dpw_conv(Random& random, const std::string& target) {
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

  const Values expected = plain::dpw_conv(params, level.x_values, weights.values, bias, level.previous_values);
  std::vector<T> y(expected.size());
  const auto previous = tensor<T>(level.previous_values);
  cpu::dpw_conv(params, tensor<T>(level.x_values).data(), tensor<T>(weights.values).data(), tensor<T>(bias).data(),
                pointer(previous), y.data(), ThreadWorkers());
  compare(target + " DPWConv X " + level.x.text() + " previous " + level.previous.text() + " theta " +
              weights.shape.text() + " kernel " + std::to_string(params.kernel),
          expected, y);
}

/// Against the DPWConv with the weights that the mapper makes.
void test_mapped_dpw_conv(Random& random, const std::string& target) {
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
  MappedDPWConvParams params;
  require(validate(attributes, level.x, signal, mapper, bias_shape, level.previous, &params));
  const Values signal_values = random.normal(signal[0] * signal[1] * signal[2] * signal[3], 1.0 / std::sqrt(length));
  const Values mapper_values = random.normal(pieces * length * weights, 1.0 / std::sqrt(in));
  const int patches = static_cast<int>(theta[2] * theta[3]);
  Values made;
  for (int t = 0; t < theta[0] * pieces; ++t) {
    for (int patch = 0; patch < patches; ++patch) {
      for (int w = 0; w < weights; ++w) {
        double sum = 0.0;
        for (int k = 0; k < length; ++k) {
          sum += signal_values[(t * length + k) * patches + patch] *
                 mapper_values[((t % pieces) * length + k) * weights + w];
        }
        made.push_back(sum);
      }
    }
  }

  const Values expected = plain::dpw_conv(params.conv, level.x_values, made, bias, level.previous_values);
  std::vector<float> y(expected.size());
  const auto x = tensor<float>(level.x_values), s = tensor<float>(signal_values), m = tensor<float>(mapper_values);
  const auto b = tensor<float>(bias), previous = tensor<float>(level.previous_values);
  cpu::mapped_dpw_conv(params, {x.data(), s.data(), m.data(), pointer(b), pointer(previous)}, y.data(),
                       ThreadWorkers());
  compare(target + " MappedDPWConv X " + level.x.text() + " previous " + level.previous.text() + " signal " +
              signal.text() + " mapper " + mapper.text(),
          expected, y);
}

template <typename T>
void test_dpw_inverted_residual(Random& random, const std::string& target) {
  const int in = random.between(1, random.chance() ? 30 : 6);
  const int hidden = random.between(1, random.chance() ? 50 : 6);
  const int out = random.chance() ? in : random.between(1, 20);
  const Level level = draw_level(random, in, 2);
  const Weights weights = draw_weights(random, level, hidden * (in + 9 + out), in);
  DPWInvertedResidualAttributes attributes;
  attributes.offset = weights.offset;
  attributes.coordinates = level.coordinates;
  const plain::ResidualInputs inputs{
      level.x_values,          weights.values,       random.normal(hidden, 1.0), random.normal(hidden, 1.0),
      random.normal(out, 1.0), level.previous_values};
  DPWInvertedResidualParams params;
  require(
      validate(attributes, level.x, weights.shape, Shape{hidden}, Shape{hidden}, Shape{out}, level.previous, &params));

  const Values expected = plain::dpw_inverted_residual(params, inputs);
  std::vector<T> y(expected.size());
  const auto x = tensor<T>(inputs.x), theta = tensor<T>(inputs.theta), previous = tensor<T>(inputs.previous);
  const auto bias1 = tensor<T>(inputs.bias1), bias2 = tensor<T>(inputs.bias2), bias3 = tensor<T>(inputs.bias3);
  const cpu::InvertedResidualInputs<T> pointers{x.data(),     theta.data(), bias1.data(),
                                                bias2.data(), bias3.data(), pointer(previous)};
  cpu::dpw_inverted_residual(params, pointers, y.data(), ThreadWorkers());
  compare(target + " DPWInvertedResidual X " + level.x.text() + " previous " + level.previous.text() + " theta " +
              weights.shape.text() + " hidden " + std::to_string(hidden) + " out " + std::to_string(out),
          expected, y);
}

/// Against the three DPWConvs that it stands for.
void test_dpw_meta_block(Random& random, const std::string& target) {
  const int in = random.between(1, 12), hidden = random.between(1, 20), out = random.between(1, 20);
  const Level level = draw_level(random, in, 2);
  const Weights weights = draw_weights(random, level, hidden * (in + 9 + out), in);
  DPWInvertedResidualAttributes attributes;
  attributes.offset = weights.offset;
  attributes.coordinates = level.coordinates;
  DPWInvertedResidualParams params;
  require(
      validate(attributes, level.x, weights.shape, Shape{hidden}, Shape{hidden}, Shape{out}, level.previous, &params));
  const Values bias1 = random.normal(hidden, 1.0), bias2 = random.normal(hidden, 1.0), bias3 = random.normal(out, 1.0);

  Values expected = level.x_values;
  const auto convolve = [&](int kernel, int channels, const Values& bias, int offset, Activation activation) {
    DPWConvAttributes convolution;
    convolution.kernel_height = convolution.kernel_width = kernel;
    convolution.group = kernel == 3 ? channels : 1;
    convolution.activation = activation;
    convolution.offset = weights.offset + offset;
    const bool first = offset == 0;
    convolution.coordinates = first && level.coordinates;
    const Shape x = first ? level.x : Shape{level.x[0], channels, level.x[2], level.x[3]};
    DPWConvParams one;
    require(validate(convolution, x, weights.shape, Shape{static_cast<std::int64_t>(bias.size())},
                     first ? level.previous : Shape{}, &one));
    expected = plain::dpw_conv(one, expected, weights.values, bias, first ? level.previous_values : Values{});
  };
  convolve(1, in, bias1, 0, Activation::kRelu6);
  convolve(3, hidden, bias2, params.depthwise_begin(), Activation::kRelu6);
  convolve(1, hidden, bias3, params.project_begin(), Activation::kNone);

  std::vector<float> y(expected.size());
  const auto x = tensor<float>(level.x_values), theta = tensor<float>(weights.values);
  const auto previous = tensor<float>(level.previous_values);
  const auto b1 = tensor<float>(bias1), b2 = tensor<float>(bias2), b3 = tensor<float>(bias3);
  cpu::dpw_meta_block(params, {x.data(), theta.data(), b1.data(), b2.data(), b3.data(), pointer(previous)}, y.data(),
                      ThreadWorkers());
  compare(target + " DPWMetaBlock X " + level.x.text() + " previous " + level.previous.text() + " theta " +
              weights.shape.text() + " hidden " + std::to_string(hidden) + " out " + std::to_string(out),
          expected, y);
}

template <typename T>
void test_upsample_argmax(Random& random, const std::string& target) {
  const Shape shape{random.between(1, 2), random.between(1, 25), random.between(1, 9), random.between(1, 70)};
  UpsampleArgmaxParams params;
  require(validate(UpsampleArgmaxAttributes{random.between(1, 5)}, shape, &params));
  const Values x = random.normal(shape[0] * shape[1] * shape[2] * shape[3], 1.0);
  const Values logits = plain::upsample(params, x);
  const std::size_t plane = static_cast<std::size_t>(params.out_height()) * params.out_width();
  std::vector<std::int32_t> labels(params.batch * plane);
  cpu::upsample_argmax(params, tensor<T>(x).data(), labels.data(), ThreadWorkers());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double* pixel = logits.data() + i / plane * params.channels * plane + i % plane;
    if (labels[i] < 0 || labels[i] >= params.channels) fail(target + " UpsampleArgmax: a label is no channel");
    for (int c = 0; c < params.channels; ++c) {
      const double margin = pixel[c * plane] - pixel[labels[i] * plane];
      // Equal logits interpolate to equal values only with equal operands; else rounding decides, within 1e-5.
      if (margin > 1e-5) {
        fail(target + " UpsampleArgmax X " + shape.text() + " scale " + std::to_string(params.scale) + ": label " +
             std::to_string(labels[i]) + " at " + std::to_string(i) + " is smaller than channel " + std::to_string(c));
      }
    }
  }
}

void test_inverted_residual(Random& random, const std::string& target) {
  InvertedResidualAttributes attributes;
  const int kernel = random.chance() ? 3 : 5, stride = random.between(1, 2);
  attributes.kernel_height = attributes.kernel_width = kernel;
  attributes.stride_height = attributes.stride_width = stride;
  attributes.pad_top = random.between(0, kernel - 1);
  attributes.pad_left = random.between(0, kernel - 1);
  attributes.pad_bottom = random.between(0, kernel - 1);
  attributes.pad_right = random.between(0, kernel - 1);
  attributes.residual = stride == 1 && attributes.pad_top + attributes.pad_bottom == kernel - 1 &&
                        attributes.pad_left + attributes.pad_right == kernel - 1 && random.chance();
  const bool expands = random.chance();
  const int in = random.between(1, 30), hidden = expands ? random.between(1, 50) : in;
  const int squeezed = random.between(1, 9), out = attributes.residual ? in : random.between(1, 40);
  // Now and then a map wide and high enough to be cut into strips.
  const bool large = random.between(0, 9) == 0;
  const Shape x{random.between(1, 2), in, random.between(kernel, large ? 70 : 20),
                random.between(kernel, large ? 500 : 40)};
  const Shape none;
  InvertedResidualParams params;
  require(validate(attributes,
                   {x, expands ? Shape{hidden, in, 1, 1} : none, expands ? Shape{hidden} : none,
                    Shape{hidden, 1, kernel, kernel}, Shape{hidden}, Shape{squeezed, hidden, 1, 1}, Shape{squeezed},
                    Shape{hidden, squeezed, 1, 1}, Shape{hidden}, Shape{out, hidden, 1, 1}, Shape{out}},
                   &params));
  const auto weights = [&](int rows, int columns) { return random.normal(rows * columns, 1.0 / std::sqrt(columns)); };
  plain::EncoderInputs inputs{};
  inputs.x = random.normal(x[0] * x[1] * x[2] * x[3], 1.0);
  if (expands) inputs.expand_weight = weights(hidden, in), inputs.expand_bias = random.normal(hidden, 1.0);
  inputs.depthwise_weight = weights(hidden, kernel * kernel);
  inputs.depthwise_bias = random.normal(hidden, 1.0);
  inputs.reduce_weight = weights(squeezed, hidden);
  inputs.reduce_bias = random.normal(squeezed, 1.0);
  inputs.gate_weight = weights(hidden, squeezed);
  inputs.gate_bias = random.normal(hidden, 1.0);
  inputs.project_weight = weights(out, hidden);
  inputs.project_bias = random.normal(out, 1.0);

  const Values expected = plain::inverted_residual(params, inputs);
  const Values* const all[] = {&inputs.x,
                               &inputs.expand_weight,
                               &inputs.expand_bias,
                               &inputs.depthwise_weight,
                               &inputs.depthwise_bias,
                               &inputs.reduce_weight,
                               &inputs.reduce_bias,
                               &inputs.gate_weight,
                               &inputs.gate_bias,
                               &inputs.project_weight,
                               &inputs.project_bias};
  std::vector<std::vector<float>> tensors;
  for (const Values* values : all) tensors.push_back(tensor<float>(*values));
  const auto data = [&](int input) { return pointer(tensors[input]); };
  std::vector<float> y(expected.size()), working(cpu::working_floats(params));
  cpu::inverted_residual(
      params, {data(0), data(1), data(2), data(3), data(4), data(5), data(6), data(7), data(8), data(9), data(10)},
      working.data(), y.data(), ThreadWorkers());
  std::string what = target;
  what.append(" InvertedResidual X ").append(x.text()).append(" kernel ").append(std::to_string(kernel));
  what.append(" stride ").append(std::to_string(stride));
  compare(what, expected, y);
}

template <typename T>
void test_all(int shapes, Random& random, const std::string& target) {
  for (int i = 0; i < shapes; ++i) {
    test_dpw_conv<T>(random, target);
    test_dpw_inverted_residual<T>(random, target);
    test_upsample_argmax<T>(random, target);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int shapes = argc > 1 ? std::atoi(argv[1]) : 15;
  const unsigned seed = argc > 2 ? std::atoi(argv[2]) : std::random_device{}();
  std::printf("%d shapes, seed %u\n", shapes, seed);
  Random random(seed);
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    const std::string name = hwy::TargetName(target);
    test_all<float>(shapes, random, name);
    test_all<cpu::Half>(shapes, random, name);
    for (int i = 0; i < shapes; ++i) {
      test_mapped_dpw_conv(random, name);
      test_dpw_meta_block(random, name);
      test_inverted_residual(random, name);
    }
    std::printf("%s: passed\n", name.c_str());
  }
  return 0;
}

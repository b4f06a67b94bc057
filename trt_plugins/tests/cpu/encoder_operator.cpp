#include <cmath>
#include <string>
#include <vector>

#include "cpu/kernels.h"
#include "kernel_test.h"
#include "operators.h"

namespace hyperseg::test {

void test_encoder_operator(Random& random, Judge& judge) {
  MBConvAttributes attributes;
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
  MBConvParams params;
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

  const std::vector<Values*> all{&inputs.x,
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
  std::vector<float> y(static_cast<std::size_t>(params.batch) * out * params.out_height * params.out_width);
  std::vector<float> working(cpu::working_floats(params));
  cpu::mbconv(params,
              {data(0), data(1), data(2), data(3), data(4), data(5), data(6), data(7), data(8), data(9), data(10)},
              working.data(), y.data(), ThreadWorkers());

  // In a weight of any of the five convolutions. Those of the gates multiply means, which are small: a hundredth would
  // be lost in the rounding of what the gates multiply.
  const int which = (expands ? 1 : 3) + 2 * random.between(0, expands ? 4 : 3);
  const int fan_ins[] = {in, kernel * kernel, hidden, squeezed, hidden};
  const bool gates = which == 5 || which == 7;
  const Mistake mistake(random.between(0, static_cast<int>(all[which]->size()) - 1),
                        (gates ? 10.0 : 1.0) / std::sqrt(fan_ins[which / 2]));
  const auto reference = [&](Plant plant) {
    const Values whole = *all[which];
    *all[which] = mistake.in(whole, plant);
    const Values result = plain::mbconv(params, inputs, plant);
    *all[which] = whole;
    return result;
  };
  judge.values({"MBConv",
                "X " + x.text() + " kernel " + std::to_string(kernel) + " stride " + std::to_string(stride) +
                    " hidden " + std::to_string(hidden) + (expands ? " expands" : ""),
                {Plant::kWeight, Plant::kHalo},
                reference},
               y);
}

}  // namespace hyperseg::test

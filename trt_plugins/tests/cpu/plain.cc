#include "plain.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace hyperseg::plain {
namespace {

std::size_t at(int n, int c, int row, int column, int channels, int height, int width) {
  return ((static_cast<std::size_t>(n) * channels + c) * height + row) * width + column;
}

struct Line {
  int low;
  int high;
  double weight;
};

Line line(int i, int extent, int scale) {
  const double position = std::max((i + 0.5) / scale - 0.5, 0.0);
  const int low = static_cast<int>(position);
  return {low, std::min(low + 1, extent - 1), position - low};
}

double bilinear(const double* plane, int height, int width, int row, int column, int scale) {
  const Line y = line(row, height, scale);
  const Line x = line(column, width, scale);
  const auto across = [&](int r) {
    return (1 - x.weight) * plane[r * width + x.low] + x.weight * plane[r * width + x.high];
  };
  return (1 - y.weight) * across(y.low) + y.weight * across(y.high);
}

double clamp6(double value) {
  return std::clamp(value, 0.0, 6.0);
}

}  // namespace

double level_value(const LevelInput& input, const Values& x, const Values& previous, int n, int c, int row,
                   int column) {
  row = reflect(row, input.height);
  column = reflect(column, input.width);
  if (input.coordinates) {
    if (c == 0) return input.width == 1 ? -1.0 : -1.0 + 2.0 * column / (input.width - 1);
    if (c == 1) return input.height == 1 ? -1.0 : -1.0 + 2.0 * row / (input.height - 1);
    c -= 2;
  }
  if (c < input.x_channels) return x[at(n, c, row, column, input.x_channels, input.height, input.width)];
  c -= input.x_channels;
  const int height = input.height / 2, width = input.width / 2;
  return bilinear(previous.data() + at(n, c, 0, 0, input.previous_channels, height, width), height, width, row, column,
                  2);
}

Values dpw_conv(const DPWConvParams& p, const Values& x, const Values& theta, const Values& bias,
                const Values& previous) {
  Values y;
  const int in_group = p.in_channels() / p.group;
  const int out_group = p.out_channels / p.group;
  for (int n = 0; n < p.input.batch; ++n) {
    for (int m = 0; m < p.out_channels; ++m) {
      for (int row = 0; row < p.input.height; ++row) {
        for (int column = 0; column < p.input.width; ++column) {
          double sum = p.has_bias ? bias[m] : 0.0;
          int k = m * in_group * p.kernel * p.kernel;
          for (int c = m / out_group * in_group; c < (m / out_group + 1) * in_group; ++c) {
            for (int u = -p.kernel / 2; u <= p.kernel / 2; ++u) {
              for (int v = -p.kernel / 2; v <= p.kernel / 2; ++v, ++k) {
                sum += theta[p.theta.index(n, row / p.patch_height(), column / p.patch_width(), k)] *
                       level_value(p.input, x, previous, n, c, row + u, column + v);
              }
            }
          }
          if (p.activation != Activation::kNone) sum = std::max(sum, 0.0);
          if (p.activation == Activation::kRelu6) sum = std::min(sum, 6.0);
          y.push_back(sum);
        }
      }
    }
  }
  return y;
}

Values dpw_inverted_residual(const DPWInvertedResidualParams& p, const ResidualInputs& inputs) {
  const int in = p.in_channels();
  Values y(static_cast<std::size_t>(p.input.batch) * p.out_channels * p.input.height * p.input.width);
  const auto value = [&](int n, int c, int row, int column) {
    return level_value(p.input, inputs.x, inputs.previous, n, c, row, column);
  };
  for (int n = 0; n < p.input.batch; ++n) {
    for (int row = 0; row < p.input.height; ++row) {
      for (int column = 0; column < p.input.width; ++column) {
        const auto weight = [&](int k) {
          return inputs.theta[p.theta.index(n, row / p.patch_height(), column / p.patch_width(), k)];
        };
        Values filtered;
        for (int c = 0; c < p.hidden_channels; ++c) {
          double sum = inputs.bias2[c];
          for (int tap = 0; tap < 9; ++tap) {
            double expanded = inputs.bias1[c];
            for (int k = 0; k < in; ++k) {
              expanded += weight(c * in + k) * value(n, k, row + tap / 3 - 1, column + tap % 3 - 1);
            }
            sum += weight(p.depthwise_begin() + 9 * c + tap) * clamp6(expanded);
          }
          filtered.push_back(clamp6(sum));
        }
        for (int m = 0; m < p.out_channels; ++m) {
          double sum = inputs.bias3[m] + (p.residual() ? value(n, m, row, column) : 0.0);
          for (int c = 0; c < p.hidden_channels; ++c) {
            sum += weight(p.project_begin() + m * p.hidden_channels + c) * filtered[c];
          }
          y[at(n, m, row, column, p.out_channels, p.input.height, p.input.width)] = sum;
        }
      }
    }
  }
  return y;
}

Values upsample(const UpsampleArgmaxParams& p, const Values& x) {
  Values y;
  for (int plane = 0; plane < p.batch * p.channels; ++plane) {
    for (int row = 0; row < p.out_height(); ++row) {
      for (int column = 0; column < p.out_width(); ++column) {
        const double* source = x.data() + static_cast<std::size_t>(plane) * p.height * p.width;
        y.push_back(bilinear(source, p.height, p.width, row, column, p.scale));
      }
    }
  }
  return y;
}

namespace {

double sigmoid(double value) {
  return 1.0 / (1.0 + std::exp(-value));
}

/// A 1x1 convolution: [rows, columns] times [columns, pixels], plus a bias.
Values dense(const Values& weight, const Values& bias, const Values& x, std::size_t pixels) {
  const std::size_t columns = x.size() / pixels;
  Values y(bias.size() * pixels);
  for (std::size_t m = 0; m < bias.size(); ++m) {
    for (std::size_t i = 0; i < pixels; ++i) {
      double sum = bias[m];
      for (std::size_t k = 0; k < columns; ++k) sum += weight[m * columns + k] * x[k * pixels + i];
      y[m * pixels + i] = sum;
    }
  }
  return y;
}

void silu(Values* values) {
  for (double& value : *values) value *= sigmoid(value);
}

Values filtered(const InvertedResidualParams& p, const EncoderInputs& inputs, const Values& h) {
  Values d;
  for (int c = 0; c < p.hidden_channels; ++c) {
    for (int row = 0; row < p.out_height; ++row) {
      for (int column = 0; column < p.out_width; ++column) {
        double sum = inputs.depthwise_bias[c];
        for (int tap = 0; tap < p.kernel * p.kernel; ++tap) {
          const int y = row * p.stride - p.pad_top + tap / p.kernel;
          const int x = column * p.stride - p.pad_left + tap % p.kernel;
          if (y < 0 || y >= p.height || x < 0 || x >= p.width) continue;
          sum += inputs.depthwise_weight[c * p.kernel * p.kernel + tap] * h[at(0, c, y, x, 1, p.height, p.width)];
        }
        d.push_back(sum);
      }
    }
  }
  silu(&d);
  return d;
}

}  // namespace

Values inverted_residual(const InvertedResidualParams& p, const EncoderInputs& inputs) {
  Values result;
  const std::size_t size = inputs.x.size() / p.batch;
  const std::size_t pixels = static_cast<std::size_t>(p.out_height) * p.out_width;
  for (int n = 0; n < p.batch; ++n) {
    const Values x(inputs.x.begin() + n * size, inputs.x.begin() + (n + 1) * size);
    Values h = x;
    if (p.expands) {
      h = dense(inputs.expand_weight, inputs.expand_bias, x, static_cast<std::size_t>(p.height) * p.width);
      silu(&h);
    }
    Values d = filtered(p, inputs, h);
    Values mean(p.hidden_channels);
    for (std::size_t i = 0; i < d.size(); ++i) mean[i / pixels] += d[i] / static_cast<double>(pixels);
    Values squeezed = dense(inputs.reduce_weight, inputs.reduce_bias, mean, 1);
    silu(&squeezed);
    const Values gate = dense(inputs.gate_weight, inputs.gate_bias, squeezed, 1);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] *= sigmoid(gate[i / pixels]);
    Values y = dense(inputs.project_weight, inputs.project_bias, d, pixels);
    for (std::size_t i = 0; p.residual && i < y.size(); ++i) y[i] += x[i];
    result.insert(result.end(), y.begin(), y.end());
  }
  return result;
}

}  // namespace hyperseg::plain

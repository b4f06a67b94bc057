#include "plain.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace hyperseg::plain {
namespace {

std::size_t at(int n, int c, int row, int column, int channels, int height, int width) {
  return ((static_cast<std::size_t>(n) * channels + c) * height + row) * width + column;
}

struct Line {
  int low;
  int high;
  double weight;
  double off;  ///< error of the weight
};

Line line(int i, int extent, int scale, Plant plant) {
  const double shift = plant == Plant::kPhase ? 0.0 : 0.5;
  const double position = std::max((i + shift) / scale - shift, 0.0);
  const int low = static_cast<int>(position);
  // A division, a subtraction and, counted from the next pixel, an addition round numbers of at most position + 1.
  // Scales that are powers of two leave nothing to round. No rounding crosses a pixel: positions are whole, and then
  // exact, or 1 / (2 * scale) away.
  const bool exact = (scale & (scale - 1)) == 0;
  return {low, std::min(low + 1, extent - 1), position - low, exact ? 0.0 : 3.0 * kUnit * (position + 1.0)};
}

Inexact bilinear(const Inexact* plane, const Line& y, const Line& x, int width) {
  const auto across = [&](int r) {
    return blend(plane[r * width + x.low], plane[r * width + x.high], x.weight, x.off);
  };
  return blend(across(y.low), across(y.high), y.weight, y.off);
}

/// Point `i` of `extent` points from -1 to 1: step, product and sum round numbers of at most 1, counted from the nearer
/// end.
Inexact linear(int i, int extent) {
  if (extent == 1) return -1.0;
  return {-1.0 + 2.0 * i / (extent - 1), 3.01 * kUnit};
}

/// The map that a level reads, [N, C_in, H, W].
Values compose(const LevelInput& input, const Values& x, const Values& previous, Plant plant) {
  const int height = input.height / 2, width = input.width / 2;
  Values map;
  for (int n = 0; n < input.batch; ++n) {
    for (int channel = 0; channel < input.channels(); ++channel) {
      const int c = channel - (input.coordinates ? 2 : 0);
      for (int row = 0; row < input.height; ++row) {
        for (int column = 0; column < input.width; ++column) {
          if (c < 0) {
            map.push_back(c == -2 ? linear(column, input.width) : linear(row, input.height));
          } else if (c < input.x_channels) {
            map.push_back(x[at(n, c, row, column, input.x_channels, input.height, input.width)]);
          } else {
            const std::size_t plane = at(n, c - input.x_channels, 0, 0, input.previous_channels, height, width);
            const Line y = line(row, height, 2, plant), across = line(column, width, 2, plant);
            map.push_back(bilinear(previous.data() + plane, y, across, width).rounded());
          }
        }
      }
    }
  }
  return map;
}

/// Mirrors an index at the edge's pixel; planted, at the edge itself.
int mirrored(int i, int extent, Plant plant) {
  if (plant != Plant::kHalo) return reflect(i, extent);
  return i < 0 ? -i - 1 : i >= extent ? 2 * extent - 1 - i : i;
}

}  // namespace

Values dpw_conv(const DPWConvParams& p, const Values& x, const Values& theta, const Values& bias,
                const Values& previous, Plant plant) {
  Values y;
  const Values map = compose(p.input, x, previous, plant);
  const int height = p.input.height, width = p.input.width;
  const int in_group = p.in_channels() / p.group;
  const int out_group = p.out_channels / p.group;
  const double infinity = std::numeric_limits<double>::infinity();
  for (int n = 0; n < p.input.batch; ++n) {
    for (int m = 0; m < p.out_channels; ++m) {
      for (int row = 0; row < height; ++row) {
        for (int column = 0; column < width; ++column) {
          Inexact sum = p.has_bias ? bias[m] : Inexact();
          int k = m * in_group * p.kernel * p.kernel;
          for (int c = m / out_group * in_group; c < (m / out_group + 1) * in_group; ++c) {
            for (int u = -p.kernel / 2; u <= p.kernel / 2; ++u) {
              for (int v = -p.kernel / 2; v <= p.kernel / 2; ++v, ++k) {
                sum += theta[p.theta.index(n, row / p.patch_height(), column / p.patch_width(), k)] *
                       map[at(n, c, mirrored(row + u, height, plant), mirrored(column + v, width, plant),
                              p.in_channels(), height, width)];
              }
            }
          }
          if (p.activation == Activation::kRelu) sum = clamp(sum, 0.0, infinity);
          if (p.activation == Activation::kRelu6) sum = clamp(sum, 0.0, 6.0);
          y.push_back(sum.rounded());
        }
      }
    }
  }
  return y;
}

Values dpw_inverted_residual(const DPWInvertedResidualParams& p, const ResidualInputs& inputs, Plant plant) {
  const int in = p.in_channels(), height = p.input.height, width = p.input.width;
  Values y(static_cast<std::size_t>(p.input.batch) * p.out_channels * height * width);
  const Values map = compose(p.input, inputs.x, inputs.previous, plant);
  const auto value = [&](int n, int c, int row, int column) {
    return map[at(n, c, mirrored(row, height, plant), mirrored(column, width, plant), in, height, width)];
  };
  for (int n = 0; n < p.input.batch; ++n) {
    for (int row = 0; row < height; ++row) {
      for (int column = 0; column < width; ++column) {
        const auto weight = [&](int k) {
          return inputs.theta[p.theta.index(n, row / p.patch_height(), column / p.patch_width(), k)];
        };
        Values filtered;
        for (int c = 0; c < p.hidden_channels; ++c) {
          Inexact sum = inputs.bias2[c];
          for (int tap = 0; tap < 9; ++tap) {
            Inexact expanded = inputs.bias1[c];
            for (int k = 0; k < in; ++k) {
              expanded += weight(c * in + k) * value(n, k, row + tap / 3 - 1, column + tap % 3 - 1);
            }
            sum += weight(p.depthwise_begin() + 9 * c + tap) * clamp(expanded, 0.0, 6.0);
          }
          filtered.push_back(clamp(sum, 0.0, 6.0));
        }
        for (int m = 0; m < p.out_channels; ++m) {
          Inexact sum = inputs.bias3[m];
          if (p.residual()) sum += value(n, m, row, column);
          for (int c = 0; c < p.hidden_channels; ++c) {
            sum += weight(p.project_begin() + m * p.hidden_channels + c) * filtered[c];
          }
          y[at(n, m, row, column, p.out_channels, height, width)] = sum.rounded();
        }
      }
    }
  }
  return y;
}

namespace {

/// Line `i` of a target, whose positions are multiples of 2^-40 by contract; the weight is rounded to a float.
Line line(int i, const SourceLines& lines, Plant plant) {
  const std::int64_t unit = std::int64_t{1} << SourceLines::kFraction;
  const std::int64_t shifted = lines.first + i * lines.step + (plant == Plant::kPhase ? unit / 2 : 0);
  const std::int64_t position = std::clamp(shifted, lines.least, lines.most);
  const int low = static_cast<int>(position / unit);
  return {low, std::min(low + 1, lines.extent - 1), static_cast<double>(position % unit) / unit, kUnit};
}

}  // namespace

Values upsample(const UpsampleArgmaxParams& p, const Values& x, Plant plant) {
  Values y;
  for (int plane = 0; plane < p.batch * p.channels; ++plane) {
    for (int row = 0; row < p.out_height(); ++row) {
      for (int column = 0; column < p.out_width(); ++column) {
        const Inexact* source = x.data() + static_cast<std::size_t>(plane) * p.height * p.width;
        const bool whole = p.scale > 0;
        const Line down = whole ? line(row, p.height, p.scale, plant) : line(row, p.down, plant);
        const Line across = whole ? line(column, p.width, p.scale, plant) : line(column, p.across, plant);
        y.push_back(bilinear(source, down, across, p.width).rounded());
      }
    }
  }
  return y;
}

namespace {

/// A 1x1 convolution: [rows, columns] times [columns, pixels], plus a bias.
Values dense(const Values& weight, const Values& bias, const Values& x, std::size_t pixels) {
  const std::size_t columns = x.size() / pixels;
  Values y(bias.size() * pixels);
  for (std::size_t m = 0; m < bias.size(); ++m) {
    for (std::size_t i = 0; i < pixels; ++i) {
      Inexact sum = bias[m];
      for (std::size_t k = 0; k < columns; ++k) sum += weight[m * columns + k] * x[k * pixels + i];
      y[m * pixels + i] = sum;
    }
  }
  return y;
}

void silu(Values* values) {
  for (Inexact& value : *values) {
    const Inexact x = value.rounded();
    value = x * sigmoid(x);
  }
}

Values filtered(const MBConvParams& p, const EncoderInputs& inputs, const Values& h, Plant plant) {
  const int shift = plant == Plant::kHalo ? 1 : 0;
  Values d;
  for (int c = 0; c < p.hidden_channels; ++c) {
    for (int row = 0; row < p.out_height; ++row) {
      for (int column = 0; column < p.out_width; ++column) {
        Inexact sum = inputs.depthwise_bias[c];
        for (int tap = 0; tap < p.kernel * p.kernel; ++tap) {
          const int y = row * p.stride - p.pad_top + shift + tap / p.kernel;
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

/// The mean of each channel. Kernels use short sums: of a row's pixels, in any order, and of the rows; so a term goes
/// through at most W' - 1 + H' - 1 additions instead of W' H' - 1.
Values means(const MBConvParams& p, const Values& map) {
  const std::size_t pixels = static_cast<std::size_t>(p.out_height) * p.out_width;
  Values sums(p.hidden_channels);
  for (std::size_t i = 0; i < map.size(); ++i) sums[i / pixels] += map[i];
  for (Inexact& sum : sums) {
    sum.terms = p.out_height + p.out_width - 1;
    sum = (sum * (1.0 / static_cast<double>(pixels))).rounded();
  }
  return sums;
}

}  // namespace

Values mbconv(const MBConvParams& p, const EncoderInputs& inputs, Plant plant) {
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
    Values d = filtered(p, inputs, h, plant);
    Values squeezed = dense(inputs.reduce_weight, inputs.reduce_bias, means(p, d), 1);
    silu(&squeezed);
    const Values gate = dense(inputs.gate_weight, inputs.gate_bias, squeezed, 1);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = d[i] * sigmoid(gate[i / pixels]);
    Values y = dense(inputs.project_weight, inputs.project_bias, d, pixels);
    for (std::size_t i = 0; p.residual && i < y.size(); ++i) y[i] += x[i];
    for (const Inexact& sum : y) result.push_back(sum.rounded());
  }
  return result;
}

}  // namespace hyperseg::plain

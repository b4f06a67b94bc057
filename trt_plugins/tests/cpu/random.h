#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>

#include "hyperseg/shape.h"
#include "plain.h"

/// Random inputs of the operators.
namespace hyperseg::test {

using plain::Values;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool chance() { return between(0, 1) == 1; }
  Values normal(std::size_t count, double size) {
    std::normal_distribution<double> distribution(0.0, size);
    Values values(count);
    // Multiples of 1/64 below 16, which both storage types hold exactly.
    for (plain::Inexact& value : values) {
      value = std::round(std::clamp(distribution(engine_), -15.0, 15.0) * 64) / 64;
    }
    return values;
  }

 private:
  std::mt19937 engine_;
};

/// A decoder level's input and its grid of patches.
struct Level {
  Shape x, previous;
  int rows, columns;
  bool coordinates;
  Values x_values, previous_values;
};

inline Level draw_level(Random& random, int in_channels, int smallest) {
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
  return level;
}

/// theta, with padding before and behind the weights that are used.
struct Weights {
  Shape shape;
  int offset;
  double size;  ///< standard deviation
  Values values;
};

inline Weights draw_weights(Random& random, const Level& level, int count, int fan_in) {
  Weights weights;
  weights.offset = random.chance() ? random.between(0, 20) : 0;
  const int pieces = random.between(1, 9);
  const int length = (weights.offset + count + random.between(0, 5) + pieces - 1) / pieces;
  weights.shape = Shape{level.x[0], pieces, level.rows, level.columns, length};
  weights.size = 1.0 / std::sqrt(fan_in);
  weights.values = random.normal(level.x[0] * pieces * level.rows * level.columns * length, weights.size);
  return weights;
}

}  // namespace hyperseg::test

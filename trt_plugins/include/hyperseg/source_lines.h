#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "hyperseg/macros.h"
#include "hyperseg/shape.h"

/// Which lines of a map a line of its bilinear enlargement (align_corners=False) is made of.
namespace hyperseg {

/// The two source lines: value = (1 - weight) * source[low] + weight * source[high].
struct Interpolation {
  int low;
  int high;
  float weight;
};

/// Line `i` of an enlargement by a whole factor.
HYPERSEG_HOST_DEVICE inline Interpolation interpolate(int i, int source_extent, int scale) {
  const float position = (static_cast<float>(i) + 0.5f) / static_cast<float>(scale) - 0.5f;
  const float clamped = position > 0.0f ? position : 0.0f;
  const int low = static_cast<int>(clamped);
  return {low, low + 1 < source_extent ? low + 1 : source_extent - 1, clamped - static_cast<float>(low)};
}

/// The lines of a result of any size, from a window of the source with fractions. Line i of `count` lies at
/// begin + (i + 0.5) * length / count - 0.5, no further out than the middle of the window's outermost pixels (or, if it
/// is less than a pixel long, at its middle), and never beyond the source.
///
/// In units of 2^-40 source lines, integers that are the same on every processor. The step is rounded to them, so that
/// positions are at most count * 2^-41 off; weights are rounded to float.
struct SourceLines {
  static constexpr int kFraction = 40;
  /// Source extents, and the window's numbers, are below 2^22: positions fit 63 bits.
  static constexpr int kLargestExtent = (1 << 22) - 1;

  int count = 1;
  int extent = 1;  ///< of the source
  std::int64_t first = 0;
  std::int64_t step = 0;
  std::int64_t least = 0;
  std::int64_t most = 0;

  HYPERSEG_HOST_DEVICE Interpolation at(int line) const {
    std::int64_t position = first + line * step;
    position = position < least ? least : position > most ? most : position;
    const int low = static_cast<int>(position >> kFraction);
    // The first 31 bits of the fraction: more than a float keeps.
    const int fraction = static_cast<int>((position & ((std::int64_t{1} << kFraction) - 1)) >> (kFraction - 31));
    return {low, low + 1 < extent ? low + 1 : extent - 1, static_cast<float>(fraction) * 0x1p-31f};
  }
};

/// Checks a window [begin, begin + length) of `extent` lines, and fills `lines`. `name` is "operator: rows" or columns.
inline Error validate(const std::string& name, int count, int extent, double begin, double length, SourceLines* lines) {
  constexpr double kLargest = SourceLines::kLargestExtent;
  if (count < 1 || count > SourceLines::kLargestExtent || extent > SourceLines::kLargestExtent) {
    return name + ": " + std::to_string(count) + " of " + std::to_string(extent) + "; expected 1 to " +
           std::to_string(SourceLines::kLargestExtent);
  }
  // Written so that NaN fails.
  if (!(std::abs(begin) <= kLargest && length > 0.0 && length <= kLargest && begin < extent && begin + length > 0.0)) {
    return name + ": the window from " + std::to_string(begin) + " of length " + std::to_string(length) +
           " has none of X's " + std::to_string(extent);
  }
  const auto fixed = [](double position) { return std::llround(std::ldexp(position, SourceLines::kFraction)); };
  const double middle = begin + (length - 1.0) / 2.0;
  const auto inside = [&](double position) { return fixed(std::clamp(position, 0.0, extent - 1.0)); };
  lines->count = count;
  lines->extent = extent;
  lines->step = fixed(length / count);
  lines->first = fixed(begin + 0.5 * (length / count) - 0.5);
  lines->least = inside(length > 1.0 ? begin : middle);
  lines->most = inside(length > 1.0 ? begin + length - 1.0 : middle);
  return {};
}

}  // namespace hyperseg

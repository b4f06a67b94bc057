#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

namespace hyperseg {

/// Error message of a validation, in one line; empty if the inputs are valid.
using Error = std::string;

/// A tensor's extents, outermost first. Rank 0 stands for an optional input that is absent.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) : Shape(extents.begin(), static_cast<int>(extents.size())) {}

  template <typename Integer>
  Shape(const Integer* extents, int rank) : rank_(rank < kMaxRank ? rank : kMaxRank) {
    for (int axis = 0; axis < rank_; ++axis) extents_[axis] = static_cast<std::int64_t>(extents[axis]);
  }

  int rank() const { return rank_; }
  bool absent() const { return rank_ == 0; }
  std::int64_t operator[](int axis) const { return extents_[axis]; }

  /// "[1, 24, 18, 24]"
  std::string text() const {
    std::string result = "[";
    for (int axis = 0; axis < rank_; ++axis) result += (axis == 0 ? "" : ", ") + std::to_string(extents_[axis]);
    return result + "]";
  }

 private:
  int rank_ = 0;
  std::int64_t extents_[kMaxRank] = {};
};

/// Checks that an input has `rank` axes whose extents are positive and fit an int. `name` is "operator: input".
inline Error check_extents(const std::string& name, const Shape& shape, int rank) {
  if (shape.rank() != rank) {
    return name + " has shape " + shape.text() + "; expected " + std::to_string(rank) + " axes";
  }
  for (int axis = 0; axis < rank; ++axis) {
    if (shape[axis] < 1 || shape[axis] > std::numeric_limits<int>::max()) {
      return name + " has shape " + shape.text() + "; extent " + std::to_string(shape[axis]) + " of axis " +
             std::to_string(axis) + " is out of range";
    }
  }
  return {};
}

/// Far above any network, and low enough that products of channel counts stay within 64 bits.
constexpr std::int64_t kMaxChannels = std::int64_t{1} << 20;

inline Error check_channels(const std::string& name, std::int64_t channels) {
  if (channels <= kMaxChannels) return {};
  return name + " has " + std::to_string(channels) + " channels; at most " + std::to_string(kMaxChannels) +
         " are supported";
}

/// Checks a vector of one value per channel.
inline Error check_channel_vector(const std::string& name, const Shape& shape) {
  if (Error error = check_extents(name, shape, 1); !error.empty()) return error;
  return check_channels(name, shape[0]);
}

}  // namespace hyperseg

#include "judge.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace hyperseg::test {
namespace {

const char* name(Plant plant) {
  switch (plant) {
    case Plant::kWeight:
      return "weight";
    case Plant::kHalo:
      return "halo";
    case Plant::kPhase:
      return "phase";
    default:
      return "nothing";
  }
}

std::string text(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.9g", value);
  return digits;
}

/// How far a number of this size moves when it is stored.
double last_bit(double size, bool half) {
  return half ? 0x1p-11 * size + 0x1p-25 : plain::kUnit * size;
}

/// In units of the bound. What no bound allows, an error where there can be none or no number, is infinitely far off.
double in_bounds(double error, double bound) {
  if (std::isnan(error)) return std::numeric_limits<double>::infinity();
  return error <= 0.0 ? 0.0 : error / bound;
}

}  // namespace

void fail(const std::string& what) {
  std::fflush(stdout);  // what was judged before comes first
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

void Judge::set_target(const std::string& target) {
  target_ = target;
  worst_.clear();
}

void Judge::judge(const Subject& subject, const Compare& compare, const Differ& differ) {
  const plain::Values right = subject.reference(Plant::kNone);
  const Furthest furthest = compare(right);
  double& worst = worst_[subject.operation];
  worst = std::max(worst, furthest.ratio);
  if (furthest.ratio > 1.0) {
    fail(target_ + " " + subject.operation + " " + subject.shapes + ": " + furthest.text);
  }
  for (Plant plant : plants_) {
    if (std::find(subject.concerns.begin(), subject.concerns.end(), plant) == subject.concerns.end()) continue;
    const plain::Values planted = subject.reference(plant);
    Count& count = counts_[{plant, subject.operation}];
    if (!differ(right, planted)) continue;
    ++count.planted;
    if (compare(planted).ratio > 1.0) ++count.found;
  }
}

void Judge::judge_values(const Subject& subject, const std::vector<double>& actual, bool half) {
  const auto compare = [&](const plain::Values& expected) {
    double ratio = -1.0, bound = 0.0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double off = expected[i].bound();
      // Sums are float32 already; only float16 rounds on storing.
      const double allowed = off + (half ? last_bit(std::abs(expected[i].value) + off, half) : 0.0);
      const double one = in_bounds(std::abs(actual[i] - expected[i].value), allowed);
      if (one > ratio) ratio = one, bound = allowed, at = i;
    }
    return Furthest{ratio, "value " + std::to_string(at) + " is " + text(actual[at]) + ", expected " +
                               text(expected[at].value) + " within " + text(bound)};
  };
  const auto differ = [&](const plain::Values& right, const plain::Values& planted) {
    for (std::size_t i = 0; i < right.size(); ++i) {
      const double size = std::abs(right[i].value);
      if (std::abs(planted[i].value - right[i].value) > last_bit(size, half)) return true;
    }
    return false;
  };
  judge(subject, compare, differ);
}

void Judge::labels(const Subject& subject, const UpsampleArgmaxParams& params,
                   const std::vector<std::int32_t>& actual) {
  const std::size_t plane = static_cast<std::size_t>(params.out_height()) * params.out_width();
  const auto channels_of = [&](const plain::Values& logits, std::size_t i) {
    return logits.data() + i / plane * params.channels * plane + i % plane;
  };
  const auto compare = [&](const plain::Values& logits) {
    Furthest furthest;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const plain::Inexact* pixel = channels_of(logits, i);
      const plain::Inexact& chosen = pixel[actual[i] * plane];
      for (int c = 0; c < params.channels; ++c) {
        // Another channel may only win where rounding can make it as large.
        const double margin = pixel[c * plane].value - chosen.value;
        const double bound = pixel[c * plane].bound() + chosen.bound();
        const double ratio = in_bounds(margin, bound);
        if (ratio <= furthest.ratio) continue;
        furthest = {ratio, "label " + std::to_string(actual[i]) + " at " + std::to_string(i) + " is " + text(margin) +
                               " below channel " + std::to_string(c) + ", expected within " + text(bound)};
      }
    }
    return furthest;
  };
  const auto largest = [&](const plain::Values& logits, std::size_t i) {
    const plain::Inexact* pixel = channels_of(logits, i);
    int label = 0;
    for (int c = 1; c < params.channels; ++c) {
      if (pixel[c * plane].value > pixel[label * plane].value) label = c;
    }
    return label;
  };
  const auto differ = [&](const plain::Values& right, const plain::Values& planted) {
    for (std::size_t i = 0; i < actual.size(); ++i) {
      if (largest(right, i) != largest(planted, i)) return true;
    }
    return false;
  };
  judge(subject, compare, differ);
}

void Judge::report() const {
  std::string line;
  for (const auto& [operation, ratio] : worst_) {
    char figure[32];
    std::snprintf(figure, sizeof figure, " %.3f", ratio);
    line += (line.empty() ? "" : ", ") + operation + figure;
  }
  std::printf("%s: passed; largest error / bound: %s\n", target_.c_str(), line.c_str());
}

bool Judge::all_found() const {
  bool all = true;
  for (const auto& [key, count] : counts_) {
    const bool enough = count.planted > 0 && 10 * count.found >= 9 * count.planted;
    std::printf("%s in %s: found in %d of %d shapes%s\n", name(key.first), key.second.c_str(), count.found,
                count.planted, enough ? "" : ": too few");
    all = all && enough;
  }
  return all;
}

}  // namespace hyperseg::test

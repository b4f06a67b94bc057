#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plain.h"
#include "storage.h"

/// Compares kernel results with the plain reference, within its error bounds.
namespace hyperseg::test {

using plain::Plant;

/// The reference for one shape, with a mistake planted or without.
using Reference = std::function<plain::Values(Plant)>;

/// What is compared: the operator's name, its shapes for a message, and the mistakes that would change its results.
struct Subject {
  std::string operation;
  std::string shapes;
  std::vector<Plant> concerns;
  Reference reference;
};

[[noreturn]] void fail(const std::string& what);

/// Compares results with the reference, and fails on any beyond its bound. To check that the bounds are tight,
/// mistakes can be planted in the reference: these must be found (mutation testing).
class Judge {
 public:
  explicit Judge(std::vector<Plant> plants = {}) : plants_(std::move(plants)) {}

  /// Sets the SIMD target of the following results.
  void set_target(const std::string& target);
  const std::string& target() const { return target_; }

  template <typename T>
  void values(Subject subject, const std::vector<T>& actual) {
    const bool half = sizeof(T) == 2;
    if (half) subject.operation += " float16";
    std::vector<double> values;
    for (T value : actual) values.push_back(loaded(value));
    judge_values(subject, values, half);
  }

  /// Compares labels; `subject` computes the logits.
  void labels(const Subject& subject, const UpsampleArgmaxParams& params, const std::vector<std::int32_t>& actual);

  /// Prints the largest error of each operator on this target in units of its bound.
  void report() const;

  /// Prints how many mistakes were found of each kind; true if, for every operator, nine of ten that change a result by
  /// more than its last bit.
  bool all_found() const;

 private:
  /// The result that is furthest from the reference, in units of its bound.
  struct Furthest {
    double ratio = 0.0;
    std::string text;
  };
  struct Count {
    int found = 0;
    int planted = 0;
  };
  using Compare = std::function<Furthest(const plain::Values& expected)>;
  using Differ = std::function<bool(const plain::Values& right, const plain::Values& planted)>;

  void judge_values(const Subject& subject, const std::vector<double>& actual, bool half);
  void judge(const Subject& subject, const Compare& compare, const Differ& differ);

  std::vector<Plant> plants_;
  std::string target_;
  std::map<std::string, double> worst_;
  std::map<std::pair<Plant, std::string>, Count> counts_;
};

}  // namespace hyperseg::test

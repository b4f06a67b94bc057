#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cpu/workers.h"
#include "hyperseg/theta.h"
#include "judge.h"
#include "random.h"

/// Environment shared by the tests of all operators.
namespace hyperseg::test {

/// Runs tasks on several threads, dynamically scheduled.
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

inline void require(const Error& error) {
  if (!error.empty()) fail("a valid shape was refused: " + error);
}

/// One weight, and what a planted mistake adds to it.
struct Mistake {
  std::size_t at;
  double change;

  /// `size` is the weights' standard deviation.
  Mistake(std::size_t index, double size) : at(index), change(size / 100) {}

  Values in(Values weights, Plant plant) const {
    if (plant == Plant::kWeight) weights[at] = weights[at].value + change;
    return weights;
  }
};

/// In any of the `count` weights that the operator uses of any patch.
inline Mistake draw_mistake(Random& random, const Weights& weights, const Theta& theta, int count) {
  const int n = random.between(0, static_cast<int>(weights.shape[0]) - 1);
  const int i = random.between(0, theta.grid_height - 1), j = random.between(0, theta.grid_width - 1);
  return {static_cast<std::size_t>(theta.index(n, i, j, random.between(0, count - 1))), weights.size};
}

}  // namespace hyperseg::test

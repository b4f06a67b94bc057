#pragma once

#include <cstddef>
#include <functional>

namespace hyperseg::cpu {

/// Parallel-for interface that runs a kernel's tasks; kernels start no threads themselves.
class Workers {
 public:
  virtual ~Workers() = default;

  /// Calls `task` once for every index in [0, tasks), in any order, possibly at the same time; returns when all are
  /// done. Tasks write to disjoint parts of the output.
  virtual void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const = 0;
};

/// Runs the tasks sequentially on the calling thread.
class SerialWorkers final : public Workers {
 public:
  void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const override {
    for (std::size_t i = 0; i < tasks; ++i) task(i);
  }
};

}  // namespace hyperseg::cpu

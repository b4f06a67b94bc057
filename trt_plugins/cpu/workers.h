#pragma once

#include <cstddef>
#include <functional>

namespace hyperseg::cpu {

/// Whoever runs a kernel's tasks: the kernels start no threads of their own.
class Workers {
 public:
  virtual ~Workers() = default;

  /// Calls `task` once for every index in [0, tasks), in any order, possibly at the same time; returns when all are
  /// done. Tasks write to disjoint parts of the output.
  virtual void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const = 0;
};

/// All tasks one after the other, on the calling thread.
class SerialWorkers final : public Workers {
 public:
  void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const override {
    for (std::size_t i = 0; i < tasks; ++i) task(i);
  }
};

}  // namespace hyperseg::cpu

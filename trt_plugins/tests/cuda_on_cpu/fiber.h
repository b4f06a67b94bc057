#pragma once

// A thread of a CUDA block: a stack and the registers that a function call must preserve (x86-64 System V).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "sanitizers.h"

#if !defined(__x86_64__)
#error "cuda_on_cpu switches stacks in x86-64 assembly; add cuda_on_cpu_switch for this machine"
#endif

/// Saves the running stack's pointer and continues on another stack.
extern "C" void cuda_on_cpu_switch(void** save_to, void* continue_at);

asm(R"(
.pushsection .text
.weak cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.popsection
)");

namespace cuda_on_cpu {

class Fiber {
 public:
  static constexpr std::size_t kStackBytes = 128 << 10;

  /// Makes the fiber ready to run `entry`, which must never return.
  void prepare(void (*entry)()) {
    constexpr std::size_t kSavedRegisters = 6;
    if (!stack_)
      stack_ = std::make_unique_for_overwrite<unsigned char[]>(kStackBytes);  // zeroing would dominate a launch
    unpoison(stack_.get(), kStackBytes);
    const auto top = (reinterpret_cast<std::uintptr_t>(stack_.get()) + kStackBytes - 64) & ~std::uintptr_t{63};
    void** slot = reinterpret_cast<void**>(top);
    *--slot = nullptr;  // the return address that `entry` never uses; it also aligns the stack as a call would
    *--slot = reinterpret_cast<void*>(entry);
    slot -= kSavedRegisters;
    std::memset(slot, 0, kSavedRegisters * sizeof(void*));
    stack_pointer_ = slot;
    race_detector_.create();
  }

  void retire() { race_detector_.destroy(); }

  /// From the scheduler into the fiber, until it yields.
  CUDA_ON_CPU_UNTRACKED void resume(void** scheduler) {
    race_detector_.enter();
    cuda_on_cpu_switch(scheduler, stack_pointer_);
  }

  /// From the fiber back to the scheduler.
  CUDA_ON_CPU_UNTRACKED void yield_to(void* scheduler) {
    race_detector_.leave();
    cuda_on_cpu_switch(&stack_pointer_, scheduler);
  }

 private:
  std::unique_ptr<unsigned char[]> stack_;
  void* stack_pointer_ = nullptr;
  RaceDetectorFiber race_detector_;
};

}  // namespace cuda_on_cpu

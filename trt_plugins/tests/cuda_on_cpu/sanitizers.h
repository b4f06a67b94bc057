#pragma once

// Annotations for the sanitizers. ThreadSanitizer: fibers are threads, ordered by barriers only. AddressSanitizer: the
// shared memory beyond what a block requested is poisoned.

#include <cstddef>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
/// For the scheduler's own state, which the fibers of one operating-system thread share by design.
#define CUDA_ON_CPU_UNTRACKED __attribute__((no_sanitize("thread"), noinline))
#else
#define CUDA_ON_CPU_UNTRACKED
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_on_cpu {

#if defined(__SANITIZE_THREAD__)
inline void happens_before(void* event) {
  __tsan_release(event);
}
inline void happens_after(void* event) {
  __tsan_acquire(event);
}

class RaceDetectorFiber {
 public:
  void create() {
    scheduler_ = __tsan_get_current_fiber();
    fiber_ = __tsan_create_fiber(0);
  }
  void destroy() { __tsan_destroy_fiber(fiber_); }
  CUDA_ON_CPU_UNTRACKED void enter() { __tsan_switch_to_fiber(fiber_, __tsan_switch_to_fiber_no_sync); }
  CUDA_ON_CPU_UNTRACKED void leave() { __tsan_switch_to_fiber(scheduler_, __tsan_switch_to_fiber_no_sync); }

 private:
  void* scheduler_ = nullptr;
  void* fiber_ = nullptr;
};
#else
inline void happens_before(void*) {}
inline void happens_after(void*) {}

struct RaceDetectorFiber {
  void create() {}
  void destroy() {}
  void enter() {}
  void leave() {}
};
#endif

#if defined(__SANITIZE_ADDRESS__)
inline void poison(void* begin, std::size_t bytes) {
  __asan_poison_memory_region(begin, bytes);
}
inline void unpoison(void* begin, std::size_t bytes) {
  __asan_unpoison_memory_region(begin, bytes);
}
#else
inline void poison(void*, std::size_t) {}
inline void unpoison(void*, std::size_t) {}
#endif

}  // namespace cuda_on_cpu

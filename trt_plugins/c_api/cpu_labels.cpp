// libhyperseg_cpu.so: hyperseg_labels on threads of its own.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "labels_params.h"

namespace {

/// Threads that live as long as a call. A pool would not: a process that forks has it without its threads.
class CallWorkers final : public hyperseg::cpu::Workers {
 public:
  explicit CallWorkers(int threads) : threads_(threads) {}

  void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const override {
    std::atomic<std::size_t> next{0};
    std::atomic<bool> out_of_memory{false};
    const auto work = [&] {
      try {
        for (std::size_t i = next++; i < tasks; i = next++) task(i);
      } catch (const std::bad_alloc&) {
        out_of_memory = true;
      }
    };
    std::vector<std::thread> others;
    try {
      others.reserve(threads_);
      for (int i = 1; i < threads_ && static_cast<std::size_t>(i) < tasks; ++i) others.emplace_back(work);
    } catch (const std::system_error&) {  // no more threads for this process: those that there are do the work
    } catch (const std::bad_alloc&) {
    }
    work();
    for (std::thread& thread : others) thread.join();
    if (out_of_memory) throw std::bad_alloc();
  }

 private:
  int threads_;
};

/// Beyond one thread, each has at least so many values to read or labels to write: some tenths of a millisecond, where
/// starting a thread takes some hundredths.
constexpr std::int64_t kValuesPerThread = 1 << 20;
/// More bands than threads, since some have more edges between classes than others.
constexpr int kBandsPerThread = 4;

/// Applies the instruction set cap, once per process. Returns its error, if any.
const hyperseg::Error& limited_isa() {
  static const hyperseg::Error error = hyperseg::cpu::limit_isa();
  return error;
}

hyperseg::Error run(const HyperSegLabels& request, int threads) {
  if (!limited_isa().empty()) return limited_isa();
  hyperseg::UpsampleArgmaxParams params;
  if (hyperseg::Error error = validate(request, &params); !error.empty()) return error;
  const std::int64_t values = std::int64_t{params.channels} * params.height * params.width +
                              std::int64_t{params.out_height()} * params.out_width();
  const int used = static_cast<int>(std::clamp<std::int64_t>(threads, 1, 1 + values / kValuesPerThread));
  const int bands = used == 1 ? 1 : std::min(used * kBandsPerThread, params.out_height());
  const CallWorkers workers(used);
  if (request.data_type == 0) {
    upsample_labels(params, bands, static_cast<const float*>(request.logits), request.labels, workers);
  } else {
    upsample_labels(params, bands, static_cast<const hyperseg::cpu::Half*>(request.logits), request.labels, workers);
  }
  return {};
}

}  // namespace

/// For hyperseg-doctor: the SIMD target of the kernels, or the error message for an invalid cap.
extern "C" HYPERSEG_EXPORT const char* hyperseg_cpu_isa() {
  return limited_isa().empty() ? hyperseg::cpu::isa() : limited_isa().c_str();
}

int hyperseg_labels_interface(void) {
  return HYPERSEG_LABELS_INTERFACE;
}

int hyperseg_labels(const HyperSegLabels* request, int32_t threads, char* message, size_t message_bytes) {
  hyperseg::Error error;
  try {
    error = run(*request, threads);
  } catch (const std::bad_alloc&) {
    error = "out of memory";
  }
  if (message_bytes > 0) std::snprintf(message, message_bytes, "%s", error.c_str());
  return error.empty() ? 0 : 1;
}

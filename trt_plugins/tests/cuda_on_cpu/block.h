#pragma once

// One thread block: its threads as fibers of one operating-system thread, its barrier, and its warps' exchanges.
// A fiber runs until it waits; the scheduler then resumes the next one in the order asked for.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <source_location>
#include <vector>

#include "counters.h"
#include "fiber.h"

namespace cuda_on_cpu {

enum class Order { kForward, kReverse, kShuffled };

constexpr unsigned kWarp = 32;

/// Exchange slots of a warp's lanes. Two sets of slots, used in turn: a lane may publish its next value while
/// slower lanes still read the last.
struct WarpExchange {
  unsigned arrived = 0;
  unsigned generation = 0;
  alignas(16) unsigned char slots[2][kWarp][64];
};

class Block {
 public:
  explicit Block(std::function<void()> kernel) : kernel_(std::move(kernel)) {}

  /// Runs `threads` fibers to their end. False if they deadlocked or misused a barrier; the reason is printed.
  bool run(unsigned threads, Order order, unsigned seed) {
    threads_.resize(std::max<std::size_t>(threads_.size(), threads));
    warps_.assign((threads + kWarp - 1) / kWarp, WarpExchange{});
    count_ = running_ = threads;
    waiting_ = 0;
    error_ = nullptr;
    for (unsigned i = 0; i < threads; ++i) {
      threads_[i].done = false;
      threads_[i].fiber.prepare(&Block::enter);
    }
    schedule(order, seed);
    happens_after(&running_);
    for (unsigned i = 0; i < threads; ++i) threads_[i].fiber.retire();
    if (error_) std::fprintf(stderr, "cuda_on_cpu: %s\n", error_);
    return !error_;
  }

  CUDA_ON_CPU_UNTRACKED unsigned thread() const { return current_; }

  /// __syncthreads(). All threads of the block have to meet at the same place in the source.
  CUDA_ON_CPU_UNTRACKED void barrier(const std::source_location& place) {
    const unsigned generation = barrier_generation_;
    if (waiting_ == 0) {
      barrier_line_ = place.line();
    } else if (barrier_line_ != place.line()) {
      error_ = "threads of one block wait at different __syncthreads()";
    }
    happens_before(&barrier_event_[generation & 1]);
    ++progress_;
    if (++waiting_ == count_) {
      waiting_ = 0;
      ++barrier_generation_;
      end_phase(true);
    } else {
      while (barrier_generation_ == generation) yield();
    }
    happens_after(&barrier_event_[generation & 1]);
  }

  /// Ends the launch with an error after the present round of turns.
  CUDA_ON_CPU_UNTRACKED void fail(const char* reason) { error_ = reason; }

  CUDA_ON_CPU_UNTRACKED WarpExchange& warp() { return warps_[current_ / kWarp]; }
  CUDA_ON_CPU_UNTRACKED unsigned generation(const WarpExchange& warp) const { return warp.generation; }

  /// Waits until every lane of `mask` has published its slot of `generation`.
  CUDA_ON_CPU_UNTRACKED void meet(WarpExchange& warp, unsigned mask, unsigned generation) {
    happens_before(&warp.slots[generation & 1]);
    ++progress_;
    warp.arrived |= 1u << (current_ % kWarp);
    if (warp.arrived == mask) {
      warp.arrived = 0;
      ++warp.generation;
    } else {
      while (warp.generation == generation) yield();
    }
    happens_after(&warp.slots[generation & 1]);
  }

  /// The block that this operating-system thread runs.
  static Block*& current() {
    static thread_local Block* block = nullptr;
    return block;
  }

 private:
  struct Thread {
    Fiber fiber;
    bool done = false;
  };

  static void enter() {
    current()->kernel_();
    current()->leave();
  }

  CUDA_ON_CPU_UNTRACKED void leave() {
    happens_before(&running_);
    threads_[current_].done = true;
    --running_;
    ++progress_;
    for (;;) yield();
  }

  CUDA_ON_CPU_UNTRACKED void yield() { threads_[current_].fiber.yield_to(scheduler_); }

  /// Forward and reverse, a warp runs as far as it can before the next one does, so that warps are as far apart as
  /// barriers allow; shuffled, all threads advance by one step a round.
  CUDA_ON_CPU_UNTRACKED void schedule(Order order, unsigned seed) {
    std::vector<unsigned> turn(count_);
    for (unsigned i = 0; i < count_; ++i) turn[i] = order == Order::kReverse ? count_ - 1 - i : i;
    const unsigned group = order == Order::kShuffled ? count_ : kWarp;
    std::mt19937 random(seed);
    while (running_ > 0 && !error_) {
      if (order == Order::kShuffled) std::shuffle(turn.begin(), turn.end(), random);
      const unsigned before_round = progress_;
      for (unsigned begin = 0; begin < count_; begin += group) {
        unsigned before = 0;
        do {
          before = progress_;
          for (unsigned i = begin; i < std::min(begin + group, count_); ++i) step(turn[i]);
        } while (order != Order::kShuffled && progress_ != before && !error_);
      }
      if (progress_ == before_round && !error_) error_ = "deadlock: some threads never reach a barrier or an exchange";
    }
  }

  /// Runs a thread until it waits or ends.
  CUDA_ON_CPU_UNTRACKED void step(unsigned thread) {
    if (threads_[thread].done) return;
    current_ = thread;
    threads_[thread].fiber.resume(&scheduler_);
  }

  std::function<void()> kernel_;
  std::vector<Thread> threads_;
  std::vector<WarpExchange> warps_;
  void* scheduler_ = nullptr;
  unsigned current_ = 0;
  unsigned count_ = 0;
  unsigned running_ = 0;
  unsigned waiting_ = 0;
  unsigned progress_ = 0;  ///< arrivals and exits: a round of turns without any is a deadlock
  unsigned barrier_generation_ = 0;
  unsigned barrier_line_ = 0;
  char barrier_event_[2] = {};
  const char* error_ = nullptr;
};

}  // namespace cuda_on_cpu

#pragma once

#include <cstddef>
#include <memory>

namespace hyperseg::cpu {

/// Thread-local working memory: one aligned block that grows to the largest task so far and is reused.
class Scratch {
 public:
  /// Partitions the block into consecutive aligned arrays.
  class Layout {
   public:
    explicit Layout(Scratch& scratch) : scratch_(scratch) {}

    /// Adds an array of `floats`; the pointer is valid after `commit`.
    void add(float** array, std::size_t floats);
    /// Grows the block if necessary and sets the pointers.
    void commit();

   private:
    static constexpr int kMaxArrays = 12;
    Scratch& scratch_;
    float** arrays_[kMaxArrays] = {};
    std::size_t begins_[kMaxArrays] = {};
    int count_ = 0;
    std::size_t floats_ = 0;
  };

  /// The instance of the calling thread.
  static Scratch& of_this_thread();

 private:
  struct Free {
    void operator()(float* block) const;
  };
  std::unique_ptr<float, Free> block_;
  std::size_t floats_ = 0;
};

}  // namespace hyperseg::cpu

#pragma once

#include <cstddef>
#include <memory>

namespace hyperseg::cpu {

/// A thread's working memory: one aligned block that grows to the largest task it has seen and is then reused.
class Scratch {
 public:
  /// Divides the block into consecutive aligned arrays.
  class Layout {
   public:
    explicit Layout(Scratch& scratch) : scratch_(scratch) {}

    /// Plans an array of `floats`; the pointer is valid from `commit` on.
    void add(float** array, std::size_t floats);
    /// Makes the block large enough and sets the pointers.
    void commit();

   private:
    static constexpr int kMaxArrays = 12;
    Scratch& scratch_;
    float** arrays_[kMaxArrays] = {};
    std::size_t begins_[kMaxArrays] = {};
    int count_ = 0;
    std::size_t floats_ = 0;
  };

  /// The calling thread's own.
  static Scratch& of_this_thread();

 private:
  struct Free {
    void operator()(float* block) const;
  };
  std::unique_ptr<float, Free> block_;
  std::size_t floats_ = 0;
};

}  // namespace hyperseg::cpu

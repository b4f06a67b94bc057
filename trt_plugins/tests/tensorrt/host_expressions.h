#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <deque>
#include <stdexcept>

namespace hyperseg::tests {

/// A dimension as TensorRT's builder passes it to a plugin: a value, known while building or only later.
class HostExtent : public nvinfer1::IDimensionExpr, private nvinfer1::apiv::VDimensionExpr {
 public:
  HostExtent(std::int64_t value, bool known) : value_(value), known_(known) { mImpl = this; }

  bool isConstant() const override { return known_; }
  std::int64_t getConstantValue() const override {
    if (!known_) throw std::logic_error("a plugin read a dimension that is not known while building");
    return value_;
  }
  bool isSizeTensor() const override { return false; }
  nvinfer1::IDimensionExpr* getPImpl() noexcept { return this; }

  /// What the dimension is in the end.
  std::int64_t value() const { return value_; }
  bool known() const { return known_; }

 private:
  std::int64_t value_;
  bool known_;
};

/// Computes dimensions as TensorRT's builder would.
class HostExpressions : public nvinfer1::IExprBuilder, private nvinfer1::apiv::VExprBuilder {
 public:
  HostExpressions() { mImpl = this; }

  const HostExtent* extent(std::int64_t value, bool known) { return &extents_.emplace_back(value, known); }

  const nvinfer1::IDimensionExpr* constant(std::int64_t value) override { return extent(value, true); }

  const nvinfer1::IDimensionExpr* operation(nvinfer1::DimensionOperation operation,
                                            const nvinfer1::IDimensionExpr& first,
                                            const nvinfer1::IDimensionExpr& second) override {
    const auto& a = static_cast<const HostExtent&>(first);
    const auto& b = static_cast<const HostExtent&>(second);
    return extent(compute(operation, a.value(), b.value()), a.known() && b.known());
  }

  const nvinfer1::IDimensionExpr* declareSizeTensor(std::int32_t, const nvinfer1::IDimensionExpr&,
                                                    const nvinfer1::IDimensionExpr&) override {
    throw std::logic_error("no output has a size that depends on data");
  }

 private:
  static std::int64_t compute(nvinfer1::DimensionOperation operation, std::int64_t a, std::int64_t b) {
    switch (operation) {
      case nvinfer1::DimensionOperation::kSUM:
        return a + b;
      case nvinfer1::DimensionOperation::kSUB:
        return a - b;
      case nvinfer1::DimensionOperation::kPROD:
        return a * b;
      case nvinfer1::DimensionOperation::kFLOOR_DIV:
        return a / b;
      default:
        throw std::logic_error("an operation that this test does not know");
    }
  }

  std::deque<HostExtent> extents_;  // stay in place
};

}  // namespace hyperseg::tests

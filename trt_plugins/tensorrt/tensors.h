#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <optional>

#include "cuda/launch.h"
#include "hyperseg/shape.h"

namespace hyperseg::tensorrt {

/// The storage types that kernels exist for; nothing else reaches them.
inline std::optional<cuda::DataType> storage_type(nvinfer1::DataType type) {
  if (type == nvinfer1::DataType::kFLOAT) return cuda::DataType::kFloat32;
  if (type == nvinfer1::DataType::kHALF) return cuda::DataType::kFloat16;
  return std::nullopt;
}

/// The shapes of an operator's inputs in the order of the node. Fixed capacity, so that copies never allocate.
class InputShapes {
 public:
  static constexpr int kMost = 6;

  void add(const nvinfer1::Dims& dims) { shapes_[static_cast<std::size_t>(count_++)] = Shape(dims.d, dims.nbDims); }

  int count() const { return count_; }
  /// The input's shape, empty beyond the last.
  const Shape& operator[](int index) const { return shapes_[static_cast<std::size_t>(index < count_ ? index : kMost)]; }
  int rank(int index) const { return (*this)[index].rank(); }

 private:
  int count_ = 0;
  std::array<Shape, kMost + 1> shapes_{};
};

/// The symbolic shapes of an operator's inputs, and arithmetic on them.
class SymbolicShapes {
 public:
  using Extent = const nvinfer1::IDimensionExpr*;

  SymbolicShapes(const nvinfer1::DimsExprs* inputs, int count, nvinfer1::IExprBuilder& builder)
      : inputs_(inputs), count_(count), builder_(builder) {}

  int count() const { return count_; }
  int rank(int index) const { return index < count_ ? inputs_[index].nbDims : 0; }
  Extent extent(int input, int axis) const { return inputs_[input].d[axis]; }

  /// Whether every extent is known while building.
  bool constant() const {
    for (int i = 0; i < count_; ++i) {
      for (int axis = 0; axis < inputs_[i].nbDims; ++axis) {
        if (!inputs_[i].d[axis]->isConstant()) return false;
      }
    }
    return true;
  }

  /// Only if `constant()`.
  InputShapes values() const {
    InputShapes shapes;
    for (int i = 0; i < count_; ++i) {
      nvinfer1::Dims dims{};
      dims.nbDims = inputs_[i].nbDims;
      for (int axis = 0; axis < dims.nbDims; ++axis) dims.d[axis] = inputs_[i].d[axis]->getConstantValue();
      shapes.add(dims);
    }
    return shapes;
  }

  Extent number(std::int64_t value) const { return builder_.constant(value); }
  Extent add(Extent a, Extent b) const { return apply(nvinfer1::DimensionOperation::kSUM, a, b); }
  Extent subtract(Extent a, Extent b) const { return apply(nvinfer1::DimensionOperation::kSUB, a, b); }
  Extent multiply(Extent a, Extent b) const { return apply(nvinfer1::DimensionOperation::kPROD, a, b); }
  Extent divide(Extent a, Extent b) const { return apply(nvinfer1::DimensionOperation::kFLOOR_DIV, a, b); }

 private:
  Extent apply(nvinfer1::DimensionOperation operation, Extent a, Extent b) const {
    return builder_.operation(operation, *a, *b);
  }

  const nvinfer1::DimsExprs* inputs_;
  int count_;
  nvinfer1::IExprBuilder& builder_;
};

/// Fills a symbolic shape.
inline void set_shape(nvinfer1::DimsExprs* shape, std::initializer_list<SymbolicShapes::Extent> extents) {
  shape->nbDims = 0;
  for (SymbolicShapes::Extent extent : extents) shape->d[shape->nbDims++] = extent;
}

}  // namespace hyperseg::tensorrt

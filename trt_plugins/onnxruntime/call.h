#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "cpu/workers.h"
#include "hyperseg/shape.h"
#include "onnxruntime/api.h"
#include "onnxruntime/element_type.h"

namespace hyperseg::ort {

/// One run of a node: its inputs, its output and the session's threads.
class Call {
 public:
  Call(const OrtApi& api, OrtKernelContext* context, const char* operation)
      : api_(api), context_(context), operation_(operation) {}

  /// Empty where an optional input is left out.
  Shape shape(std::size_t index) const {
    const OrtValue* value = input(index);
    if (value == nullptr) return {};
    const Info info = describe(value);
    std::size_t rank = 0;
    check(api_, api_.GetDimensionsCount(info.get(), &rank));
    std::vector<std::int64_t> extents(rank);
    check(api_, api_.GetDimensions(info.get(), extents.data(), rank));
    return {extents.data(), static_cast<int>(rank)};
  }

  /// Null where an optional input is left out. onnxruntime 1.17 does not itself refuse a node whose inputs have
  /// different types, so they are checked here.
  template <typename T>
  const T* data(std::size_t index) const {
    const OrtValue* value = input(index);
    if (value == nullptr) return nullptr;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    check(api_, api_.GetTensorElementType(describe(value).get(), &type));
    if (type != kElementType<T>) {
      throw std::invalid_argument(std::string(operation_) + ": input " + std::to_string(index) + " has element type " +
                                  std::to_string(type) + ", the first one " + std::to_string(kElementType<T>) +
                                  " (as ONNX numbers them); all must be alike");
    }
    void* data = nullptr;
    check(api_, api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
    return static_cast<const T*>(data);
  }

  /// Allocates the only output.
  template <typename T>
  T* output(const Shape& shape) {
    std::vector<std::int64_t> extents;
    for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
    OrtValue* value = nullptr;
    check(api_, api_.KernelContext_GetOutput(context_, 0, extents.data(), extents.size(), &value));
    void* data = nullptr;
    check(api_, api_.GetTensorMutableData(value, &data));
    return static_cast<T*>(data);
  }

  const OrtApi& api() const { return api_; }
  OrtKernelContext* context() const { return context_; }

 private:
  struct Release {
    const OrtApi& api;
    void operator()(OrtTensorTypeAndShapeInfo* info) const { api.ReleaseTensorTypeAndShapeInfo(info); }
  };
  using Info = std::unique_ptr<OrtTensorTypeAndShapeInfo, Release>;

  Info describe(const OrtValue* value) const {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(api_, api_.GetTensorTypeAndShape(value, &info));
    return Info(info, Release{api_});
  }

  const OrtValue* input(std::size_t index) const {
    std::size_t count = 0;
    check(api_, api_.KernelContext_GetInputCount(context_, &count));
    if (index >= count) return nullptr;
    const OrtValue* value = nullptr;
    check(api_, api_.KernelContext_GetInput(context_, index, &value));
    return value;
  }

  const OrtApi& api_;
  OrtKernelContext* context_;
  const char* operation_;
};

/// The session's thread pool.
class SessionWorkers final : public cpu::Workers {
 public:
  explicit SessionWorkers(const Call& call) : call_(call) {}

  void run(std::size_t tasks, const std::function<void(std::size_t)>& task) const override {
    struct Shared {
      const std::function<void(std::size_t)>& task;
      std::atomic<bool> out_of_memory{false};
    } shared{task};
    const auto invoke = [](void* data, std::size_t index) {
      Shared& own = *static_cast<Shared*>(data);
      try {
        own.task(index);
      } catch (const std::bad_alloc&) {  // must not travel through ONNX Runtime's threads
        own.out_of_memory = true;
      }
    };
    check(call_.api(), call_.api().KernelContext_ParallelFor(call_.context(), invoke, tasks, 0, &shared));
    if (shared.out_of_memory) throw std::bad_alloc();
  }

 private:
  const Call& call_;
};

/// Memory from the session's allocator for the duration of a call.
class WorkingMemory {
 public:
  WorkingMemory(const Call& call, std::size_t bytes) : api_(call.api()) {
    OrtMemoryInfo* info = nullptr;
    check(api_, api_.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &info));
    const auto release = [this](OrtMemoryInfo* owned) { api_.ReleaseMemoryInfo(owned); };
    const std::unique_ptr<OrtMemoryInfo, decltype(release)> owner(info, release);
    check(api_, api_.KernelContext_GetAllocator(call.context(), info, &allocator_));
    data_ = allocator_->Alloc(allocator_, bytes);
    if (data_ == nullptr) {
      api_.ReleaseAllocator(allocator_);
      throw std::bad_alloc();
    }
  }
  ~WorkingMemory() {
    allocator_->Free(allocator_, data_);
    api_.ReleaseAllocator(allocator_);
  }
  WorkingMemory(const WorkingMemory&) = delete;
  WorkingMemory& operator=(const WorkingMemory&) = delete;

  void* data() const { return data_; }

 private:
  const OrtApi& api_;
  OrtAllocator* allocator_ = nullptr;
  void* data_ = nullptr;
};

/// Throws an error of `validate` as std::invalid_argument.
inline void require(const Error& error) {
  if (!error.empty()) throw std::invalid_argument(error);
}

}  // namespace hyperseg::ort

#pragma once

// What examples/cpp/segment_engine.cpp uses of TensorRT 11's runtime, included by NvInferRuntime.h. A public class
// (NvInferRuntime.h) calls the implementation that it points to (NvInferImpl.h). Functions that are not used keep their
// place in the vtable only: they are declared without parameters and result, and none after the last that is used.

namespace nvinfer1 {

// NvInferLegacyDims.h
class Dims2 : public Dims {
 public:
  Dims2(std::int64_t first, std::int64_t second) {
    nbDims = 2;
    d[0] = first;
    d[1] = second;
    for (std::int64_t i = nbDims; i < MAX_DIMS; ++i) {
      d[i] = 0;
    }
  }
};

class Dims3 : public Dims2 {
 public:
  Dims3(std::int64_t first, std::int64_t second, std::int64_t third) : Dims2(first, second) {
    nbDims = 3;
    d[2] = third;
  }
};

class Dims4 : public Dims3 {
 public:
  Dims4(std::int64_t first, std::int64_t second, std::int64_t third, std::int64_t fourth)
      : Dims3(first, second, third) {
    nbDims = 4;
    d[3] = fourth;
  }
};

enum class TensorIOMode : std::int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };

enum class ExecutionContextAllocationStrategy : std::int32_t { kSTATIC = 0 };

class ICudaEngine;
class IExecutionContext;

namespace apiv {

class VRuntime : public VRoot {
 public:
  virtual void getPImpl() = 0;
  virtual ICudaEngine* deserializeCudaEngine(const void* plan, std::size_t size) noexcept = 0;
  virtual void setDLACore() = 0;
  virtual void getDLACore() = 0;
  virtual void getNbDLACores() = 0;
  virtual void setGpuAllocator() = 0;
  virtual void setErrorRecorder() = 0;
  virtual void getErrorRecorder() = 0;
  virtual void getLogger() = 0;
  virtual void setMaxThreads() = 0;
  virtual void getMaxThreads() = 0;
  virtual void setTemporaryDirectory() = 0;
  virtual void getTemporaryDirectory() = 0;
  virtual void setTempfileControlFlags() = 0;
  virtual void getTempfileControlFlags() = 0;
  virtual IPluginRegistry& getPluginRegistry() noexcept = 0;
};

class VCudaEngine : public VRoot {
 public:
  virtual void getPImpl() = 0;
  virtual void getNbLayers() = 0;
  virtual void serialize() = 0;
  virtual IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept = 0;
  virtual void isRefittable() = 0;
  virtual void getName() = 0;
  virtual void getNbOptimizationProfiles() = 0;
  virtual void getEngineCapability() = 0;
  virtual void setErrorRecorder() = 0;
  virtual void getErrorRecorder() = 0;
  virtual void getTacticSources() = 0;
  virtual void getProfilingVerbosity() = 0;
  virtual void createEngineInspector() = 0;
  virtual Dims getTensorShape(const char* tensor) const noexcept = 0;
  virtual DataType getTensorDataType(const char* tensor) const noexcept = 0;
  virtual void getTensorLocation() = 0;
  virtual void isShapeInferenceIO() = 0;
  virtual TensorIOMode getTensorIOMode(const char* tensor) const noexcept = 0;
};

class VExecutionContext : public VRoot {
 public:
  virtual void getPImpl() = 0;
  virtual void setDebugSync() = 0;
  virtual void getDebugSync() = 0;
  virtual void setProfiler() = 0;
  virtual void getProfiler() = 0;
  virtual void getEngine() = 0;
  virtual void setName() = 0;
  virtual void getName() = 0;
  virtual void setDeviceMemory() = 0;
  virtual void getOptimizationProfile() = 0;
  virtual void allInputDimensionsSpecified() = 0;
  virtual void setErrorRecorder() = 0;
  virtual void getErrorRecorder() = 0;
  virtual void executeV2() = 0;
  virtual void setOptimizationProfileAsync() = 0;
  virtual void setEnqueueEmitsProfile() = 0;
  virtual void getEnqueueEmitsProfile() = 0;
  virtual void reportToProfiler() = 0;
  virtual bool setInputShape(const char* tensor, const Dims& shape) noexcept = 0;
  virtual void getTensorShape() = 0;
  virtual void getTensorStrides() = 0;
  virtual bool setTensorAddress(const char* tensor, void* address) noexcept = 0;
  virtual void getTensorAddress() = 0;
  virtual void setInputTensorAddress() = 0;
  virtual void setOutputTensorAddress() = 0;
  virtual void inferShapes() = 0;
  virtual void setInputConsumedEvent() = 0;
  virtual void getInputConsumedEvent() = 0;
  virtual void getOutputTensorAddress() = 0;
  virtual void setOutputAllocator() = 0;
  virtual void getOutputAllocator() = 0;
  virtual std::int64_t getMaxOutputSize(const char* tensor) const noexcept = 0;
  virtual void setTemporaryStorageAllocator() = 0;
  virtual void getTemporaryStorageAllocator() = 0;
  virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
};

}  // namespace apiv

class IExecutionContext : public INoCopy {
 public:
  ~IExecutionContext() noexcept override = 0;
  bool setInputShape(const char* tensor, const Dims& shape) noexcept { return mImpl->setInputShape(tensor, shape); }
  bool setTensorAddress(const char* tensor, void* address) noexcept { return mImpl->setTensorAddress(tensor, address); }
  std::int64_t getMaxOutputSize(const char* tensor) const noexcept { return mImpl->getMaxOutputSize(tensor); }
  bool enqueueV3(cudaStream_t stream) noexcept { return mImpl->enqueueV3(stream); }

 protected:
  apiv::VExecutionContext* mImpl;
};

class ICudaEngine : public INoCopy {
 public:
  ~ICudaEngine() noexcept override = 0;
  Dims getTensorShape(const char* tensor) const noexcept { return mImpl->getTensorShape(tensor); }
  DataType getTensorDataType(const char* tensor) const noexcept { return mImpl->getTensorDataType(tensor); }
  TensorIOMode getTensorIOMode(const char* tensor) const noexcept { return mImpl->getTensorIOMode(tensor); }
  IExecutionContext* createExecutionContext(
      ExecutionContextAllocationStrategy strategy = ExecutionContextAllocationStrategy::kSTATIC) noexcept {
    return mImpl->createExecutionContext(strategy);
  }

 protected:
  apiv::VCudaEngine* mImpl;
};

class IRuntime : public INoCopy {
 public:
  ~IRuntime() noexcept override = 0;
  ICudaEngine* deserializeCudaEngine(const void* plan, std::size_t size) noexcept {
    return mImpl->deserializeCudaEngine(plan, size);
  }
  IPluginRegistry& getPluginRegistry() noexcept { return mImpl->getPluginRegistry(); }

 protected:
  apiv::VRuntime* mImpl;
};

// Pure, so that these classes have no vtable here that the compiler could expect in the library's objects.
inline IExecutionContext::~IExecutionContext() noexcept = default;
inline ICudaEngine::~ICudaEngine() noexcept = default;
inline IRuntime::~IRuntime() noexcept = default;

}  // namespace nvinfer1

extern "C" void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) noexcept;
extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept;

namespace nvinfer1 {

inline IRuntime* createInferRuntime(ILogger& logger) noexcept {
  return static_cast<IRuntime*>(createInferRuntime_INTERNAL(&logger, NV_TENSORRT_VERSION));
}

}  // namespace nvinfer1

#pragma once

// A test double of NVIDIA's NvInferRuntime.h: what the plugin library, the library for other hosts, the C++ example and
// their tests use of TensorRT, for machines that cannot reach NVIDIA's headers. Where these are found, builds and tests
// take them instead; a user's build never sees this file.
//
// It keeps the binary interface of the plugin classes of TensorRT 10.0 to 11.1 (include/ of NVIDIA/TensorRT): values of
// the enumerations, members of the structs, and order of the virtual functions. The comment of each declaration names
// the vendor's header. tests/engines/test_tensorrt_interface.py compares all of it with the real headers where they are
// found, and TensorRT for RTX itself builds engines with a plugin library that is compiled against this file.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "NvInferVersion.h"

namespace nvinfer1 {

// NvInferRuntimeBase.h

using AsciiChar = char;

/// kUINT8 is no type of a plugin's tensor (IPluginV3OneBuild::getOutputDataTypes in NvInferRuntime.h).
enum class DataType : std::int32_t { kFLOAT = 0, kHALF = 1, kINT8 = 2, kINT32 = 3, kBOOL = 4, kUINT8 = 5, kINT64 = 8 };

struct Dims64 {
  static constexpr std::int32_t MAX_DIMS = 8;
  std::int32_t nbDims;
  std::int64_t d[MAX_DIMS];
};
using Dims = Dims64;

struct InterfaceInfo {
  const char* kind;
  std::int32_t major;
  std::int32_t minor;
};

enum class APILanguage : std::int32_t { kCPP = 0, kPYTHON = 1 };

/// First base of every interface below: TensorRT asks for name and version of an interface before it calls it.
class IVersionedInterface {
 public:
  virtual APILanguage getAPILanguage() const noexcept { return APILanguage::kCPP; }
  virtual InterfaceInfo getInterfaceInfo() const noexcept = 0;
  virtual ~IVersionedInterface() noexcept = default;
};

// NvInferRuntimePlugin.h

enum class TensorFormat : std::int32_t { kLINEAR = 0, kHWC8 = 2, kCHW32 = 5, kHWC = 8, kHWC16 = 11 };

struct PluginTensorDesc {
  Dims dims;
  DataType type;
  TensorFormat format;
  float scale;
};

// NvInferPluginBase.h

enum class PluginFieldType : std::int32_t { kFLOAT32 = 1, kINT32 = 5, kCHAR = 6, kUNKNOWN = 8, kINT64 = 10 };

struct PluginField {
  PluginField(const AsciiChar* field = nullptr, const void* content = nullptr,
              PluginFieldType kind = PluginFieldType::kUNKNOWN, std::int32_t count = 0) noexcept
      : name(field), data(content), type(kind), length(count) {}

  const AsciiChar* name;
  const void* data;
  PluginFieldType type;
  std::int32_t length;
};

struct PluginFieldCollection {
  std::int32_t nbFields{};
  const PluginField* fields{};
};

enum class TensorRTPhase : std::int32_t { kBUILD = 0, kRUNTIME = 1 };

enum class PluginCapabilityType : std::int32_t { kCORE = 0, kBUILD = 1, kRUNTIME = 2 };

inline namespace v_1_0 {  // the vendor's names, by using-declarations there

class IPluginCapability : public IVersionedInterface {};

class IPluginCreatorInterface : public IVersionedInterface {};

class IPluginV3 : public IVersionedInterface {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN", 1, 0}; }
  virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;
  virtual IPluginV3* clone() noexcept = 0;
};

}  // namespace v_1_0

// NvInferRuntime.h and NvInferImpl.h: symbolic dimensions. The public class calls the implementation that it points to.

enum class DimensionOperation : std::int32_t {
  kSUM = 0,
  kPROD = 1,
  kMAX = 2,
  kMIN = 3,
  kSUB = 4,
  kEQUAL = 5,
  kLESS = 6,
  kFLOOR_DIV = 7,
  kCEIL_DIV = 8
};

class IDimensionExpr;

namespace apiv {

class VRoot {
 public:
  virtual ~VRoot() noexcept = default;
};

class VDimensionExpr : public VRoot {
 public:
  virtual bool isConstant() const = 0;
  virtual std::int64_t getConstantValue() const = 0;
  virtual bool isSizeTensor() const = 0;
};

class VExprBuilder : public VRoot {
 public:
  virtual const IDimensionExpr* constant(std::int64_t value) = 0;
  virtual const IDimensionExpr* operation(DimensionOperation operation, const IDimensionExpr& first,
                                          const IDimensionExpr& second) = 0;
  virtual const IDimensionExpr* declareSizeTensor(std::int32_t output, const IDimensionExpr& opt,
                                                  const IDimensionExpr& upper) = 0;
};

}  // namespace apiv

class INoCopy {
 public:
  INoCopy(const INoCopy&) = delete;
  INoCopy& operator=(const INoCopy&) = delete;

 protected:
  INoCopy() = default;
  virtual ~INoCopy() = default;
};

class IDimensionExpr : public INoCopy {
 public:
  bool isConstant() const noexcept { return mImpl->isConstant(); }
  std::int64_t getConstantValue() const noexcept { return mImpl->getConstantValue(); }
  bool isSizeTensor() const noexcept { return mImpl->isSizeTensor(); }

 protected:
  ~IDimensionExpr() noexcept override = default;
  apiv::VDimensionExpr* mImpl;
};

class IExprBuilder : public INoCopy {
 public:
  const IDimensionExpr* constant(std::int64_t value) noexcept { return mImpl->constant(value); }
  const IDimensionExpr* operation(DimensionOperation operation, const IDimensionExpr& first,
                                  const IDimensionExpr& second) noexcept {
    return mImpl->operation(operation, first, second);
  }

 protected:
  ~IExprBuilder() noexcept override = default;
  apiv::VExprBuilder* mImpl;
};

struct DimsExprs {
  std::int32_t nbDims;
  const IDimensionExpr* d[Dims::MAX_DIMS];
};

// NvInferRuntime.h: the plugin's interfaces, its creator's, and the logger's

struct DynamicPluginTensorDesc {
  PluginTensorDesc desc;
  Dims min;
  Dims max;
  Dims opt;
};

class IPluginResourceContext;

inline namespace v_1_0 {

class IPluginV3OneCore : public IPluginCapability {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN_V3ONE_CORE", 1, 0}; }
  virtual const AsciiChar* getPluginName() const noexcept = 0;
  virtual const AsciiChar* getPluginVersion() const noexcept = 0;
  virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class IPluginV3OneBuild : public IPluginCapability {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN_V3ONE_BUILD", 1, 0}; }
  virtual std::int32_t configurePlugin(const DynamicPluginTensorDesc* inputs, std::int32_t input_count,
                                       const DynamicPluginTensorDesc* outputs, std::int32_t output_count) noexcept = 0;
  virtual std::int32_t getOutputDataTypes(DataType* outputs, std::int32_t output_count, const DataType* inputs,
                                          std::int32_t input_count) const noexcept = 0;
  virtual std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t input_count, const DimsExprs* shape_inputs,
                                       std::int32_t shape_input_count, DimsExprs* outputs, std::int32_t output_count,
                                       IExprBuilder& builder) noexcept = 0;
  virtual bool supportsFormatCombination(std::int32_t position, const DynamicPluginTensorDesc* tensors,
                                         std::int32_t input_count, std::int32_t output_count) noexcept = 0;
  virtual std::int32_t getNbOutputs() const noexcept = 0;
  virtual std::size_t getWorkspaceSize(const DynamicPluginTensorDesc* /*inputs*/, std::int32_t /*input_count*/,
                                       const DynamicPluginTensorDesc* /*outputs*/,
                                       std::int32_t /*output_count*/) const noexcept {
    return 0;
  }
  virtual std::int32_t getValidTactics(std::int32_t* /*tactics*/, std::int32_t /*count*/) noexcept { return 0; }
  virtual std::int32_t getNbTactics() noexcept { return 0; }
  virtual const char* getTimingCacheID() noexcept { return nullptr; }
  virtual std::int32_t getFormatCombinationLimit() noexcept { return 100; }
  virtual const char* getMetadataString() noexcept { return nullptr; }
};

class IPluginV3OneRuntime : public IPluginCapability {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN_V3ONE_RUNTIME", 1, 0}; }
  virtual std::int32_t setTactic(std::int32_t /*tactic*/) noexcept { return 0; }
  virtual std::int32_t onShapeChange(const PluginTensorDesc* inputs, std::int32_t input_count,
                                     const PluginTensorDesc* outputs, std::int32_t output_count) noexcept = 0;
  virtual std::int32_t enqueue(const PluginTensorDesc* input_descs, const PluginTensorDesc* output_descs,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept = 0;
  virtual IPluginV3* attachToContext(IPluginResourceContext* context) noexcept = 0;
  virtual const PluginFieldCollection* getFieldsToSerialize() noexcept = 0;
};

class IPluginCreatorV3One : public IPluginCreatorInterface {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN CREATOR_V3ONE", 1, 0}; }
  virtual IPluginV3* createPlugin(const AsciiChar* name, const PluginFieldCollection* fields,
                                  TensorRTPhase phase) noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual const AsciiChar* getPluginName() const noexcept = 0;
  virtual const AsciiChar* getPluginVersion() const noexcept = 0;
  virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class ILogger : public IVersionedInterface {
 public:
  enum class Severity : std::int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2, kINFO = 3, kVERBOSE = 4 };

  InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILogger", 1, 0}; }
  virtual void log(Severity severity, const AsciiChar* message) noexcept = 0;
};

class ILoggerFinder : public IVersionedInterface {
 public:
  InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILoggerFinder", 1, 0}; }
  virtual ILogger* findLogger() = 0;

 protected:
  ~ILoggerFinder() override = default;
};

}  // namespace v_1_0

}  // namespace nvinfer1

#include "plugin_registry.h"
#include "runtime.h"

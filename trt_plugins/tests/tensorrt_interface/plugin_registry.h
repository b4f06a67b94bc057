#pragma once

// NvInferRuntimeCommon.h: the plugin registry, included by NvInferRuntime.h. Complete, since a double derives from it.
// TensorRT 11 removed the four functions for IPluginCreator, so that the others have other places in the vtable.

namespace nvinfer1 {

inline namespace v_1_0 {
class IErrorRecorder;   // NvInferRuntimeBase.h
class IPluginResource;  // NvInferRuntime.h
class IPluginCreator;   // NvInferRuntime.h of TensorRT 10
}  // namespace v_1_0

class IPluginRegistry {
 public:
  using PluginLibraryHandle = void*;

  IPluginRegistry() = default;
  IPluginRegistry(const IPluginRegistry&) = delete;
  IPluginRegistry& operator=(const IPluginRegistry&) = delete;

#if NV_TENSORRT_MAJOR < 11
  virtual bool registerCreator(IPluginCreator& creator, const AsciiChar* name_space) noexcept = 0;
  virtual IPluginCreator* const* getPluginCreatorList(std::int32_t* count) const noexcept = 0;
  virtual IPluginCreator* getPluginCreator(const AsciiChar* name, const AsciiChar* version,
                                           const AsciiChar* name_space) noexcept = 0;
#endif

 protected:
  virtual ~IPluginRegistry() noexcept = default;

 public:
  virtual void setErrorRecorder(IErrorRecorder* recorder) noexcept = 0;
  virtual IErrorRecorder* getErrorRecorder() const noexcept = 0;
#if NV_TENSORRT_MAJOR < 11
  virtual bool deregisterCreator(const IPluginCreator& creator) noexcept = 0;
#endif
  virtual bool isParentSearchEnabled() const = 0;
  virtual void setParentSearchEnabled(bool enabled) = 0;
  virtual PluginLibraryHandle loadLibrary(const AsciiChar* path) noexcept = 0;
  virtual void deregisterLibrary(PluginLibraryHandle handle) noexcept = 0;
  virtual bool registerCreator(IPluginCreatorInterface& creator, const AsciiChar* name_space) noexcept = 0;
  virtual IPluginCreatorInterface* const* getAllCreators(std::int32_t* count) const noexcept = 0;
  virtual IPluginCreatorInterface* getCreator(const AsciiChar* name, const AsciiChar* version,
                                              const AsciiChar* name_space = "") noexcept = 0;
  virtual bool deregisterCreator(const IPluginCreatorInterface& creator) noexcept = 0;
  virtual IPluginResource* acquirePluginResource(const AsciiChar* key, IPluginResource* resource) noexcept = 0;
  virtual std::int32_t releasePluginResource(const AsciiChar* key) noexcept = 0;
  virtual IPluginCreatorInterface* const* getAllCreatorsRecursive(std::int32_t* count) noexcept = 0;  // from 10.10 on
};

}  // namespace nvinfer1

// Double of libnvinfer's plugin registry: a host in which only the registry works.
// Rules kept, from NvInferRuntimeCommon.h of TensorRT 10.16 and 11.1, IPluginRegistry::loadLibrary: it calls
// setLoggerFinder, if the library has it, then getCreators, and registers each creator in its own namespace; it returns
// nullptr if the library is loaded already or has no getCreators.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace {

using nvinfer1::AsciiChar;
using nvinfer1::IPluginCreatorInterface;

class Registry final : public nvinfer1::IPluginRegistry {
 public:
  PluginLibraryHandle loadLibrary(AsciiChar const* path) noexcept override {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    using GetCreators = IPluginCreatorInterface* const* (*)(std::int32_t&);
    const auto get_creators =
        library == nullptr ? nullptr : reinterpret_cast<GetCreators>(dlsym(library, "getCreators"));
    if (get_creators == nullptr || !libraries_.insert(library).second) {
      return nullptr;
    }
    std::int32_t count = 0;
    IPluginCreatorInterface* const* creators = get_creators(count);
    creators_.insert(creators_.end(), creators, creators + count);
    return library;
  }

  IPluginCreatorInterface* getCreator(AsciiChar const* name, AsciiChar const* version,
                                      AsciiChar const* name_space) noexcept override {
    for (IPluginCreatorInterface* creator : creators_) {
      auto& one = *static_cast<nvinfer1::IPluginCreatorV3One*>(creator);
      if (std::string(one.getPluginName()) == name && std::string(one.getPluginVersion()) == version &&
          std::string(one.getPluginNamespace()) == name_space) {
        return creator;
      }
    }
    return nullptr;
  }

  IPluginCreatorInterface* const* getAllCreators(std::int32_t* const count) const noexcept override {
    *count = static_cast<std::int32_t>(creators_.size());
    return creators_.data();
  }
  // Without `override`, since releases before 10.10 do not have it.
  virtual IPluginCreatorInterface* const* getAllCreatorsRecursive(std::int32_t* const count) noexcept {
    return getAllCreators(count);
  }

  void setErrorRecorder(nvinfer1::IErrorRecorder* const) noexcept override {}
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; }
  bool isParentSearchEnabled() const override { return true; }
  void setParentSearchEnabled(bool const) override {}
  void deregisterLibrary(PluginLibraryHandle) noexcept override {}
  bool registerCreator(IPluginCreatorInterface&, AsciiChar const* const) noexcept override { return false; }
  bool deregisterCreator(IPluginCreatorInterface const&) noexcept override { return false; }
  nvinfer1::IPluginResource* acquirePluginResource(AsciiChar const*, nvinfer1::IPluginResource*) noexcept override {
    return nullptr;
  }
  std::int32_t releasePluginResource(AsciiChar const*) noexcept override { return -1; }
#if NV_TENSORRT_MAJOR < 11
  bool registerCreator(nvinfer1::IPluginCreator&, AsciiChar const* const) noexcept override {
    return false;
  }
  nvinfer1::IPluginCreator* const* getPluginCreatorList(std::int32_t* const) const noexcept override {
    return nullptr;
  }
  nvinfer1::IPluginCreator* getPluginCreator(AsciiChar const* const, AsciiChar const* const,
                                             AsciiChar const* const) noexcept override {
    return nullptr;
  }
  bool deregisterCreator(nvinfer1::IPluginCreator const&) noexcept override {
    return false;
  }
#endif

 private:
  std::set<void*> libraries_;
  std::vector<IPluginCreatorInterface*> creators_;
};

Registry registry;

}  // namespace

extern "C" __attribute__((visibility("default"))) nvinfer1::IPluginRegistry* getPluginRegistry() noexcept {
  return &registry;
}

// For the test: how many plugins are registered.
extern "C" __attribute__((visibility("default"))) std::int32_t double_plugin_count() {
  std::int32_t count = 0;
  registry.getAllCreators(&count);
  return count;
}

// Calls of TensorRT's plugin registry. Their places in the vtable differ between major versions, so this file is
// compiled once for each, with its headers. All of them are virtual: the object files have no symbol of TensorRT's, by
// which two versions in one library could be mixed up.
#include "registry.h"

#include <NvInferRuntime.h>

namespace hyperseg::hosts {
namespace {

bool registered(nvinfer1::IPluginRegistry& registry) {
  return registry.getCreator("DPWConv", "1", "hyperseg") != nullptr;
}

}  // namespace

template <>
bool register_plugins<NV_TENSORRT_MAJOR>(void* registry, const char* path) {
  auto& plugins = *static_cast<nvinfer1::IPluginRegistry*>(registry);
  // Registered already: this library was closed and opened again, or is a second copy.
  return registered(plugins) || (plugins.loadLibrary(path) != nullptr && registered(plugins));
}

}  // namespace hyperseg::hosts

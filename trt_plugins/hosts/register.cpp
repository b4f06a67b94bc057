// Registers the plugins of libhyperseg_trt.so, which is beside this library, when a host opens this one with dlopen.
//
// Triton (--backend-config=tensorrt,plugins=...), DeepStream (custom-lib-path) and trtexec (--staticPlugins) do nothing
// but that: they expect a library that registers itself. libhyperseg_trt.so does not, so that one build of it serves
// every TensorRT; this library calls IPluginRegistry::loadLibrary, whose place in the vtable differs between major
// versions. So it is for the TensorRT of the headers that it was compiled with, and looks for no other.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <string>

#define HYPERSEG_TEXT_OF(value) #value
#define HYPERSEG_TEXT(value) HYPERSEG_TEXT_OF(value)

namespace {

constexpr const char* tensorrt_library = "libnvinfer.so." HYPERSEG_TEXT(NV_TENSORRT_MAJOR);
constexpr const char* plugin_library = "libhyperseg_trt.so";

void complain(const std::string& message) {
  std::fprintf(stderr, "hyperseg: %s\n", message.c_str());
}

// The host's TensorRT, which it has loaded already: a second copy would have a registry of its own.
nvinfer1::IPluginRegistry* registry_of_host() {
  void* library = dlopen(tensorrt_library, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) {
    complain(std::string(tensorrt_library) +
             " is not loaded, so no plugins were registered: open this library after TensorRT (not with LD_PRELOAD), "
             "and build it with the headers of the host's TensorRT (TensorRT_ROOT=... pip install .)");
    return nullptr;
  }
  using GetRegistry = nvinfer1::IPluginRegistry* (*)() noexcept;
  const auto get_registry = reinterpret_cast<GetRegistry>(dlsym(library, "getPluginRegistry"));
  nvinfer1::IPluginRegistry* registry = get_registry == nullptr ? nullptr : get_registry();
  if (registry == nullptr) {
    complain(std::string(tensorrt_library) + " has no plugin registry; reinstall TensorRT");
  }
  return registry;  // the library stays open: the registry is used until the process ends
}

std::string path_beside_this_library(const char* name) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&tensorrt_library), &info) == 0 || info.dli_fname == nullptr) {
    return name;
  }
  const std::string own = info.dli_fname;
  const std::size_t slash = own.rfind('/');
  return slash == std::string::npos ? name : own.substr(0, slash + 1) + name;
}

bool registered(nvinfer1::IPluginRegistry& registry) {
  return registry.getCreator("DPWConv", "1", "hyperseg") != nullptr;
}

__attribute__((constructor)) void register_plugins() {
  nvinfer1::IPluginRegistry* registry = registry_of_host();
  if (registry == nullptr || registered(*registry)) {
    return;  // the second: this library was closed and opened again
  }
  const std::string path = path_beside_this_library(plugin_library);
  if (registry->loadLibrary(path.c_str()) == nullptr || !registered(*registry)) {
    complain(path + " was not loaded by TensorRT; install both libraries from one build");
  }
}

}  // namespace

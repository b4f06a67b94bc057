// Registers the plugins of libhyperseg_trt.so, which is beside this library, when a host opens this one with dlopen.
//
// Triton (--backend-config=tensorrt,plugins=...), DeepStream (custom-lib-path) and trtexec (--staticPlugins) do nothing
// but that: they expect a library that registers itself. libhyperseg_trt.so does not, since that takes a call of the
// registry, which differs between major versions. This library has the call of each version whose headers CMake found,
// and makes that of the version that the host has loaded.
#include <dlfcn.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>

#include "registry.h"

namespace {

struct TensorRT {
  const char* library;
  bool (*register_plugins)(void* registry, const char* path);
};

constexpr std::array versions{
#ifdef HYPERSEG_HOSTS_TENSORRT_10
    TensorRT{"libnvinfer.so.10", hyperseg::hosts::register_plugins<10>},
#endif
#ifdef HYPERSEG_HOSTS_TENSORRT_11
    TensorRT{"libnvinfer.so.11", hyperseg::hosts::register_plugins<11>},
#endif
};
constexpr std::size_t known_versions = 2;
constexpr const char* plugin_library = "libhyperseg_trt.so";

void complain(const std::string& message) {
  std::fprintf(stderr, "hyperseg: %s\n", message.c_str());
}

std::string path_beside_this_library(const char* name) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&versions), &info) == 0 || info.dli_fname == nullptr) {
    return name;
  }
  const std::string own = info.dli_fname;
  const std::size_t slash = own.rfind('/');
  return slash == std::string::npos ? name : own.substr(0, slash + 1) + name;
}

void register_plugins(const TensorRT& tensorrt, void* library) {
  using GetRegistry = void* (*)() noexcept;
  const auto get_registry = reinterpret_cast<GetRegistry>(dlsym(library, "getPluginRegistry"));
  void* registry = get_registry == nullptr ? nullptr : get_registry();
  if (registry == nullptr) {
    complain(std::string(tensorrt.library) + " has no plugin registry; reinstall TensorRT");
    return;
  }
  const std::string path = path_beside_this_library(plugin_library);
  if (!tensorrt.register_plugins(registry, path.c_str())) {
    complain(path + " was not loaded by TensorRT; install both libraries from one build");
  }
}

void complain_of_no_tensorrt() {
  std::string message = versions.front().library;
  for (std::size_t i = 1; i < versions.size(); ++i) {
    message += std::string(" or ") + versions[i].library;
  }
  message += " is not loaded, so no plugins were registered: open this library after TensorRT (not with LD_PRELOAD)";
  if (versions.size() < known_versions) {
    message += ", and build it with the headers of the host's TensorRT (TensorRT_ROOT=... pip install .)";
  }
  complain(message);
}

__attribute__((constructor)) void register_on_opening() {
  bool loaded = false;
  for (const TensorRT& tensorrt : versions) {
    // The host's own, which stays open, since the registry is used until the process ends. Loading a second copy would
    // give a registry of its own.
    if (void* library = dlopen(tensorrt.library, RTLD_NOW | RTLD_NOLOAD)) {
      loaded = true;
      register_plugins(tensorrt, library);
    }
  }
  if (!loaded) {
    complain_of_no_tensorrt();
  }
}

}  // namespace

// TensorRT's plugin registry, without TensorRT's headers.
#pragma once

namespace hyperseg::hosts {

// Loads the plugin library at `path` into `registry`, which is the nvinfer1::IPluginRegistry of TensorRT `major`. Does
// nothing if our plugins are registered there already. Returns whether they are registered.
template <int major>
bool register_plugins(void* registry, const char* path);

template <>
bool register_plugins<10>(void* registry, const char* path);
template <>
bool register_plugins<11>(void* registry, const char* path);

}  // namespace hyperseg::hosts

#pragma once

// A test double of NVIDIA's NvInferVersion.h, of TensorRT 11.1. -DNV_TENSORRT_MAJOR=10 selects the plugin registry of
// TensorRT 10 (plugin_registry.h).

#ifndef NV_TENSORRT_MAJOR
#define NV_TENSORRT_MAJOR 11
#endif
#ifndef NV_TENSORRT_MINOR
#define NV_TENSORRT_MINOR 1
#endif
#define NV_TENSORRT_PATCH 0

// NvInferRuntimeBase.h
#define NV_TENSORRT_VERSION (NV_TENSORRT_MAJOR * 10000L + NV_TENSORRT_MINOR * 100L + NV_TENSORRT_PATCH)

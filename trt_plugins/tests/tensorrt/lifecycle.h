#pragma once

#include <cstddef>
#include <vector>

#include "request.h"

namespace hyperseg::tests {

/// Runs a plugin through its life cycle in TensorRT, on host memory: createPlugin, the build phase's questions,
/// getFieldsToSerialize, createPlugin from these fields, attachToContext, onShapeChange, enqueue. Every object is
/// deleted as soon as TensorRT may delete it. Returns the output. Throws std::runtime_error at the first
/// violation of the contract.
std::vector<std::byte> run_lifecycle(const Request& request);

}  // namespace hyperseg::tests

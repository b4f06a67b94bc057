#pragma once

#include <NvInferRuntime.h>

#include <string>

namespace hyperseg::tensorrt {

/// TensorRT's logger, set by `setLoggerFinder`. Without it messages go to stderr.
void set_logger_finder(nvinfer1::ILoggerFinder* finder);

void log_error(const std::string& message) noexcept;

}  // namespace hyperseg::tensorrt

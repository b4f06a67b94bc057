#include "logging.h"

#include <atomic>
#include <cstdio>

namespace hyperseg::tensorrt {
namespace {

// TensorRT passes the finder to the library, not to a plugin, so it cannot live in an object.
std::atomic<nvinfer1::ILoggerFinder*> logger_finder{nullptr};

}  // namespace

void set_logger_finder(nvinfer1::ILoggerFinder* finder) {
  logger_finder = finder;
}

void log_error(const std::string& message) noexcept {
  nvinfer1::ILoggerFinder* finder = logger_finder;
  nvinfer1::ILogger* logger = finder == nullptr ? nullptr : finder->findLogger();
  if (logger == nullptr) {
    std::fprintf(stderr, "hyperseg: %s\n", message.c_str());
  } else {
    logger->log(nvinfer1::ILogger::Severity::kERROR, message.c_str());
  }
}

}  // namespace hyperseg::tensorrt

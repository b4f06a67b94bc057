#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

namespace hyperseg::tests {

/// An input on the "device": host memory of exactly the tensor's size, so that the address sanitizer sees every step
/// outside it.
struct HostTensor {
  nvinfer1::Dims dims{};
  std::vector<std::byte> bytes;
};

/// One node: what the parser would pass to the plugin, and the tensors that it runs on. A text file:
///
///   operator DPWConv
///   type float16
///   ints kernel_shape 1 1
///   text activation relu
///   formats kHWC kLINEAR    the formats allowed for X; it is stored in the first. Default: kLINEAR
///   input 4 1 5 8 12        rank and extents; the values are in FILE.0, FILE.1, ...
///   output 4 1 4 8 12       what the plugin is to make
struct Request {
  std::string name;
  nvinfer1::DataType type = nvinfer1::DataType::kFLOAT;
  std::vector<nvinfer1::PluginField> fields;
  std::vector<nvinfer1::TensorFormat> x_formats;
  std::vector<HostTensor> inputs;
  nvinfer1::Dims output{};

  // What the fields point to.
  std::deque<std::string> names;
  std::deque<std::string> texts;
  std::deque<std::vector<std::int32_t>> integers;

  static Request read(const std::filesystem::path& path);
};

std::size_t element_count(const nvinfer1::Dims& dims);
std::size_t element_size(nvinfer1::DataType type);

}  // namespace hyperseg::tests

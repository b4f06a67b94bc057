#include "request.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace hyperseg::tests {
namespace {

nvinfer1::Dims read_dims(std::istream& line) {
  nvinfer1::Dims dims{};
  line >> dims.nbDims;
  for (int axis = 0; axis < dims.nbDims; ++axis) line >> dims.d[axis];
  return dims;
}

nvinfer1::TensorFormat format_of(const std::string& name) {
  if (name == "kLINEAR") return nvinfer1::TensorFormat::kLINEAR;
  if (name == "kHWC") return nvinfer1::TensorFormat::kHWC;
  if (name == "kHWC8") return nvinfer1::TensorFormat::kHWC8;
  throw std::runtime_error("unknown format " + name);
}

std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

}  // namespace

std::size_t element_count(const nvinfer1::Dims& dims) {
  std::size_t count = 1;
  for (int axis = 0; axis < dims.nbDims; ++axis) count *= static_cast<std::size_t>(dims.d[axis]);
  return count;
}

std::size_t element_size(nvinfer1::DataType type) {
  return type == nvinfer1::DataType::kHALF ? 2 : 4;
}

Request Request::read(const std::filesystem::path& path) {
  Request request;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string kind, value;
    line >> kind;
    if (kind == "operator") {
      line >> request.name;
    } else if (kind == "type") {
      line >> value;
      request.type = value == "float16" ? nvinfer1::DataType::kHALF : nvinfer1::DataType::kFLOAT;
    } else if (kind == "ints") {
      line >> request.names.emplace_back();
      auto& values = request.integers.emplace_back(std::istream_iterator<std::int32_t>(line),
                                                   std::istream_iterator<std::int32_t>());
      request.fields.emplace_back(request.names.back().c_str(), values.data(), nvinfer1::PluginFieldType::kINT32,
                                  static_cast<std::int32_t>(values.size()));
    } else if (kind == "text") {
      line >> request.names.emplace_back() >> request.texts.emplace_back();
      request.fields.emplace_back(request.names.back().c_str(), request.texts.back().c_str(),
                                  nvinfer1::PluginFieldType::kCHAR,
                                  static_cast<std::int32_t>(request.texts.back().size() + 1));
    } else if (kind == "formats") {
      while (line >> value) request.x_formats.push_back(format_of(value));
    } else if (kind == "input") {
      const std::string index = std::to_string(request.inputs.size());
      request.inputs.push_back({read_dims(line), read_bytes(path.string() + "." + index)});
    } else if (kind == "output") {
      request.output = read_dims(line);
    } else {
      throw std::runtime_error(path.string() + ": unknown line: " + text);
    }
  }
  if (request.x_formats.empty()) request.x_formats = {nvinfer1::TensorFormat::kLINEAR};
  return request;
}

}  // namespace hyperseg::tests

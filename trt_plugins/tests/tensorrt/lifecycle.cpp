#include "lifecycle.h"

#include <NvInferRuntime.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "host_expressions.h"

extern "C" nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count);

namespace hyperseg::tests {
namespace {

using nvinfer1::DataType;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::IPluginV3;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;
using Plugin = std::unique_ptr<IPluginV3>;

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

nvinfer1::IPluginCreatorV3One& creator_of(const std::string& name) {
  std::int32_t count = 0;
  nvinfer1::IPluginCreatorInterface* const* creators = getCreators(count);
  for (int i = 0; i < count; ++i) {
    auto& creator = static_cast<nvinfer1::IPluginCreatorV3One&>(*creators[i]);
    if (name == creator.getPluginName()) return creator;
  }
  throw std::runtime_error("no creator of that name");
}

template <typename Capability>
Capability& capability(IPluginV3& plugin, nvinfer1::PluginCapabilityType type) {
  auto* found = static_cast<Capability*>(plugin.getCapabilityInterface(type));
  expect(found != nullptr, "a capability is missing");
  return *found;
}

nvinfer1::IPluginV3OneBuild& build_of(IPluginV3& plugin) {
  return capability<nvinfer1::IPluginV3OneBuild>(plugin, nvinfer1::PluginCapabilityType::kBUILD);
}

nvinfer1::IPluginV3OneRuntime& runtime_of(IPluginV3& plugin) {
  return capability<nvinfer1::IPluginV3OneRuntime>(plugin, nvinfer1::PluginCapabilityType::kRUNTIME);
}

PluginTensorDesc describe(const nvinfer1::Dims& dims, DataType type, TensorFormat format = TensorFormat::kLINEAR) {
  return PluginTensorDesc{dims, type, format, -1.0f};
}

std::vector<PluginTensorDesc> describe_inputs(const Request& request) {
  std::vector<PluginTensorDesc> inputs;
  for (const HostTensor& tensor : request.inputs) {
    inputs.push_back(
        describe(tensor.dims, request.type, inputs.empty() ? request.x_formats.front() : TensorFormat::kLINEAR));
  }
  return inputs;
}

/// What the fields hold, as bytes: an engine file has nothing else of them.
std::vector<std::string> contents(const nvinfer1::PluginFieldCollection& fields) {
  std::vector<std::string> result;
  for (int i = 0; i < fields.nbFields; ++i) {
    const nvinfer1::PluginField& field = fields.fields[i];
    const std::size_t size = field.type == nvinfer1::PluginFieldType::kCHAR ? 1 : 4;
    result.emplace_back(field.name);
    result.back() += ':' + std::string(static_cast<const char*>(field.data), size * field.length);
  }
  return result;
}

void check_output_shape(IPluginV3& plugin, const Request& request, bool known) {
  HostExpressions expressions;
  std::vector<nvinfer1::DimsExprs> inputs;
  for (const HostTensor& tensor : request.inputs) {
    nvinfer1::DimsExprs& shape = inputs.emplace_back();
    shape.nbDims = tensor.dims.nbDims;
    for (int axis = 0; axis < shape.nbDims; ++axis) shape.d[axis] = expressions.extent(tensor.dims.d[axis], known);
  }
  nvinfer1::DimsExprs output{};
  expect(build_of(plugin).getOutputShapes(inputs.data(), static_cast<std::int32_t>(inputs.size()), nullptr, 0, &output,
                                          1, expressions) == 0,
         "getOutputShapes failed");
  expect(output.nbDims == request.output.nbDims, "getOutputShapes gave another rank");
  for (int axis = 0; axis < output.nbDims; ++axis) {
    const std::int64_t extent = static_cast<const HostExtent*>(output.d[axis])->value();
    expect(extent == request.output.d[axis],
           "getOutputShapes gave " + std::to_string(extent) + " for axis " + std::to_string(axis) + " of the output");
  }
}

DataType check_types(IPluginV3& plugin, const Request& request) {
  const std::vector<DataType> inputs(request.inputs.size(), request.type);
  DataType output = DataType::kBOOL;
  const auto count = static_cast<std::int32_t>(inputs.size());
  expect(build_of(plugin).getOutputDataTypes(&output, 1, inputs.data(), count) == 0, "getOutputDataTypes failed");
  if (count > 1) {
    std::vector<DataType> mixed = inputs;
    mixed.back() = request.type == DataType::kHALF ? DataType::kFLOAT : DataType::kHALF;
    DataType ignored{};
    expect(build_of(plugin).getOutputDataTypes(&ignored, 1, mixed.data(), count) != 0, "mixed types were accepted");
  }
  return output;
}

void check_formats(IPluginV3& plugin, const Request& request, DataType output) {
  const auto count = static_cast<std::int32_t>(request.inputs.size());
  std::vector<DynamicPluginTensorDesc> tensors;
  for (const PluginTensorDesc& input : describe_inputs(request)) {
    tensors.push_back({input, input.dims, input.dims, input.dims});
  }
  tensors.push_back({describe(request.output, output), request.output, request.output, request.output});
  for (int position = 0; position <= count; ++position) {
    const auto accepts = [&] { return build_of(plugin).supportsFormatCombination(position, tensors.data(), count, 1); };
    PluginTensorDesc& tensor = tensors[static_cast<std::size_t>(position)].desc;
    const PluginTensorDesc right = tensor;
    expect(accepts(), "the contract's types are refused at position " + std::to_string(position));
    tensor.type = DataType::kINT8;
    expect(!accepts(), "INT8 was accepted at position " + std::to_string(position));
    tensor = right;
    std::vector<TensorFormat> right_formats = {TensorFormat::kLINEAR};
    if (position == 0) right_formats = request.x_formats;
    for (const TensorFormat format :
         {TensorFormat::kLINEAR, TensorFormat::kHWC, TensorFormat::kHWC8, TensorFormat::kHWC16, TensorFormat::kCHW32}) {
      tensor.format = format;
      const bool expected = std::find(right_formats.begin(), right_formats.end(), format) != right_formats.end();
      expect(accepts() == expected, "format " + std::to_string(static_cast<int>(format)) + " was " +
                                        (expected ? "refused" : "accepted") + " at position " +
                                        std::to_string(position));
    }
    tensor = right;
  }
  expect(build_of(plugin).configurePlugin(tensors.data(), count, &tensors.back(), 1) == 0, "configurePlugin failed");
}

}  // namespace

std::vector<std::byte> run_lifecycle(const Request& request) {
  nvinfer1::IPluginCreatorV3One& creator = creator_of(request.name);
  const nvinfer1::PluginFieldCollection given{static_cast<std::int32_t>(request.fields.size()), request.fields.data()};
  Plugin built(creator.createPlugin("node", &given, nvinfer1::TensorRTPhase::kBUILD));
  expect(built != nullptr, "createPlugin refused the node's attributes");
  Plugin copy(built->clone());
  built.reset();
  check_output_shape(*copy, request, true);
  check_output_shape(*copy, request, false);
  const DataType output_type = check_types(*copy, request);
  check_formats(*copy, request, output_type);

  const nvinfer1::PluginFieldCollection* stored = runtime_of(*copy).getFieldsToSerialize();
  Plugin loaded(creator.createPlugin("node", stored, nvinfer1::TensorRTPhase::kRUNTIME));
  expect(loaded != nullptr, "createPlugin refused the fields that the plugin itself stored");
  expect(contents(*stored) == contents(*runtime_of(*loaded).getFieldsToSerialize()), "the fields changed on their way");
  copy.reset();
  Plugin attached(runtime_of(*loaded).attachToContext(nullptr));
  loaded.reset();
  expect(attached != nullptr, "attachToContext failed");

  const std::vector<PluginTensorDesc> inputs = describe_inputs(request);
  std::vector<const void*> addresses;
  for (const HostTensor& tensor : request.inputs) addresses.push_back(tensor.bytes.data());
  const PluginTensorDesc output = describe(request.output, output_type);
  // Bytes that are no number: a value that no thread writes shows.
  std::vector<std::byte> result(element_count(request.output) * element_size(output_type), std::byte{0xFF});
  void* target = result.data();
  nvinfer1::IPluginV3OneRuntime& runtime = runtime_of(*attached);
  expect(runtime.enqueue(inputs.data(), &output, addresses.data(), &target, nullptr, nullptr) != 0,
         "enqueue ran before the shapes were known");
  expect(runtime.onShapeChange(inputs.data(), static_cast<std::int32_t>(inputs.size()), &output, 1) == 0,
         "onShapeChange failed");
  expect(runtime.enqueue(inputs.data(), &output, addresses.data(), &target, nullptr, nullptr) == 0, "enqueue failed");
  return result;
}

}  // namespace hyperseg::tests

// Segments an image with an engine of hyperseg-build-engine, through TensorRT 10 or 11.
//
//   segment_engine m.engine libhyperseg_trt.so photo.ppm labels.pgm
//
// Deserialising an engine runs code that is in it. This program checks nothing: it is for engines that you built, on
// this machine, with this TensorRT. `hyperseg_runtime` checks the sidecar (m.engine.json) before it loads an engine.
// The image has the engine's size, as in segment_onnx.cpp.
#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "pnm.h"

namespace {

constexpr const char* input_name = "image";
constexpr const char* output_name = "labels";
constexpr const char* low_logits_name = "low_logits";

class Logger final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kWARNING) {
      std::fprintf(stderr, "TensorRT: %s\n", message);
    }
  }
};

void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string(call) + " failed: " + cudaGetErrorString(status));
  }
}

// TensorRT signals failure by returning nullptr or false, and logs the reason.
template <typename Pointer>
Pointer made(Pointer pointer, const std::string& what) {
  if (!pointer) {
    throw std::runtime_error("TensorRT " + what + "; see its messages above");
  }
  return pointer;
}

void require(bool done, const std::string& what) {
  if (!done) {
    throw std::runtime_error("TensorRT " + what + "; see its messages above");
  }
}

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t bytes) { check(cudaMalloc(&address_, bytes), "cudaMalloc"); }
  ~DeviceMemory() { cudaFree(address_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* get() const { return address_; }

 private:
  void* address_ = nullptr;
};

std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file || content.empty()) {
    throw std::runtime_error(path + " cannot be read, or is empty; build it with hyperseg-build-engine");
  }
  return content;
}

std::vector<std::int64_t> extents_of(const nvinfer1::Dims& dims) {
  return {dims.d, dims.d + dims.nbDims};
}

// Throws std::runtime_error where the engine has other tensors, or does not take the image.
void check_tensors(const nvinfer1::ICudaEngine& engine, const Image& image) {
  for (const char* name : {input_name, output_name}) {
    if (engine.getTensorDataType(name) != nvinfer1::DataType::kUINT8) {
      throw std::runtime_error(std::string("the engine's ") + name + " is not uint8; export the model with " +
                               "--input-type uint8 and --output-type labels");
    }
  }
  const std::vector<std::int64_t> extents = extents_of(engine.getTensorShape(input_name));
  const std::vector<std::int64_t> shape{1, image.height, image.width, 3};
  if (!fits(extents, shape)) {
    throw std::runtime_error("the engine takes images of shape " + text_of(extents) + ", not " + text_of(shape) +
                             "; resize the image (ffmpeg -i photo.jpg -vf scale=WIDTH:HEIGHT out.ppm)");
  }
}

void segment(const std::string& path, const std::string& library, const std::string& input, const std::string& output) {
  keep_inputs(output, {input, path});
  const Image image = read_ppm(input);
  const std::vector<char> plan = read_file(path);

  // Destroyed in reverse: context, engine, runtime.
  Logger logger;
  const auto runtime = made(std::unique_ptr<nvinfer1::IRuntime>(nvinfer1::createInferRuntime(logger)), "did not start");
  made(runtime->getPluginRegistry().loadLibrary(library.c_str()), "did not load the plugins of " + library);
  const auto engine =
      made(std::unique_ptr<nvinfer1::ICudaEngine>(runtime->deserializeCudaEngine(plan.data(), plan.size())),
           "did not take " + path + " (another version, another GPU, or damaged)");
  check_tensors(*engine, image);
  const auto context =
      made(std::unique_ptr<nvinfer1::IExecutionContext>(engine->createExecutionContext()), "made no context");

  const std::size_t pixels = static_cast<std::size_t>(image.height * image.width);
  const Stream stream;
  const DeviceMemory device_image(image.samples.size());
  const DeviceMemory device_labels(pixels);
  require(context->setInputShape(input_name, nvinfer1::Dims4{1, image.height, image.width, 3}),
          "does not take an image of this size (the profile of --min and --max)");
  require(context->setTensorAddress(input_name, device_image.get()), "refused an address");
  require(context->setTensorAddress(output_name, device_labels.get()), "refused an address");
  // Engines of hyperseg-build-engine have their logits as an output too. TensorRT writes all outputs, used or not.
  std::unique_ptr<DeviceMemory> device_logits;
  if (engine->getTensorIOMode(low_logits_name) == nvinfer1::TensorIOMode::kOUTPUT) {
    device_logits =
        std::make_unique<DeviceMemory>(static_cast<std::size_t>(context->getMaxOutputSize(low_logits_name)));
    require(context->setTensorAddress(low_logits_name, device_logits->get()), "refused an address");
  }

  std::vector<std::uint8_t> labels(pixels);
  check(cudaMemcpyAsync(device_image.get(), image.samples.data(), image.samples.size(), cudaMemcpyHostToDevice,
                        stream.get()),
        "cudaMemcpyAsync");
  require(context->enqueueV3(stream.get()), "did not run the engine");
  check(cudaMemcpyAsync(labels.data(), device_labels.get(), pixels, cudaMemcpyDeviceToHost, stream.get()),
        "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
  write_pgm(output, image.height, image.width, labels.data());
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::fprintf(stderr, "usage: segment_engine MODEL.engine LIBRARY IMAGE.ppm LABELS.pgm\n");
    return 2;
  }
  try {
    segment(arguments[1], arguments[2], arguments[3], arguments[4]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "segment_engine: %s\n", error.what());
    return 1;
  }
}

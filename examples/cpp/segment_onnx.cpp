// Segments an image with an ONNX file of hyperseg-export, through ONNX Runtime on the CPU.
//
//   segment_onnx m.onnx libhyperseg_ort.so photo.ppm labels.pgm
//
// The file begins with RGB pixels and ends with labels, so nothing is normalised here and there is no argmax. The image
// has the model's size: `hyperseg_runtime` resizes by area, which is not repeated here. Portable models
// (hyperseg-export --portable) need no library: name it "-".
#include <onnxruntime_cxx_api.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "pnm.h"

namespace {

constexpr const char* input_name = "image";
constexpr const char* output_name = "labels";

// uint8 [1, height, width, 3]. Throws std::runtime_error where the model takes another image.
std::vector<std::int64_t> shape_for(const Image& image, const Ort::Session& session, const std::string& model) {
  const std::vector<std::int64_t> shape{1, image.height, image.width, 3};
  const Ort::TypeInfo type = session.GetInputTypeInfo(0);
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  if (tensor.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8) {
    throw std::runtime_error(model + " does not take uint8 pixels; export it with --input-type uint8");
  }
  const std::int64_t batch = tensor.GetShape().empty() ? 0 : tensor.GetShape().front();
  if (batch > 1) {
    throw std::runtime_error(model + " takes " + std::to_string(batch) + " images at once; export it without --batch");
  }
  if (!fits(tensor.GetShape(), shape)) {
    throw std::runtime_error(model + " takes images of shape " + text_of(tensor.GetShape()) + ", not " +
                             text_of(shape) +
                             "; resize the image (ffmpeg -i photo.jpg -vf scale=WIDTH:HEIGHT out.ppm)");
  }
  return shape;
}

// Throws std::runtime_error where the model has logits only.
void require_labels(const Ort::Session& session, const std::string& model) {
  Ort::AllocatorWithDefaultOptions allocator;
  for (std::size_t index = 0; index < session.GetOutputCount(); ++index) {
    if (std::string(session.GetOutputNameAllocated(index, allocator).get()) == output_name) {
      return;
    }
  }
  throw std::runtime_error(model + " has no output labels; export it with --output-type labels");
}

void segment(const std::string& model, const std::string& library, const std::string& input,
             const std::string& output) {
  keep_inputs(output, {input, model});
  const Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "segment_onnx");
  Ort::SessionOptions options;
  if (library != "-") {
    options.RegisterCustomOpsLibrary(library.c_str());
  }
  Ort::Session session(environment, model.c_str(), options);
  require_labels(session, model);

  Image image = read_ppm(input);
  const std::vector<std::int64_t> shape = shape_for(image, session, model);
  const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value pixels = Ort::Value::CreateTensor<std::uint8_t>(memory, image.samples.data(), image.samples.size(),
                                                                   shape.data(), shape.size());
  const auto results = session.Run(Ort::RunOptions{}, &input_name, &pixels, 1, &output_name, 1);
  write_pgm(output, image.height, image.width, results.front().GetTensorData<std::uint8_t>());
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::fprintf(stderr, "usage: segment_onnx MODEL.onnx LIBRARY|- IMAGE.ppm LABELS.pgm\n");
    return 2;
  }
  try {
    segment(arguments[1], arguments[2], arguments[3], arguments[4]);
  } catch (const std::exception& error) {  // Ort::Exception too
    std::fprintf(stderr, "segment_onnx: %s\n", error.what());
    return 1;
  }
}

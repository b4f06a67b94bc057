// Double of nvinfer: opens the library of custom-lib-path, looks up the parser by name, and has it parse one frame of
// 2x3 pixels into a map that it allocated, as SegmentPostprocessor does (nvdsinfer_context_impl_output_parsing.cpp).
// Arguments: TensorRT's library, the custom library, the layer's name, its data type. Prints the map, or "refused".
#include <dlfcn.h>
#include <nvdsinfer.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using Parser = bool (*)(const std::vector<NvDsInferLayerInfo>&, const NvDsInferNetworkInfo&, float, unsigned int, int*,
                        float*&);

int main(int count, char** arguments) {
  if (count != 5) {
    return 2;
  }
  void* tensorrt = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  void* library = dlopen(arguments[2], RTLD_LAZY);
  if (tensorrt == nullptr || library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const auto plugins = reinterpret_cast<std::int32_t (*)()>(dlsym(tensorrt, "double_plugin_count"));
  const auto parser = reinterpret_cast<Parser>(dlsym(library, "NvDsInferParseHyperSeg"));
  std::vector<std::int32_t> labels{0, 1, 2, 3, 4, 11};
  NvDsInferLayerInfo layer{};
  layer.dataType = static_cast<NvDsInferDataType>(std::atoi(arguments[4]));
  layer.inferDims = {3, {2, 3, 1}, 6};
  layer.layerName = arguments[3];
  layer.buffer = labels.data();
  std::vector<int> map(std::size_t{layer.inferDims.d[0]} * layer.inferDims.d[1], -1);  // NHWC: getDimsHWCFromDims
  float* probabilities = nullptr;
  if (!parser({layer}, {3, 2, 3}, 0.0F, 12, map.data(), probabilities)) {
    std::puts("refused");
    return 0;
  }
  std::printf("%d plugins:", plugins());
  for (const int label : map) {
    std::printf(" %d", label);
  }
  std::puts(probabilities == nullptr ? "" : " probabilities");
}

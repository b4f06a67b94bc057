// DeepStream's parser of our labels: nvinfer calls it for each frame (parse-segmentation-func-name). The library that
// it is in is linked with libhyperseg_trt_register.so, since nvinfer opens one library only (custom-lib-path).
#include <nvdsinfer.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

// NvDsInferSemSegmentationParseCustomFunc of nvdsinfer_custom_impl.h, which also needs the headers of TensorRT's
// parser. `class_map` has network.width * network.height elements. `threshold` is for probabilities, which there are
// none of.
extern "C" __attribute__((visibility("default"))) bool NvDsInferParseHyperSeg(
    const std::vector<NvDsInferLayerInfo>& layers, const NvDsInferNetworkInfo& network, float /*threshold*/,
    unsigned int /*classes*/, int* class_map, float*& /*probabilities*/) {
  const auto labels = std::find_if(layers.begin(), layers.end(), [](const NvDsInferLayerInfo& layer) {
    return !layer.isInput && std::strcmp(layer.layerName, "labels") == 0;
  });
  const std::size_t pixels = std::size_t{network.width} * network.height;
  if (labels == layers.end() || labels->dataType != INT32 || labels->inferDims.numElements != pixels) {
    std::fprintf(stderr,
                 "hyperseg: the plan has no output `labels`, INT32 [%u, %u, 1]; "
                 "build it with hyperseg-build-engine --deepstream\n",
                 network.height, network.width);
    return false;
  }
  const auto* values = static_cast<const std::int32_t*>(labels->buffer);
  std::copy(values, values + pixels, class_map);
  return true;
}

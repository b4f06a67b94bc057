#pragma once

#include "hyperseg/upsample_argmax.h"
#include "labels.h"

/// Checks a request of either library and fills `params`.
inline hyperseg::Error validate(const HyperSegLabels& request, hyperseg::UpsampleArgmaxParams* params) {
  if (request.channels > 256) {
    return "UpsampleArgmax: X has " + std::to_string(request.channels) + " channels; labels of uint8 tell 256 apart";
  }
  if (request.data_type != 0 && request.data_type != 1) {
    return "UpsampleArgmax: the storage type " + std::to_string(request.data_type) + " is not known";
  }
  const hyperseg::UpsampleArgmaxTarget target{request.out_height, request.out_width,     request.top,
                                              request.left,       request.window_height, request.window_width};
  return validate(target, hyperseg::Shape{1, request.channels, request.height, request.width}, params);
}

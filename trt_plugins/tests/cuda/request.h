#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/// One operator on host memory, as the Python tests ask for it (tests/cuda_kernels/kernels.py has the same layout).
extern "C" {

enum HyperSegOperator : std::int32_t { kDPWConv = 0, kDPWInvertedResidual = 1, kUpsampleArgmax = 2 };

struct HyperSegTensor {
  void* data;  ///< null where an optional input is absent
  std::int64_t rank;
  std::int64_t extents[5];
};

struct HyperSegRequest {
  std::int32_t operation;  ///< HyperSegOperator
  std::int32_t data_type;  ///< hyperseg::cuda::DataType
  std::int32_t kernel;
  std::int32_t group;
  std::int32_t activation;  ///< hyperseg::Activation
  std::int32_t offset;
  std::int32_t coordinates;
  std::int32_t scale;
  std::int32_t x_layout;  ///< hyperseg::cuda::MapLayout
  std::int32_t piece_begin;
  std::int32_t piece_length;
  /// In the order of the contract: X, theta, then bias and previous, or bias1, bias2, bias3 and previous.
  HyperSegTensor inputs[6];
  void* output;
};
}

/// Validates the request and runs the kernel. Returns what went wrong; empty when nothing did.
std::string run(const HyperSegRequest& request);

/// Shared memory of one thread block of the kernel that a valid request would start; 0 for UpsampleArgmax.
std::size_t shared_bytes(const HyperSegRequest& request);

#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace hyperseg::ort {

/// The oldest version that has KernelContext_ParallelFor: a library that asks for a newer table than the installed
/// onnxruntime has is refused, so nothing beyond this one may be called.
constexpr std::uint32_t kApiVersion = 17;

/// Throws errors that ONNX Runtime reports. `guarded` catches all exceptions at the boundary to ONNX Runtime.
inline void check(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api.GetErrorMessage(status);
  api.ReleaseStatus(status);
  throw std::runtime_error(message);
}

/// Runs `body` and converts its exceptions to a status whose message begins with `where`.
template <typename Body>
OrtStatus* guarded(const OrtApi& api, const std::string& where, const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const std::invalid_argument& error) {
    return api.CreateStatus(ORT_INVALID_ARGUMENT, (where + error.what()).c_str());
  } catch (const std::bad_alloc&) {
    return api.CreateStatus(ORT_RUNTIME_EXCEPTION, (where + "out of memory").c_str());
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_RUNTIME_EXCEPTION, (where + error.what()).c_str());
  }
}

}  // namespace hyperseg::ort

// Entry point of the custom operator library: registers the domain `hyperseg` with all operators in a session.

#include "cpu/isa.h"
#include "onnxruntime/cpu_operators.h"
#include "onnxruntime/custom_op.h"
#if defined(HYPERSEG_WITH_CUDA)
#include "onnxruntime/cuda_operators.h"
#endif

namespace hyperseg::ort {
namespace {

template <typename... Operators>
void add(const OrtApi& api, OrtCustomOpDomain* domain) {
  (check(api, api.CustomOpDomain_Add(domain, new CustomOp<Operators>(api))), ...);
}

template <typename Device, typename T>
void add_for(const OrtApi& api, OrtCustomOpDomain* domain) {
  add<DPWConv<Device, T>, DPWInvertedResidual<Device, T>, UpsampleArgmax<Device, T>>(api, domain);
}

OrtCustomOpDomain* make_domain(const OrtApi& api) {
  OrtCustomOpDomain* domain = nullptr;
  check(api, api.CreateCustomOpDomain("hyperseg", &domain));
  add_for<CpuDevice, float>(api, domain);
  add_for<CpuDevice, cpu::Half>(api, domain);
  add<FusedMapperDPWConv, DPWMetaBlock, MBConv>(api, domain);
  add<MappedDPWConv, InvertedResidual>(api, domain);
#if defined(HYPERSEG_WITH_CUDA)
  add_for<cuda::Device, float>(api, domain);
  add_for<cuda::Device, cpu::Half>(api, domain);
#endif
  return domain;
}

/// Applies the instruction set cap, once per process. Returns its error, if any.
const Error& limited_isa() {
  static const Error error = cpu::limit_isa();
  return error;
}

void register_operators(const OrtApi& api, OrtSessionOptions* options) {
  if (!limited_isa().empty()) throw std::invalid_argument(limited_isa());
  // Sessions keep pointers to domain and operators and may outlive their options: these live as long as the process.
  static OrtCustomOpDomain* const domain = make_domain(api);
  check(api, api.AddCustomOpDomain(options, domain));
}

}  // namespace
}  // namespace hyperseg::ort

/// For hyperseg-doctor: the SIMD target of the CPU operators, or the error message for an invalid cap.
extern "C" __attribute__((visibility("default"))) const char* hyperseg_cpu_isa() {
  const hyperseg::Error& error = hyperseg::ort::limited_isa();
  return error.empty() ? hyperseg::cpu::isa() : error.c_str();
}

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(hyperseg::ort::kApiVersion);
  if (api == nullptr) {
    // A status needs some version's API table; every release has that of version 1.
    return base->GetApi(1)->CreateStatus(ORT_FAIL, "hyperseg's operators need onnxruntime 1.17 or newer");
  }
  return hyperseg::ort::guarded(*api, "hyperseg: ", [&] { hyperseg::ort::register_operators(*api, options); });
}

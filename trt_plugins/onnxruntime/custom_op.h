#pragma once

#include <string>

#include "onnxruntime/call.h"
#include "onnxruntime/element_type.h"
#include "onnxruntime/node.h"

namespace hyperseg::ort {

/// Describes `Operator` to ONNX Runtime and forwards its callbacks. An Operator has
///   kName, kInputs, `optional(input)`, kProvider (null: CPU);
///   types Input and Output of its tensors' elements;
///   a constructor from a Node, which reads attributes, and `compute(Call&)`.
template <typename Operator>
class CustomOp final : public OrtCustomOp {
 public:
  explicit CustomOp(const OrtApi& api) : OrtCustomOp{}, api_(api) {
    version = kApiVersion;
    OrtCustomOp::GetName = [](const OrtCustomOp*) { return Operator::kName; };
    OrtCustomOp::GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return Operator::kProvider; };
    OrtCustomOp::GetInputTypeCount = [](const OrtCustomOp*) { return Operator::kInputs; };
    OrtCustomOp::GetInputType = [](const OrtCustomOp*, std::size_t) { return kElementType<typename Operator::Input>; };
    OrtCustomOp::GetOutputTypeCount = [](const OrtCustomOp*) -> std::size_t { return 1; };
    OrtCustomOp::GetOutputType = [](const OrtCustomOp*, std::size_t) {
      return kElementType<typename Operator::Output>;
    };
    OrtCustomOp::GetInputCharacteristic = [](const OrtCustomOp*, std::size_t index) {
      return Operator::optional(index) ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
    };
    OrtCustomOp::GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
    OrtCustomOp::GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
    OrtCustomOp::GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
    OrtCustomOp::GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
    OrtCustomOp::GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
    OrtCustomOp::GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
    OrtCustomOp::GetStartVersion = [](const OrtCustomOp*) { return 1; };
    OrtCustomOp::GetEndVersion = [](const OrtCustomOp*) { return 1; };
    OrtCustomOp::CreateKernelV2 = create;
    OrtCustomOp::KernelComputeV2 = compute;
    OrtCustomOp::KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  }

 private:
  struct Kernel {
    const OrtApi& api;
    std::string node;
    Operator operation;
  };

  static OrtStatus* create(const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
    const OrtApi& api = static_cast<const CustomOp*>(self)->api_;
    std::string node;
    // A node's name is only known once it has been read, hence twice.
    if (OrtStatus* status = guarded(api, "", [&] { node = Node(api, info, Operator::kName).name(); })) return status;
    return guarded(api, where(node), [&] {
      *kernel = new Kernel{api, node, Operator(Node(api, info, Operator::kName))};
    });
  }

  static OrtStatus* compute(void* data, OrtKernelContext* context) {
    const Kernel& kernel = *static_cast<Kernel*>(data);
    return guarded(kernel.api, where(kernel.node), [&] {
      Call call(kernel.api, context, Operator::kName);
      kernel.operation.compute(call);
    });
  }

  /// Validation's messages begin with the operator's name.
  static std::string where(const std::string& node) { return "node '" + node + "': "; }

  const OrtApi& api_;
};

}  // namespace hyperseg::ort

#include "cpu/isa.h"

#include "cpu/targets.h"
//
#include <hwy/highway.h>

#include <cstdlib>
#include <string>

namespace hyperseg::cpu {
namespace {

constexpr const char* kVariable = "HYPERSEG_MAX_CPU_ISA";

struct Level {
  const char* name;
  std::int64_t target;
};

#if HWY_ARCH_X86
constexpr Level kLevels[] = {{"sse4", HWY_SSE4}, {"avx2", HWY_AVX2}, {"avx512", HWY_AVX3}};
constexpr const char* kExpected = "sse4, avx2 or avx512";
#else
constexpr Level kLevels[] = {{"", 0}};
constexpr const char* kExpected = "nothing: this processor's instructions have no levels";
#endif

}  // namespace

Error limit_isa() {
  const char* const value = std::getenv(kVariable);
  if (value == nullptr || *value == '\0') return {};
  for (const Level& level : kLevels) {
    if (level.name != std::string(value)) continue;
    hwy::DisableTargets(level.target - 1);  // of Highway's bits, the lower ones are the better targets
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return {};
  }
  return std::string(kVariable) + " is " + value + "; expected " + kExpected;
}

const char* isa() {
  const std::int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(usable & -usable);
}

}  // namespace hyperseg::cpu

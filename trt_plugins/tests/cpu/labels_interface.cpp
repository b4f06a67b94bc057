#include <cstdint>
#include <string>
#include <vector>

#include "c_api/labels.h"
#include "judge.h"
#include "operators.h"
#include "storage.h"

namespace hyperseg::test {
namespace {

constexpr int kChannels = 5, kHeight = 40, kWidth = 60;

/// The answer's message; empty where it has none.
std::string run(const HyperSegLabels& request, int threads) {
  char message[128];
  const int failed = hyperseg_labels(&request, threads, message, sizeof message);
  if ((failed != 0) != (message[0] != '\0')) fail("hyperseg_labels: result and message contradict each other");
  return message;
}

void expect_refusal(HyperSegLabels request, std::int32_t HyperSegLabels::*field, std::int32_t value,
                    const std::string& part) {
  request.*field = value;
  if (const std::string reason = run(request, 1); reason.find(part) == std::string::npos) {
    fail("hyperseg_labels: \"" + reason + "\", expected \"" + part + "\"");
  }
}

}  // namespace

void test_labels_interface(Random& random) {
  const std::vector<float> logits = tensor<float>(random.normal(kChannels * kHeight * kWidth, 1.0));
  // So many labels that four threads are used.
  constexpr int kOut = 2000;
  std::vector<std::uint8_t> one(kOut * kOut), several(kOut * kOut);
  HyperSegLabels request{logits.data(), one.data(), 0,   kChannels, kHeight, kWidth,
                         kOut,          kOut,       0.0, 0.0,       kHeight, kWidth};
  if (const std::string reason = run(request, 1); !reason.empty()) fail(reason);
  request.labels = several.data();
  if (const std::string reason = run(request, 4); !reason.empty()) fail(reason);
  if (one != several) fail("hyperseg_labels: four threads compute other labels than one");

  expect_refusal(request, &HyperSegLabels::channels, 257, "257 channels");
  expect_refusal(request, &HyperSegLabels::channels, 0, "extent 0 of axis 1");
  expect_refusal(request, &HyperSegLabels::data_type, 2, "storage type 2");
  expect_refusal(request, &HyperSegLabels::out_width, 0, "columns: 0 of 60");
  request.top = kHeight;
  expect_refusal(request, &HyperSegLabels::height, kHeight, "rows: the window from 40");
  char nothing = 'x';
  if (hyperseg_labels(&request, 1, &nothing, 0) != 1 || nothing != 'x') fail("hyperseg_labels: no room for a message");
}

}  // namespace hyperseg::test

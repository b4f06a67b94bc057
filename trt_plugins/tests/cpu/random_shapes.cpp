// Random shapes through the CPU kernels, on several threads, against the plain reference and its bounds.
//
//   hyperseg_cpu_test [shapes per target and operator] [seed]          on every SIMD target of this processor
//   hyperseg_cpu_test --plant weight|halo|phase|all [shapes] [seed]    whether the bounds find mistakes

#include "cpu/targets.h"
//
#include <hwy/highway.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "judge.h"
#include "operators.h"
#include "random.h"

namespace {

using namespace hyperseg::test;

void test_shapes(int shapes, Random& random, Judge& judge) {
  for (int i = 0; i < shapes; ++i) {
    test_decoder_operators(random, judge);
    test_encoder_operator(random, judge);
  }
}

int test_kernels(int shapes, unsigned seed) {
  std::printf("%d shapes, seed %u\n", shapes, seed);
  Random random(seed);
  Judge judge;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    judge.set_target(hwy::TargetName(target));
    test_shapes(shapes, random, judge);
    test_labels_interface(random);
    judge.report();
  }
  return 0;
}

int test_bounds(const std::string& plant, int shapes, unsigned seed) {
  std::vector<Plant> plants;
  if (plant == "weight" || plant == "all") plants.push_back(Plant::kWeight);
  if (plant == "halo" || plant == "all") plants.push_back(Plant::kHalo);
  if (plant == "phase" || plant == "all") plants.push_back(Plant::kPhase);
  if (plants.empty()) {
    std::fprintf(stderr, "--plant is \"%s\"; use weight, halo, phase or all\n", plant.c_str());
    return 2;
  }
  Random random(seed);
  Judge judge(plants);
  judge.set_target(hwy::TargetName(hwy::SupportedAndGeneratedTargets().front()));
  test_shapes(shapes, random, judge);
  return judge.all_found() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool plants = !words.empty() && words[0] == "--plant";
  const std::size_t first = plants ? 2 : 0;
  const int shapes = words.size() > first ? std::atoi(words[first].c_str()) : plants ? 30 : 15;
  // Kernel tests draw new shapes every time. Tests of planted mistakes have a fixed seed, with which the number
  // detected is the same on other processors too: no count depends on a mistake that is only just detected.
  const unsigned chosen = words.size() > first + 1 ? std::atoi(words[first + 1].c_str()) : 0;
  if (plants) return test_bounds(words.size() > 1 ? words[1] : "", shapes, chosen > 0 ? chosen : 11);
  return test_kernels(shapes, chosen > 0 ? chosen : std::random_device{}());
}

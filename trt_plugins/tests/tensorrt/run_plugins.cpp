// run_plugins FILE...: runs the plugin of each request file (see request.h) through its life cycle and writes the
// result to FILE.out. Prints errors by file, and exits with the number of requests that failed.
#include <cuda_runtime.h>

#include <cstdio>
#include <exception>
#include <fstream>

#include "lifecycle.h"
#include "request.h"

CUDA_ON_CPU_SHARED_MEMORY(hyperseg::cuda, shared_memory)

int main(int count, char** arguments) {
  int failures = 0;
  for (int i = 1; i < count; ++i) {
    try {
      const auto result = hyperseg::tests::run_lifecycle(hyperseg::tests::Request::read(arguments[i]));
      std::ofstream file(std::string(arguments[i]) + ".out", std::ios::binary);
      file.write(reinterpret_cast<const char*>(result.data()), static_cast<std::streamsize>(result.size()));
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", arguments[i], error.what());
      ++failures;
    }
  }
  return failures == 0 ? 0 : 1;
}

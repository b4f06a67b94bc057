// Runs requests from files, for sanitizers: every tensor is an allocation of its own, of exactly its size.
//
//   run_requests FILE...     reads FILE, writes FILE.output
//
// A file holds the request's eleven int32 fields; for each of the six inputs an int64 rank (0: absent), its extents and
// its int64 size in bytes, then the bytes; at last the int64 size of the output.

#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "request.h"

CUDA_ON_CPU_SHARED_MEMORY(hyperseg::cuda, shared_memory)

namespace {

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path, std::ios::binary) {
    file_.exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
  }
  template <typename T>
  T number() {
    T value;
    file_.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::unique_ptr<char[]> bytes(std::int64_t count) {
    auto block = std::make_unique<char[]>(static_cast<std::size_t>(count));
    file_.read(block.get(), count);
    return block;
  }

 private:
  std::ifstream file_;
};

std::string run_file(const std::string& path) {
  Reader reader(path);
  HyperSegRequest request{};
  for (std::int32_t* field :
       {&request.operation, &request.data_type, &request.kernel, &request.group, &request.activation, &request.offset,
        &request.coordinates, &request.scale, &request.x_layout, &request.piece_begin, &request.piece_length}) {
    *field = reader.number<std::int32_t>();
  }
  std::vector<std::unique_ptr<char[]>> blocks;
  for (HyperSegTensor& tensor : request.inputs) {
    tensor.rank = reader.number<std::int64_t>();
    if (tensor.rank == 0) continue;
    for (int axis = 0; axis < tensor.rank; ++axis) tensor.extents[axis] = reader.number<std::int64_t>();
    blocks.push_back(reader.bytes(reader.number<std::int64_t>()));
    tensor.data = blocks.back().get();
  }
  const auto bytes = reader.number<std::int64_t>();
  const auto output = std::make_unique<char[]>(static_cast<std::size_t>(bytes));
  std::memset(output.get(), 0xff, static_cast<std::size_t>(bytes));
  request.output = output.get();
  std::string error = run(request);
  if (error.empty()) std::ofstream(path + ".output", std::ios::binary).write(output.get(), bytes);
  return error;
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string error = run_file(arguments[i]);
    if (error.empty()) continue;
    std::fprintf(stderr, "%s: %s\n", arguments[i], error.c_str());
    return 1;
  }
  return 0;
}

// Runs requests from files on the device, or through cuda_on_cpu: every tensor is an allocation of its own, of exactly
// its size, and outputs are filled with 0xff before every launch.
//
//   run_requests [--repeat N] FILE...     reads FILE, launches it N times, writes FILE.output
//
// A file holds the request's fourteen int32 fields and the window's four doubles; for each of the six inputs an int64
// rank (0: absent), its extents and its int64 size in bytes, then the bytes; at last the int64 size of the output.
// Launches of one file whose outputs differ in a bit are an error: the kernels have no atomics. A failing file does not
// keep the others from running, unless the device itself is lost.

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "c_api/request.h"

#ifdef CUDA_ON_CPU_SHARED_MEMORY
CUDA_ON_CPU_SHARED_MEMORY(hyperseg::cuda, shared_memory)
#endif

namespace {

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

class DeviceBlock {
 public:
  explicit DeviceBlock(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)) {
    check(cudaMalloc(&data_, bytes_), "cudaMalloc");
  }
  ~DeviceBlock() { cudaFree(data_); }
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  void* data() const { return data_; }
  void upload(const char* source) { check(cudaMemcpy(data_, source, bytes_, cudaMemcpyHostToDevice), "upload"); }
  void poison() { check(cudaMemset(data_, 0xff, bytes_), "cudaMemset"); }
  std::vector<char> download() const {
    std::vector<char> host(bytes_);
    check(cudaMemcpy(host.data(), data_, bytes_, cudaMemcpyDeviceToHost), "the kernel");
    return host;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

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
  std::unique_ptr<DeviceBlock> tensor() {
    std::vector<char> host(static_cast<std::size_t>(number<std::int64_t>()));
    file_.read(host.data(), static_cast<std::streamsize>(host.size()));
    auto block = std::make_unique<DeviceBlock>(static_cast<std::int64_t>(host.size()));
    block->upload(host.data());
    return block;
  }

 private:
  std::ifstream file_;
};

void run_file(const std::string& path, int repeats) {
  Reader reader(path);
  HyperSegRequest request{};
  for (std::int32_t* field :
       {&request.operation, &request.data_type, &request.kernel, &request.group, &request.activation, &request.offset,
        &request.coordinates, &request.scale, &request.x_layout, &request.piece_begin, &request.piece_length,
        &request.label_type, &request.out_height, &request.out_width}) {
    *field = reader.number<std::int32_t>();
  }
  for (double& number : request.window) number = reader.number<double>();
  std::vector<std::unique_ptr<DeviceBlock>> blocks;
  for (HyperSegTensor& tensor : request.inputs) {
    tensor.rank = reader.number<std::int64_t>();
    if (tensor.rank == 0) continue;
    for (int axis = 0; axis < tensor.rank; ++axis) tensor.extents[axis] = reader.number<std::int64_t>();
    blocks.push_back(reader.tensor());
    tensor.data = blocks.back()->data();
  }
  DeviceBlock output(reader.number<std::int64_t>());
  request.output = output.data();
  std::vector<char> result;
  for (int i = 0; i < repeats; ++i) {
    output.poison();
    char message[1024];
    if (hyperseg_launch(&request, nullptr, message, sizeof message)) throw std::runtime_error(message);
    check(cudaDeviceSynchronize(), "the kernel");
    const std::vector<char> again = output.download();
    if (i > 0 && again != result) throw std::runtime_error("launch " + std::to_string(i + 1) + " gave other values");
    result = again;
  }
  std::ofstream file(path + ".output", std::ios::binary);
  file.exceptions(std::ios::failbit | std::ios::badbit);
  file.write(result.data(), static_cast<std::streamsize>(result.size()));
}

}  // namespace

int main(int count, char** arguments) {
  int first = 1;
  int repeats = 1;
  if (count > 2 && std::strcmp(arguments[1], "--repeat") == 0) {
    repeats = std::atoi(arguments[2]);
    first = 3;
  }
  int failures = 0;
  for (int i = first; i < count; ++i) {
    try {
      run_file(arguments[i], repeats);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", arguments[i], error.what());
      ++failures;
      if (cudaDeviceSynchronize() != cudaSuccess) break;  // a sticky error: nothing runs in this process any more
    }
  }
  return failures == 0 ? 0 : 1;
}

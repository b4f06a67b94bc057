#!/usr/bin/env bash
# Create .venv with the development dependencies, and build the native operators into the source tree
# (runtime/hyperseg_runtime/lib). Fast when repeated.
#
#   scripts/setup.sh [--gpu]
#
# --gpu creates .venv-gpu instead, with PyTorch, ONNX Runtime and TensorRT for this machine's NVIDIA GPU, as far as they
# can be installed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
venv=$root/.venv
packages=install_packages
case ${1:-} in
  "") ;;
  --gpu)
    . "$root/scripts/gpu_packages.sh"
    gpu=$(gpu_of_this_machine) || die "the tests of a GPU need one"
    printf 'GPU: %s\n' "${gpu#* }"
    venv=$root/.venv-gpu
    packages=install_packages_for_gpu
    ;;
  -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) die "unknown argument $1; there is --gpu" ;;
esac
make_venv "$venv"

export PATH="$venv/bin:$PATH"

build_native() {
  say "Native operators"
  "$root/scripts/fetch_headers.sh" --tensorrt
  # For this machine's GPU, or for one architecture as a check; `pip install .` builds for all of them.
  local architectures=86
  if PYTHONPATH="$root/tools" "$venv/bin/python" -m gpu_check.driver > /dev/null 2>&1; then architectures=native; fi
  # The tests build the same sources again, in copies of the repository, and reuse the object files.
  cmake -S "$root" -B "$root/build/dev" -G Ninja -DCMAKE_CUDA_ARCHITECTURES="$architectures" \
    -DHYPERSEG_TENSORRT_TEST_INTERFACE=ON -DCMAKE_CXX_COMPILER_LAUNCHER="$venv/bin/python;$root/tools/compile_once.py" \
    ${CI:+-DHYPERSEG_WERROR=ON} > "$root/build/dev.log" 2>&1 \
    || { tail -n 25 "$root/build/dev.log" >&2; die "CMake failed; the whole log is build/dev.log"; }
  sed -n '/Dependencies of the native operators/,/^-- Configuring done/p' "$root/build/dev.log"
  cmake --build "$root/build/dev"
  cmake --install "$root/build/dev" --prefix "$root/runtime" > /dev/null
}

install_packages() {
  say "Installing the tested versions into $venv"
  install_torch "$venv"
  "$venv/bin/python" -m pip install -q -r "$root/requirements/pinned.txt"
  # Editable, and without compiling: the libraries are built into the source tree.
  SKBUILD_WHEEL_CMAKE=false "$venv/bin/python" -m pip install -q --no-deps --no-build-isolation -e "$root"
}

install_packages_for_gpu() {
  say "Installing for ${gpu#* } into $venv"
  install_gpu_packages "$venv" "${gpu%% *}"
  SKBUILD_WHEEL_CMAKE=false "$venv/bin/python" -m pip install -q --no-deps --no-build-isolation -e "$root"
}

stamp=$(fingerprint requirements pyproject.toml scripts/gpu_packages.sh)
if unchanged "$venv/.installed" "$stamp"; then
  build_native
else
  # pip is bound by network and disk, the compilers by the processor: run in parallel.
  "$venv/bin/python" -m pip install -q -r <(grep -E '^(cmake|ninja)==' "$root/requirements/pinned.txt")
  mkdir -p "$root/build"
  build_native > "$root/build/native.log" 2>&1 &
  native=$!
  trap 'kill "$native" 2> /dev/null || true' EXIT # should pip fail
  "$packages"
  trap - EXIT
  wait "$native" || { tail -n 40 "$root/build/native.log" >&2; die "the native build failed; see build/native.log"; }
  cat "$root/build/native.log"
  printf '%s' "$stamp" > "$venv/.installed"
fi

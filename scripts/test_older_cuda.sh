#!/usr/bin/env bash
# Compile the CUDA kernels and the libraries with an older CUDA toolkit, from Debian's packages. Nothing is installed:
# build/cuda-RELEASE keeps the toolkit (300 MB; 1 GB is downloaded for it). No GPU is needed.
#
#   scripts/test_older_cuda.sh [11.8|12.4]    default: 11.8, the oldest that is tested
#
# Exit code 77 if the packages cannot be downloaded. 11.8 takes g++ 11, which is downloaded too; 12.4 takes the
# system's g++, 13 at most.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$root/scripts/debian_packages.sh"

release=${1:-11.8}
compiler=()
case $release in
  11.8) debian=bookworm; runtime=libcudart11.0; compiler=(g++-11 gcc-11 cpp-11 libstdc++-11-dev libgcc-11-dev) ;;
  12.4) debian=trixie; runtime=libcudart12 ;;
  -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) die "no package is known for CUDA $release; there are 11.8 and 12.4" ;;
esac
toolkit=$root/build/cuda-$release
[ -d "$root/.venv/bin" ] && export PATH="$root/.venv/bin:$PATH"

unpack() {  # unpack PACKAGE FOLDER PATTERN...: only what matches, since most of nvidia-cuda-dev is other libraries
  local package=$1 folder=$2
  shift 2
  mkdir -p "$folder"
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$folder" --wildcards "$@"
}

# NVIDIA's layout instead of Debian's, whose nvcc has absolute paths.
arrange() {  # arrange UNPACKED TOOLKIT
  local usr=$1/usr to=$2
  mkdir -p "$to/bin" "$to/nvvm/bin" "$to/lib64"
  cp -L "$usr"/bin/{cudafe++,fatbinary,nvlink,ptxas} "$to/bin"
  cp -r "$usr"/lib/nvidia-cuda-toolkit/bin/{nvcc,crt} "$to/bin"
  cp "$usr/lib/nvidia-cuda-toolkit/bin/cicc" "$to/nvvm/bin"
  cp -r "$usr/lib/nvidia-cuda-toolkit/libdevice" "$to/nvvm"
  cp -r "$usr/include" "$to/include"
  cp -a "$usr"/lib/*-linux-gnu/libcuda* "$to/lib64"
  cat > "$to/bin/nvcc.profile" << 'PROFILE'
TOP = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES += "-I$(TOP)/include" $(_SPACE_)
LIBRARIES =+ $(_SPACE_) "-L$(TOP)/lib64"
PROFILE
}

fetch_toolkit() {
  local work=$toolkit.part package
  rm -rf "$work" "$toolkit"
  mkdir -p "$work"
  say "Downloading CUDA $release (1 GB)"
  debian_lists "$work/apt" "main non-free" "$debian" \
    && debian_download "$work/packages" nvidia-cuda-toolkit nvidia-cuda-dev "$runtime" libcu++-dev \
        ${compiler[@]+"${compiler[@]}"} \
    || { printf 'test_older_cuda.sh: the packages of CUDA %s cannot be downloaded here\n' "$release" >&2; exit 77; }
  for package in "$work"/packages/*.deb; do
    case $(basename "$package") in
      nvidia-cuda-dev_*) unpack "$package" "$work/unpacked" './usr/include/*' './usr/lib/*cudart*' './usr/lib/*cudadevrt*' ;;
      nvidia-cuda-toolkit_*) unpack "$package" "$work/unpacked" './usr/bin/*' './usr/lib/nvidia-cuda-toolkit/*' ;;
      libcu*) dpkg -x "$package" "$work/unpacked" ;;
      *) dpkg -x "$package" "$work/compiler" ;;
    esac
  done
  arrange "$work/unpacked" "$work/toolkit"
  [ ! -d "$work/compiler" ] || mv "$work/compiler" "$work/toolkit/compiler"
  mv "$work/toolkit" "$toolkit"
  rm -rf "$work"
}

[ -x "$toolkit/bin/nvcc" ] || fetch_toolkit
"$toolkit/bin/nvcc" --version | sed -n 's/^Cuda compilation tools, //p'

say "Kernels and libraries with CUDA $release"
build=$root/build/with-cuda-$release
rm -rf "$build"
export CUDACXX=$toolkit/bin/nvcc
if [ -d "$toolkit/compiler" ]; then export CUDAHOSTCXX=$toolkit/compiler/usr/bin/g++-11; fi
cmake -S "$root" -B "$build" -G Ninja -DHYPERSEG_CUDA=ON -DHYPERSEG_DOWNLOAD=OFF -DHYPERSEG_WERROR=ON \
  -DHYPERSEG_TENSORRT_TEST_INTERFACE=ON > "$build.log" 2>&1 || { tail -n 25 "$build.log" >&2; die "CMake failed"; }
sed -n '/Dependencies of the native operators/,/ CUDA:/p' "$build.log"
cmake --build "$build"
rm -rf "$build" "$build.log"

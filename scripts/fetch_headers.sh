#!/usr/bin/env bash
# Fetch the headers of the native build that no Python wheel has into build/headers/:
#   onnxruntime  ONNX Runtime's C++ headers      (Debian's libonnxruntime-dev)
#   highway      Google Highway and its library  (Debian's libhwy-dev)
#   tensorrt-*   TensorRT's C++ headers          (only with --tensorrt, for the tests; NVIDIA/TensorRT on GitHub, each
#                                                file with its SHA-256)
# Packages are unpacked, not installed, so root is not needed. Headers that the system already has are not fetched; for
# those that cannot be fetched a message is printed, and CMake then tries the official releases.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

headers=$PWD/build/headers
want_tensorrt=false
for argument in "$@"; do
  case $argument in
    --tensorrt) want_tensorrt=true ;;
    -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "fetch_headers.sh: unknown option $argument (known: --tensorrt)" >&2; exit 2 ;;
  esac
done

has_header() {  # has_header PATTERN PART: among the system's headers, or fetched before
  compgen -G "/usr/include/$1" > /dev/null || compgen -G "/usr/local/include/$1" > /dev/null || [ -e "$headers/$2/.complete" ]
}

. scripts/debian_packages.sh
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
apt_ready=false
prepare_apt() {
  $apt_ready && return
  local releases=(trixie)
  if [ "$codename" = bookworm ] || [ "$codename" = forky ]; then releases+=("$codename"); fi
  debian_lists "$headers/apt" main "${releases[@]}" || return 1
  apt_ready=true
}

unpack_debian() {  # unpack_debian PART PACKAGE[/RELEASE]...
  local part=$1; shift
  prepare_apt || return 1
  rm -rf "${headers:?}/$part" "$headers/download"
  mkdir -p "$headers/$part"
  debian_download "$headers/download" "$@" || return 1
  for package in "$headers"/download/*.deb; do dpkg -x "$package" "$headers/$part"; done
  touch "$headers/$part/.complete"
  rm -rf "$headers/download"
}

mkdir -p "$headers"

if has_header "onnxruntime/*" onnxruntime; then
  echo "ONNX Runtime headers: present"
elif unpack_debian onnxruntime libonnxruntime-dev/trixie; then  # headers only: another release's do no harm
  echo "ONNX Runtime headers: $headers/onnxruntime"
else
  echo "ONNX Runtime headers: not available as a Debian package here; CMake will try the official release"
fi

if has_header "hwy/highway.h" highway; then
  echo "Highway: present"
elif prepare_apt && unpack_debian highway "libhwy-dev/$codename" "libhwy1/$codename"; then  # linked: this release's own
  echo "Highway: $headers/highway"
else
  echo "Highway: not available as a Debian package here; CMake will try the official release"
fi

rm -rf "${headers:?}/apt"  # package lists: 40 MB

if $want_tensorrt; then
  rm -rf "${headers:?}/tensorrt"  # a third party's copy, which earlier versions of this script unpacked
  for list in cmake/tensorrt_headers/*.sha256; do
    release=$(basename "$list" .sha256)
    folder=$headers/tensorrt-$release
    if cmake -DRELEASE="$release" -DFOLDER="$folder/include" -P cmake/HypersegTensorRTHeaders.cmake \
        > "$headers/tensorrt.log" 2>&1; then
      echo "TensorRT $release headers: $folder"
    else
      rm -rf "$folder"
      sed -n '/^-- Fetching .* failed: /s/^-- //p' "$headers/tensorrt.log" >&2
      echo "TensorRT $release headers: not fetched; the tests take their own declarations of it"
    fi
  done
fi

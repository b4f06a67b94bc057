#!/usr/bin/env bash
# Demo: creates a virtual environment, builds the native operators, and runs the shipped
# model on a clip, on the CPU, without PyTorch. If no clip is given, it renders one, of a drive through a street.
#
#   scripts/demo.sh [CLIP] [OPTION OF hyperseg-run]...
set -euo pipefail
case ${1:-} in -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac

clip=
case ${1:-} in ''|-*) ;; *) clip=$1; shift ;; esac
if [ -n "$clip" ]; then
  [ -f "$clip" ] || { echo "demo.sh: no such file: $clip" >&2; exit 1; }
  clip=$(realpath "$clip")
fi
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

venv=$root/.venv-demo
output=$root/runs/demo
mkdir -p "$output"

say "Virtual environment: $venv"
make_venv "$venv"

stamp=$(fingerprint CMakeLists.txt cmake pyproject.toml requirements trt_plugins hyperseg export runtime street)
if unchanged "$venv/.built" "$stamp"; then
  say "Native operators and package: already built"
else
  say "Headers"
  "$root/scripts/fetch_headers.sh"
  say "Building the native operators and installing the package (one to two minutes)"
  # The demo uses the CPU only; pip install . also compiles the CUDA kernels if it finds nvcc.
  log=$output/build.log
  if ! SKBUILD_CMAKE_DEFINE="HYPERSEG_CUDA=OFF" "$venv/bin/python" -m pip install -v --no-input \
      $(constraints "$venv") "$root" > "$log" 2>&1; then
    tail -n 25 "$log" >&2
    die "the package did not build; the whole log is $log"
  fi
  sed -n '/Dependencies of the native operators/,/ CUDA:/p' "$log"
  printf '%s' "$stamp" > "$venv/.built"
fi

if [ -z "$clip" ]; then
  clip=$output/street.mp4
  if [ ! -f "$clip" ]; then
    say "Rendering a clip"
    "$venv/bin/hyperseg-street" "$clip"
  fi
fi

say "Segmenting $clip"
cd "$output"
exec "$venv/bin/hyperseg-run" "$clip" --output "$output/$(basename "${clip%.*}").segmented.mp4" --force \
  --model camvid-lite "$@"

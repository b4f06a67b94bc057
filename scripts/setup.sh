#!/usr/bin/env bash
# Make .venv with everything that development needs, and build the native operators into the source tree
# (runtime/hyperseg_runtime/lib). Fast when repeated.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
venv=$root/.venv
make_venv "$venv"

stamp=$(fingerprint requirements pyproject.toml)
if ! unchanged "$venv/.installed" "$stamp"; then
  say "Installing the tested versions into $venv"
  install_torch "$venv"
  "$venv/bin/python" -m pip install -q -r "$root/requirements/pinned.txt"
  # Editable, and without compiling: the libraries are built below, into the source tree.
  SKBUILD_WHEEL_CMAKE=false "$venv/bin/python" -m pip install -q --no-deps --no-build-isolation -e "$root"
  printf '%s' "$stamp" > "$venv/.installed"
fi

say "Native operators"
"$root/scripts/fetch_headers.sh" --tensorrt
export PATH="$venv/bin:$PATH"
# For the GPU here, or for one architecture to see that everything compiles; `pip install .` builds for all of them.
architectures=86
if nvidia-smi -L > /dev/null 2>&1; then architectures=native; fi
cmake -S "$root" -B "$root/build/dev" -G Ninja -DCMAKE_CUDA_ARCHITECTURES="$architectures" \
  ${CI:+-DHYPERSEG_WERROR=ON} > "$root/build/dev.log" 2>&1 \
  || { tail -n 25 "$root/build/dev.log" >&2; die "CMake failed; the whole log is build/dev.log"; }
sed -n '/What the native operators are built with/,/ CUDA:/p' "$root/build/dev.log"
cmake --build "$root/build/dev"
cmake --install "$root/build/dev" --prefix "$root/runtime" > /dev/null

# Sourced by the other scripts: finds Python, creates virtual environments, and skips work whose inputs are unchanged.

root=$(CDPATH= cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2> /dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.10 to 3.13 found; install one, or name it: PYTHON=/path/to/python $0"
}

make_venv() {  # make_venv FOLDER: a virtual environment with a pip that is new enough
  [ -x "$1/bin/python" ] && "$1/bin/python" -m pip --version > /dev/null 2>&1 && return
  local python
  python=$(find_python)
  rm -rf "$1"
  "$python" -m venv "$1" || die "cannot make a virtual environment (on Debian: apt-get install python3-venv)"
}

constraints() {  # constraints VENV: the tested versions, where they exist for this Python
  if "$1/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    printf -- '-c\n%s\n' "$root/requirements/pinned.txt"
  fi
}

fingerprint() {  # fingerprint PATH...: changes when any file below does
  (cd "$root" && find "$@" -type f -not -path '*/__pycache__/*' -not -path '*/hyperseg_runtime/lib/*' -print0 \
    | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

unchanged() { [ "$(cat "$1" 2> /dev/null)" = "$2" ]; }  # unchanged STAMP_FILE FINGERPRINT

install_torch() {  # install_torch VENV: the CPU build; PyPI's default on Linux would be several GB of CUDA
  local version=2.13.0 pip="$1/bin/python -m pip"
  [ "$("$1/bin/python" -c 'import torch; print(torch.__version__.split("+")[0])' 2> /dev/null)" = "$version" ] && return
  # First a folder of wheels that pip is configured with (PIP_FIND_LINKS), then PyTorch's own index of CPU builds.
  if $pip install -q --no-index --no-deps "torch==$version" 2> /dev/null; then
    $pip install -q -c "$root/requirements/pinned.txt" "torch==$version"
  else
    $pip install -q --index-url https://download.pytorch.org/whl/cpu "torch==$version" \
      || die "PyTorch $version (CPU) could not be installed; install any CPU build of it into $1 and run again"
  fi
}

# Sourced by setup.sh --gpu: installs the packages of the GPU tests. Packages that cannot be installed are reported, and
# the tests that need them are skipped.

gpu_of_this_machine() {  # prints "9.0 NVIDIA H100 …"; fails, with the reason on stderr, where there is none
  PYTHONPATH="$root/tools" "$(find_python)" -m gpu_check.driver
}

attempt() {  # attempt PIP WHAT REQUIREMENT...: installs, or prints why not
  local pip=$1 what=$2 log
  shift 2
  log=$(mktemp)
  if $pip install -q "$@" > "$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  printf 'could not install %s (%s): %s\n' "$what" "$*" "$(grep -v '^ *$' "$log" | tail -n 1)" >&2
  rm -f "$log"
  return 1
}

supported_by_rtx() {  # supported_by_rtx CAPABILITY: according to the support matrix of TensorRT for RTX
  case $1 in 7.5|8.6|8.9|12.*) ;; *) return 1 ;; esac
}

install_gpu_packages() {  # install_gpu_packages VENV CAPABILITY
  local pip="$1/bin/python -m pip" capability=$2
  # PyPI's own wheels of PyTorch for Linux are built for CUDA.
  attempt "$pip" "PyTorch for CUDA" "torch==2.13.0" || die "without PyTorch no test runs"
  local listed
  listed=$(mktemp)
  # The wheels onnxruntime and onnxruntime-gpu overwrite each other; TensorRT is chosen below.
  grep -vE '^(onnxruntime|tensorrt-rtx-[a-z0-9-]+)==' "$root/requirements/pinned.txt" > "$listed"
  $pip install -q -r "$listed" || die "the tested versions could not be installed into $1"
  rm -f "$listed"
  attempt "$pip" "ONNX Runtime for CUDA" onnxruntime-gpu \
    || $pip install -q "$(grep '^onnxruntime==' "$root/requirements/pinned.txt")"
  attempt "$pip" "pycuda, which compiles against the CUDA toolkit" pycuda || true
  if ! attempt "$pip" "TensorRT" tensorrt; then
    if supported_by_rtx "$capability"; then
      # shellcheck disable=SC2046 # one requirement a word
      attempt "$pip" "TensorRT for RTX" $(grep -E '^tensorrt-rtx-' "$root/requirements/pinned.txt") || true
    else
      printf 'TensorRT for RTX does not support compute capability %s\n' "$capability" >&2
    fi
  fi
  "$1/bin/python" - << 'PYTHON'
import torch

if not torch.cuda.is_available():
    print(
        f"PyTorch {torch.__version__}, built for CUDA {torch.version.cuda}, finds no GPU: the driver may be too old "
        "for it; https://pytorch.org/get-started has builds for older ones"
    )
PYTHON
}

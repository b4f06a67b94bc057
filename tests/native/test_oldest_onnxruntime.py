"""The CPU operators in the oldest onnxruntime that they support, in a separate environment: vectors and errors.

The environment is created once with
    python -m venv build/onnxruntime-1.17
    build/onnxruntime-1.17/bin/pip install onnxruntime==1.17.3 "numpy<2" onnx==1.16.2 pytest
or anywhere else, with HYPERSEG_OLDEST_ONNXRUNTIME naming its python.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("HYPERSEG_OLDEST_ONNXRUNTIME", ROOT / "build/onnxruntime-1.17/bin/python"))


def test_vectors_and_errors_in_the_oldest_version(library: Path) -> None:
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} does not exist: no environment with the oldest onnxruntime")
    if Path(sys.executable) == PYTHON:
        pytest.skip("this is the oldest version")
    script = "import onnxruntime; assert onnxruntime.__version__.startswith('1.17.'), onnxruntime.__version__"
    subprocess.run([PYTHON, "-c", script], check=True)
    result = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "--import-mode=importlib", "-c", os.devnull, "--rootdir", ROOT,
         "-p", "no:cacheprovider", ROOT / "tests/native/test_vectors.py", ROOT / "tests/native/test_errors.py"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("tests", "tools", "runtime")),
             "HYPERSEG_LIBRARY_DIR": str(library.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]

"""Imports of the runtime: no torch, and fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hyperseg_runtime
import pytest

from .conftest import ENVIRONMENT

_WITHOUT_TORCH = """
import sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "onnxscript", "hyperseg", "hyperseg_export"}:
            raise ImportError(f"the runtime must not import {name}")

sys.meta_path.insert(0, Forbidden())
import importlib, pkgutil
import hyperseg_runtime
for module in pkgutil.walk_packages(hyperseg_runtime.__path__, "hyperseg_runtime."):
    importlib.import_module(module.name)
from hyperseg_runtime import Segmenter
segment = Segmenter(sys.argv[1])
"""


def test_every_module_imports_without_torch(model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, str(model)], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_is_light() -> None:
    heavy = {"numpy", "cv2", "onnxruntime", "av"}
    code = f"import hyperseg_runtime, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names() -> None:
    for name in hyperseg_runtime.__all__:
        assert getattr(hyperseg_runtime, name).__name__ == name
    with pytest.raises(AttributeError, match="torch"):
        hyperseg_runtime.torch  # noqa: B018

"""The runtime without torch, and commands that answer at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import hyperseg_runtime
import pytest

from .conftest import ENVIRONMENT

COMMANDS = ("run", "benchmark", "doctor")

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


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_in_half_a_second_with_examples(command: str) -> None:
    """The best of three: other work on the machine is not the command's."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", f"hyperseg_runtime.cli.{command}", "--help"],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=True,
        )
        times.append(time.perf_counter() - start)
    assert "Examples:" in done.stdout
    assert min(times) < 0.5


def test_public_names() -> None:
    for name in hyperseg_runtime.__all__:
        assert getattr(hyperseg_runtime, name).__name__ == name
    with pytest.raises(AttributeError, match="torch"):
        hyperseg_runtime.torch  # noqa: B018

"""Imports: the runtime and the commands work without torch, and --help is fast."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

HEAVY = ("torch", "onnx", "onnxscript", "tensorrt", "tensorrt_rtx", "pycuda", "openvino")

COMMANDS = (
    "hyperseg-export",
    "hyperseg-build-engine",
    "hyperseg-evaluate",
    "hyperseg-run",
    "hyperseg-benchmark",
    "hyperseg-doctor",
    "hyperseg-train",
    "hyperseg-street",
)

HELP_SECONDS = 0.5


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["hyperseg", "hyperseg_export", "hyperseg_runtime", "hyperseg_street"])
def test_importing_a_package_loads_nothing_heavy(package: str, environment: dict[str, str]) -> None:
    loaded = python(f"import sys, {package}; print(*(m for m in {HEAVY!r} if m in sys.modules))", environment)
    assert loaded.split() == []


def test_every_module_of_the_runtime_imports_where_torch_is_missing(environment: dict[str, str]) -> None:
    python(
        """
import importlib, pkgutil, sys
sys.modules["torch"] = None  # any import of it raises
import hyperseg_runtime
for module in pkgutil.walk_packages(hyperseg_runtime.__path__, "hyperseg_runtime."):
    importlib.import_module(module.name)
""",
        environment,
    )


def test_the_list_of_commands_is_complete(commands: dict[str, str]) -> None:
    assert sorted(commands) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_at_once_and_shows_examples(command: str, environment: dict[str, str]) -> None:
    # Processor time, the fastest of three: what the command itself takes, whatever else the machine is doing.
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [command, "--help"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stderr
        assert "xample" in done.stdout
    assert min(seconds) < HELP_SECONDS


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_usage_error_without_traceback(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [command, "--no-such-option"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "--no-such-option" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "package", ["hyperseg", "export/hyperseg_export", "runtime/hyperseg_runtime", "street/hyperseg_street"]
)
def test_packages_carry_type_information(package: str, root: Path) -> None:
    assert (root / package / "py.typed").exists()


def test_modules_do_not_import_each_other_in_circles() -> None:
    grimp = pytest.importorskip("grimp")
    packages = ("hyperseg", "hyperseg_export", "hyperseg_runtime", "hyperseg_street")
    imports = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    modules = {module: imports.find_modules_directly_imported_by(module) for module in imports.modules}
    assert len(modules) > 100
    list(TopologicalSorter(modules).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("package", ["onnx", "onnx_ir", "onnxscript", "onnx_graphsurgeon"])
def test_a_missing_graph_tool_is_named_with_its_remedy(package: str, environment: dict[str, str]) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None  # any import of it raises
sys.argv = ["hyperseg-build-engine", "m.onnx"]
from hyperseg_export.cli.build_engine import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert re.search(rf"needs (\w+, )*{package}(, \w+)*, missing here; pip install", done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_version(command: str, environment: dict[str, str]) -> None:
    try:
        version = metadata.version("hyperseg")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution is not installed")
    done = subprocess.run(
        [command, "--version"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f" {version}\n") and len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("hyperseg_export.cli.export", ["--ckpt", "m.pt", "--onnx"], "export"),
        ("hyperseg_export.cli.evaluate", ["m.pt", "--data", "data"], "export"),
        ("hyperseg.cli.train", ["camvid-lite", "--data", "data", "--out", "run"], "train"),
    ],
    ids=["export", "evaluate", "train"],
)
def test_without_torch_the_extra_is_named(
    module: str, arguments: list[str], extra: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "m.pt").write_bytes(b"PK")
    images, labels = tmp_path / "data/val", tmp_path / "data/valannot"
    for folder in (images, labels, tmp_path / "data/train", tmp_path / "data/trainannot"):
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "a.png"), np.zeros((8, 8), np.uint8))
    code = f"""
import sys
sys.modules["torch"] = None  # any import of it raises
sys.argv = ["command", *{arguments!r}]
from {module} import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "torch" in line and line.endswith(f'pip install "hyperseg[{extra}]"'), line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "m.pt"]

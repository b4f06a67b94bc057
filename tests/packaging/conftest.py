"""Fixtures of the packaging tests: the repository, its commands, and an environment to run them in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:  # the tests' own reading of pyproject.toml; the package needs no TOML
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def commands() -> dict[str, str]:
    """Command name -> module, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {name: target.split(":")[0] for name, target in project["scripts"].items()}


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, commands: dict[str, str]) -> dict[str, str]:
    """An environment in which the commands of this source tree are on PATH, whether or not it is installed."""
    folder = tmp_path_factory.mktemp("bin")
    programs = {name: f'"{sys.executable}" -m {module}' for name, module in commands.items()}
    for name, program in {**programs, "python": f'"{sys.executable}"'}.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        script.chmod(0o755)
    paths = [str(ROOT), str(ROOT / "export"), str(ROOT / "runtime"), str(ROOT / "street")]
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(paths),
    }


@pytest.fixture(scope="session")
def compiler_launcher(root: Path) -> dict[str, str]:
    """Environment of CMake that caches object files between builds in different folders."""
    return {"CMAKE_CXX_COMPILER_LAUNCHER": f"{sys.executable};{root / 'tools/compile_once.py'}"}

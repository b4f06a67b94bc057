"""Runs CMake for the tests: the project's configuration, and scripts that call its modules' functions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def program(name: str) -> Path:
    """A tool beside the running Python, or on PATH; skips the test if there is none."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return beside
    if found := shutil.which(name):
        return Path(found)
    pytest.skip(f"{name} is not installed (requirements/pinned.txt)")


def run_script(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Runs lines of CMake; messages of level NOTICE and above are on stderr, wrapped if they are errors."""
    script = folder / "script.cmake"
    head = f'cmake_minimum_required(VERSION 3.22)\nlist(APPEND CMAKE_MODULE_PATH "{ROOT / "cmake"}")\n'
    script.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    command = [str(program("cmake")), "-P", str(script)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


def configure(build: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Configures the project; downloads are off unless the options say otherwise."""
    command = [
        str(program("cmake")), "-S", str(ROOT), "-B", str(build), "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={program('ninja')}", "-DHYPERSEG_DOWNLOAD=OFF", *options,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, env=environment or None, timeout=300, check=False)


def parts(build: Path) -> dict[str, Any]:
    """The table of dependencies that a configuration wrote."""
    return dict(json.loads((build / "native.json").read_text(encoding="utf-8")))


def unwrapped(text: str) -> str:
    """CMake breaks the lines of an error."""
    return " ".join(text.split())

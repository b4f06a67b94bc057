"""HYPERSEG_MAX_CPU_ISA caps the instructions of the CPU operators, for tests and bug reports."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from hyperseg_runtime import machine

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64's instructions have levels")

CODE = """
import sys
from pathlib import Path
from hyperseg_runtime.libraries import cpu_isa
from native.graphs import model_of, run, session
from vectors import CASES, MBCONV_CASES, assert_matches

for case in (CASES[40], MBCONV_CASES[0]):
    assert_matches(case, run(session(model_of(case), Path(sys.argv[1])), case.inputs())[0])
print(cpu_isa())
"""


def operators_under(cap: str, library: Path) -> subprocess.CompletedProcess[str]:
    """Runs two operators in a separate process, since the choice is made once; prints the target that they used."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HYPERSEG_MAX_CPU_ISA": cap}
    command = [sys.executable, "-c", CODE, str(library)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(("cap", "target", "feature"), [("sse4", "SSE4", "sse4_1"), ("avx2", "AVX2", "avx2")])
def test_the_named_instructions_are_used(cap: str, target: str, feature: str, library: Path) -> None:
    if feature not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"{machine.cpu_name()} has no {feature}")
    done = operators_under(cap, library)
    assert (done.stdout.strip(), done.stderr) == (target, "")


def test_without_a_cap_the_best_are_used(library: Path) -> None:
    best = operators_under("", library).stdout.strip()
    if "avx512f" in Path("/proc/cpuinfo").read_text():
        assert best.startswith("AVX3")
        assert operators_under("avx512", library).stdout.strip() == "AVX3"
    else:
        assert best in {"AVX2", "SSE4", "SSSE3", "SSE2"}


def test_an_unknown_cap_is_an_error(library: Path) -> None:
    done = operators_under("avx1024", library)
    assert done.returncode != 0
    assert "HYPERSEG_MAX_CPU_ISA is avx1024; expected sse4, avx2 or avx512" in done.stderr


def test_a_command_names_the_wrong_cap_and_the_doctor_too(library: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HYPERSEG_MAX_CPU_ISA": "best"}
    wrong = "HYPERSEG_MAX_CPU_ISA is best; expected sse4, avx2 or avx512"

    def run_command(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"hyperseg_runtime.cli.{name}", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    done = run_command("benchmark", "--backend", "onnxruntime")
    assert (done.returncode, done.stderr.splitlines()) == (1, [f"hyperseg-benchmark: error: {wrong}"])
    (line,) = (line for line in run_command("doctor").stdout.splitlines() if "libhyperseg_ort.so" in line)
    assert "broken" in line and wrong in line

"""Registers, shared memory, spills and tensor instructions of every kernel on every architecture, from nvcc."""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import astuple, dataclass, fields
from functools import cache
from importlib import metadata
from pathlib import Path

from cuda_on_cpu.build import KERNELS, PLUGINS

_EXAMPLES = """\
examples:
  PYTHONPATH=tools python -m kernel_cost.resources                      prints the table; takes many minutes
  PYTHONPATH=tools python -m kernel_cost.resources --architecture 86    one architecture
  PYTHONPATH=tools python -m kernel_cost.resources --write              also replaces the committed table
"""

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
COMMITTED = Path(__file__).with_name("resources.csv")

_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")
_SECTION = re.compile(r"\.section\s+\.text\.(\w+)")
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z0-9_]+)")


@dataclass(frozen=True)
class Resources:
    kernel: str
    architecture: int
    registers: int
    stack_bytes: int
    spill_bytes: int
    static_shared_bytes: int
    tensor_instructions: int
    local_memory_instructions: int


def nvdisasm() -> str | None:
    """The disassembler, from PATH or the wheel nvidia-cuda-nvdisasm."""
    if found := shutil.which("nvdisasm"):
        return found
    try:
        files = metadata.files("nvidia-cuda-nvdisasm") or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == "nvdisasm"), None)


def compiler_release() -> str:
    """nvcc's release, as "13.0"."""
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"release (\S+),", text)
    return match.group(1) if match else "unknown"


@cache
def readable(symbol: str) -> str:
    """A short name of a mangled kernel: "dpw_inverted_residual_float<FloatResidual<TileShape<8, 8, 1>, 4, 16, 8>>"."""
    name = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout.strip()
    name = name.replace("hyperseg::cuda::", "").replace("(anonymous namespace)::", "").replace("> >", ">>")
    return re.sub(r"\(.*\)$", "", name).removeprefix("void ").replace("> >", ">>")


def _instructions(cubin: Path) -> dict[str, Counter[str]]:
    """The number of each instruction in each kernel."""
    tool = nvdisasm()
    assert tool is not None
    listing = subprocess.run([tool, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
    counts: dict[str, Counter[str]] = {}
    current: Counter[str] = Counter()
    for line in listing.splitlines():
        if section := _SECTION.search(line):
            current = counts.setdefault(section.group(1), Counter())
        elif instruction := _INSTRUCTION.match(line):
            current[instruction.group(1)] += 1
    return counts


def _compile(source: Path, architecture: int, cubin: Path) -> str:
    command = ["nvcc", "-std=c++17", f"-arch=sm_{architecture}", "-I", str(KERNELS), "-I", str(PLUGINS / "include"),
               "-Xptxas", "-v", "-cubin", "-o", str(cubin), str(source)]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def measure(architecture: int) -> list[Resources]:
    """Resources of all kernels, by name."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(KERNELS.glob("*.cu")):
            cubin = Path(folder) / f"{source.stem}.cubin"
            report = _compile(source, architecture, cubin)
            instructions = _instructions(cubin)
            for part in re.split(r"(?=ptxas info\s+: Compiling entry)", report):
                entry, stack, used = _ENTRY.search(part), _STACK.search(part), _USED.search(part)
                if not (entry and stack and used):
                    continue
                counts = instructions[entry.group(1)]
                table.append(
                    Resources(
                        readable(entry.group(1)),
                        architecture,
                        int(used.group(1)),
                        int(stack.group(1)),
                        int(stack.group(2)) + int(stack.group(3)),
                        int(used.group(2) or 0),
                        counts["HMMA"],
                        counts["LDL"] + counts["STL"],
                    )
                )
    return sorted(table, key=lambda row: row.kernel)


def write(table: list[Resources], path: Path) -> None:
    with path.open("w", newline="") as file:
        file.write(f"# nvcc {compiler_release()}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Resources))
        writer.writerows(astuple(row) for row in table)


def read_committed() -> tuple[str, list[Resources]]:
    """The nvcc release that made the committed table, and the table."""
    with COMMITTED.open(newline="") as file:
        release = file.readline().removeprefix("# nvcc").strip()
        return release, [
            Resources(row.pop("kernel"), **{name: int(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


@cache
def committed() -> dict[tuple[str, int], Resources]:
    """The committed table by kernel and architecture."""
    return {(row.kernel, row.architecture): row for row in read_committed()[1]}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m kernel_cost.resources",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--architecture", type=int, choices=ARCHITECTURES, help="compile for one only, e.g. 86")
    group.add_argument("--write", action="store_true", help=f"replace the committed {COMMITTED.name}")
    arguments = parser.parse_args()
    if shutil.which("nvcc") is None or nvdisasm() is None:
        sys.exit("nvcc and nvdisasm are needed: the CUDA toolkit, and `pip install nvidia-cuda-nvdisasm`")
    architectures = [arguments.architecture] if arguments.architecture else ARCHITECTURES
    table = [row for architecture in architectures for row in measure(architecture)]
    for row in table:
        print(
            f"{row.kernel:90} sm_{row.architecture:<4} {row.registers:3} registers  {row.spill_bytes:3} B spilled  "
            f"{row.static_shared_bytes:5} B static shared  {row.tensor_instructions:3} HMMA  "
            f"{row.local_memory_instructions} local"
        )
    if arguments.write:
        write(table, COMMITTED)


if __name__ == "__main__":
    main()

"""Search for executables of the host in a TensorRT plan.

A plan holds code for the GPU: the full TensorRT stores it as CUDA's own ELF files (cubins), TensorRT for RTX as what it
compiles at load time. It holds code for the host only where it was built so: the lean runtime of a version-compatible
plan, which TensorRT loads once `IRuntime::setEngineHostCodeAllowed(true)` was called (NvInferRuntime.h: "whether the
runtime is allowed to deserialize engines with host executable code", default false), and plugin libraries that were
embedded (`IBuilderConfig::setPluginsToSerialize`), which it loads without asking. hyperseg-build-engine makes neither.

This finds executables that lie in the plan as they are. One that is compressed or encoded is not found: the signature
(`sidecar`) is what makes a plan trusted, and this a second look at plans of trusted machines.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ELF = b"\x7fELF"
_ELF_HEADER = struct.Struct("4sBBB")
"""e_ident as far as it is used: magic, EI_CLASS, EI_DATA, EI_VERSION (System V ABI, chapter 4)."""
_E_MACHINE = 18
_EM_CUDA = 190
_CLASSES, _BYTE_ORDERS = (1, 2), {1: "<", 2: ">"}
_DOS, _PE = b"MZ", b"PE\0\0"
_E_LFANEW = 0x3C
"""Offset of the offset of the PE header (Microsoft, PE Format)."""


@dataclass(frozen=True)
class Executable:
    """An executable of the host within a plan."""

    kind: str
    offset: int

    def __str__(self) -> str:
        return f"{self.kind} at byte {self.offset}"


def find(plan: bytes) -> Executable | None:
    """The first executable of Linux (ELF, for another machine than CUDA) or of Windows (PE) in a plan; None if there is
    none. Takes about 0.3 s of CPU time for 200 MB."""
    return _find_elf(plan) or _find_pe(plan)


def _find_elf(plan: bytes) -> Executable | None:
    offset = plan.find(_ELF)
    while offset >= 0:
        machine = _machine(plan, offset)
        if machine is not None and machine != _EM_CUDA:
            return Executable(f"an ELF file of machine {machine}", offset)
        offset = plan.find(_ELF, offset + 1)
    return None


def _machine(plan: bytes, offset: int) -> int | None:
    """The e_machine of an ELF header; None where the four letters begin none."""
    if len(plan) < offset + _E_MACHINE + 2:
        return None
    _, size, order, version = _ELF_HEADER.unpack_from(plan, offset)
    if size not in _CLASSES or order not in _BYTE_ORDERS or version != 1:
        return None
    return int(struct.unpack_from(f"{_BYTE_ORDERS[order]}H", plan, offset + _E_MACHINE)[0])


def _find_pe(plan: bytes) -> Executable | None:
    if _PE not in plan:  # four bytes that are rare, while "MZ" is in every 64 KiB of weights
        return None
    offset = plan.find(_DOS)
    while offset >= 0:
        if len(plan) >= offset + _E_LFANEW + 4:
            header = offset + struct.unpack_from("<I", plan, offset + _E_LFANEW)[0]
            if plan[header : header + len(_PE)] == _PE:
                return Executable("a PE file (Windows)", offset)
        offset = plan.find(_DOS, offset + 1)
    return None

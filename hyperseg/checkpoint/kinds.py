"""Kinds of files that are given as checkpoints, told by their content: why one cannot be read, and the remedy."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

_AGAIN = "download or copy it again"
_SHOWN = 3

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}
_MODELS = {
    ".onnx": "is an ONNX file, exported already; name the checkpoint that it was made from",
    ".engine": "is a TensorRT engine; name the checkpoint that it was made from",
    ".plan": "is a TensorRT engine; name the checkpoint that it was made from",
}
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Magic number of the files of torch.save before PyTorch 1.6."""


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as the safetensors format does: the length of a JSON header, and the header."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size


def reason_before_reading(path: Path) -> str | None:
    """Tell why the file cannot be a checkpoint, by its first bytes and, for an archive, by its list of files."""
    with path.open("rb") as file:
        start = file.read(512)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    suffix = path.suffix.lower()
    compressed = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)
    reason: str | None = None
    if not start:
        reason = f"is empty (0 bytes); {_AGAIN}"
    elif start.startswith(b"version https://git-lfs"):
        reason = "is a pointer of Git LFS and not the file itself; fetch it with: git lfs pull"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<script", b"<!--")):
        reason = "is a web page, saved in place of the file; download the file itself"
    elif compressed is not None:
        reason = f"is compressed with {compressed}; unpack it first"
    elif start[257:262] == b"ustar":
        reason = "is a tar archive; unpack it first"
    elif start.startswith(b"PK\x03\x04"):
        reason = _reason_of_archive(path)
    elif suffix in _MODELS and not start.startswith(_LEGACY):
        reason = _MODELS[suffix]
    return reason


def reason_after_failure(path: Path) -> str:
    """Tell what a file is that PyTorch's reader failed on."""
    with path.open("rb") as file:
        start = file.read(len(_LEGACY))
    if start.startswith((b"PK", b"\x80")):
        return f"is truncated or damaged; {_AGAIN}"
    if _looks_like_onnx(start):
        return _MODELS[".onnx"]
    if path.suffix == ".safetensors":
        return f"is not a safetensors file, or is truncated; {_AGAIN}"
    return "is not a PyTorch checkpoint; name a .pt, .pth or .safetensors file"


def reason_of_folder(path: Path) -> str:
    """Tell what a folder holds instead of a checkpoint."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError:
        names = []
    if ".metadata" in names or any(name.endswith(".distcp") for name in names):
        return (
            "is a sharded checkpoint (torch.distributed.checkpoint); join it first: "
            f"python -m torch.distributed.checkpoint.format_utils dcp_to_torch {path.name} joined.pth"
        )
    if "zero_to_fp32.py" in names:
        return f"is a sharded checkpoint (DeepSpeed); join it first with {path.name}/zero_to_fp32.py"
    inside = [name for name in names if name.endswith((".pt", ".pth", ".safetensors"))]
    if inside:
        more = f" and {len(inside) - _SHOWN} more" if len(inside) > _SHOWN else ""
        return f"is a folder; name a file in it: {', '.join(inside[:_SHOWN])}{more}"
    return "is a folder, expected a checkpoint file"


def refused_global(error: str) -> str:
    """Return " (os.system)" of PyTorch's message about a refused class or function, else an empty string."""
    match = re.search(r"GLOBAL ([A-Za-z_][\w.]{0,80})", error)
    return f" ({match[1].rstrip('.')})" if match else ""


def _reason_of_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return f"is truncated or damaged; {_AGAIN}"
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return "is a TorchScript archive, which holds a program; save the network's state dict instead"
    if "archive_format" in inner or "archive_format" in names:
        return "is an exported program of PyTorch (.pt2); save the network's state dict instead"
    if "data.pkl" in inner:
        return None
    inside = [name for name in names if name.endswith((".pt", ".pth", ".safetensors"))]
    held = f" with {', '.join(inside[:_SHOWN])}" if inside else ""
    return f"is a ZIP archive{held}, and not a checkpoint of torch.save; unpack it and name the checkpoint"


def _looks_like_onnx(start: bytes) -> bool:
    """A ModelProto begins with its field 1, the IR version, and a string as field 2 (producer) or 8 (opset)."""
    return len(start) > 2 and start[0] == 0x08 and start[1] < 0x20 and start[2] in (0x12, 0x3A, 0x42)

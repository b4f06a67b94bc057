"""Reads an ONNX file's metadata_props without loading its graph, and without the onnx package.

An ONNX file is one protocol-buffers message. Its fields are walked by their lengths, so that a model of hundreds of
megabytes answers in a millisecond.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from hyperseg_runtime.errors import ModelError

_METADATA_PROPS = 14  # ModelProto.metadata_props, a repeated StringStringEntryProto {1: key, 2: value}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_ENTRY = 1 << 24


def read_properties(path: Path) -> dict[str, str]:
    """The file's metadata_props. Raises ModelError where the file cannot be read or is not an ONNX file."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:
                raise ModelError(f"{path} is empty; export the model again")
            return dict(_entries(file, size))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise ModelError(f"{path} is not an ONNX file, or it is damaged; export the model again") from error


def _entries(file: BinaryIO, size: int) -> list[tuple[str, str]]:
    found = []
    while file.tell() < size:
        number, kind = divmod(_varint(file), 8)
        if number == 0:
            raise ValueError("field number 0")
        if kind == _BYTES:
            length = _varint(file)
            end = file.tell() + length
            if end > size or (number == _METADATA_PROPS and length > _MAX_ENTRY):
                raise EOFError
            if number == _METADATA_PROPS:
                found.append(_entry(file, end))
            file.seek(end)
        elif kind == _VARINT:
            _varint(file)
        elif kind in (_FIXED64, _FIXED32):
            file.seek(8 if kind == _FIXED64 else 4, 1)
        else:
            raise ValueError(f"wire type {kind}")
    return found


def _entry(file: BinaryIO, end: int) -> tuple[str, str]:
    texts = {1: "", 2: ""}
    while file.tell() < end:
        number, kind = divmod(_varint(file), 8)
        if kind != _BYTES:
            raise ValueError(f"wire type {kind} in a property")
        length = _varint(file)
        if file.tell() + length > end:
            raise EOFError
        texts[number] = file.read(length).decode("utf-8")
    return texts[1], texts[2]


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number longer than 64 bits")

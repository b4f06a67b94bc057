"""Kinds of model files by name and content, and what to do with a file that the runtime does not open."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from shlex import quote


class Kind(Enum):
    """What a file is by its name. Upper and lower case are the same."""

    ENGINE = "engine"
    ONNX = "ONNX file"
    CHECKPOINT = "checkpoint"
    OTHER = "model of another runtime"


SUFFIXES = {
    Kind.ENGINE: (".engine", ".plan", ".trt"),
    Kind.ONNX: (".onnx",),
    Kind.CHECKPOINT: (".pt", ".pth", ".safetensors", ".ckpt", ".pth.tar"),
    Kind.OTHER: (".ort", ".tflite", ".torchscript", ".mlmodel", ".mlpackage", ".pt2", ".pte"),
}
_HEAD = 512
"""Bytes; the longest text that is looked for is within them."""


def kind_of(path: Path) -> Kind | None:
    """The kind of a model file by its name; None if it is not named like a model."""
    name = path.name.lower()
    return next((kind for kind, suffixes in SUFFIXES.items() if name.endswith(suffixes)), None)


def without_suffix(path: Path) -> str:
    """The name of a model file without the suffix of its kind: "m" for m.onnx and m.pth.tar, "m.fp16" for
    m.fp16.engine; the whole name of what is not named like a model."""
    name = path.name
    every = (suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    length = max((len(suffix) for suffix in every if name.lower().endswith(suffix)), default=0)
    return name[: len(name) - length]


def is_engine(path: Path) -> bool:
    return kind_of(path) is Kind.ENGINE


def remedy(path: Path) -> str | None:
    """What a file is that the runtime cannot open, and what to do, as one line: a checkpoint, an engine or a web page
    with another name, a file that Git LFS did not download. None if neither name nor content tells. Never raises."""
    head = _head(path)
    if kind_of(path) is Kind.CHECKPOINT or head.startswith((b"PK\x03\x04", b"\x80\x02")):
        export = f"hyperseg-export --ckpt {quote(str(path))} --onnx"
        return f"{path} is a checkpoint, not a model to run; export it first: {export}"
    if kind_of(path) is Kind.OTHER:
        return f"{path} is a model of another runtime; export the checkpoint with hyperseg-export"
    if head.startswith(b"ftrt") and not is_engine(path):
        return f"{path} is a TensorRT engine; name it {path.stem}.engine, and its sidecar {path.stem}.engine.json"
    if head.startswith(b"version https://git-lfs"):
        return f"{path} is a pointer of Git LFS, not the model itself; download it with git lfs pull"
    if head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"{path} is a web page, not a model; download the file itself again"
    return None


def not_an_input(path: Path) -> str | None:
    """For a model that was given where images and videos are expected: what it is, and what to do. Else None."""
    if kind_of(path) in (Kind.ENGINE, Kind.ONNX):
        return f"{path} is a model, not an image or a video; name it with --model {quote(str(path))}"
    return remedy(path) if kind_of(path) is not None else None


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return b""
        with path.open("rb") as file:
            return file.read(_HEAD)
    except (OSError, ValueError):
        return b""

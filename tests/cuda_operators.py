"""The operators that libhyperseg_ort.so registers for ONNX Runtime's CUDA provider, read from its sources."""

from __future__ import annotations

import re
from pathlib import Path

_SOURCES = Path(__file__).parents[1] / "trt_plugins/onnxruntime"


def registered_for_cuda() -> set[str]:
    """Names in ONNX: those of the classes that `add_for<cuda::Device, ...>` adds in register.cpp."""
    register = (_SOURCES / "register.cpp").read_text()
    assert re.search(r"add_for<cuda::Device, \w+>\(", register), "register.cpp registers nothing for CUDA"
    (body,) = re.findall(r"void add_for\(.*?\{(.*?)\n\}", register, re.DOTALL)
    classes = re.findall(r"(\w+)<Device, T>", body)
    names = dict(re.findall(r"class (\w+) \{.*?kName = \"(\w+)\"", (_SOURCES / "operators.h").read_text(), re.DOTALL))
    return {names[each] for each in classes}

"""Test vectors as the files that run_plugins reads (trt_plugins/tests/tensorrt/request.h)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vectors import Case, UpsampleArgmaxCase


def write_request(case: Case, folder: Path) -> Path:
    path = folder / case.name
    lines = [f"operator {case.operator}", f"type {case.dtype}"]
    for name, value in case.attributes.items():
        if isinstance(value, str):
            lines.append(f"text {name} {value}")
        else:
            lines.append(f"ints {name} " + " ".join(map(str, np.atleast_1d(value))))
    present = [value for value in case.inputs().values() if value is not None]
    for index, value in enumerate(present):
        lines.append(f"input {_dimensions(value.shape)}")
        Path(f"{path}.{index}").write_bytes(np.ascontiguousarray(value).tobytes())
    lines.append(f"output {_dimensions(case.output_shape)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run_requests(program: Path, cases: Sequence[Case], folder: Path) -> dict[str, NDArray[Any]]:
    """The plugins' outputs by the names of the cases. Fails with what the program says."""
    files = [write_request(case, folder) for case in cases]
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return {case.name: _result(case, Path(f"{file}.out")) for case, file in zip(cases, files, strict=True)}


def _result(case: Case, path: Path) -> NDArray[Any]:
    kind = np.int32 if isinstance(case, UpsampleArgmaxCase) else case.dtype
    return np.fromfile(path, kind).reshape(case.output_shape)


def _dimensions(shape: Sequence[int]) -> str:
    return " ".join(map(str, (len(shape), *shape)))

"""Test vectors as request files for run_plugins (trt_plugins/tests/tensorrt/request.h)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vectors import Case, MapLayout, Placement, UpsampleArgmaxCase

_FORMATS = {MapLayout.NCHW: "kLINEAR", MapLayout.NHWC: "kHWC", MapLayout.NHWC8: "kHWC8"}
_AS_THE_CONTRACT_HAS_IT = Placement()


def write_request(
    case: Case, folder: Path, placement: Placement = _AS_THE_CONTRACT_HAS_IT, *, channels_last: bool = False
) -> Path:
    """With `channels_last` the node has that field; otherwise TensorRT chooses X's format."""
    path = folder / case.name
    lines = [f"operator {case.operator}", f"type {case.dtype}"]
    for name, value in case.attributes.items():
        if isinstance(value, str):
            lines.append(f"text {name} {value}")
        else:
            lines.append(f"ints {name} " + " ".join(map(str, np.atleast_1d(value))))
    if not isinstance(case, UpsampleArgmaxCase):
        lines += [f"ints channels_last {channels_last:d}", f"ints piece_begin {placement.before}"]
        lines.append(f"ints piece_length {placement.piece_length(case)}")
        lines.append(f"formats {' '.join(_formats(case, placement, channels_last))}")
    present = [value for value in placement.of(case) if value is not None]
    for index, value in enumerate(present):
        x = case.inputs()["X"]
        assert x is not None
        lines.append(f"input {_dimensions(value.shape if index else x.shape)}")
        Path(f"{path}.{index}").write_bytes(value.tobytes())
    lines.append(f"output {_dimensions(case.output_shape)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _formats(case: Case, placement: Placement, channels_last: bool) -> list[str]:
    """Allowed formats of X, its actual format first."""
    actual = _FORMATS[placement.x_layout]
    if channels_last:
        return [actual]
    offered = {"kLINEAR", "kHWC", "kHWC8"} if case.dtype == "float16" else {"kLINEAR", "kHWC"}
    return [actual, *sorted(offered - {actual})]


def run_requests(program: Path, cases: Sequence[Case], folder: Path) -> dict[str, NDArray[Any]]:
    """The plugins' outputs by the names of the cases. Fails with the program's message."""
    return run_written(program, {case: write_request(case, folder) for case in cases})


def run_written(program: Path, requests: Mapping[Case, Path]) -> dict[str, NDArray[Any]]:
    """The same for requests that `write_request` wrote."""
    cases, files = list(requests), list(requests.values())
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return {case.name: _result(case, Path(f"{file}.out")) for case, file in zip(cases, files, strict=True)}


def _result(case: Case, path: Path) -> NDArray[Any]:
    kind = np.int32 if isinstance(case, UpsampleArgmaxCase) else case.dtype
    return np.fromfile(path, kind).reshape(case.output_shape)


def _dimensions(shape: Sequence[int]) -> str:
    return " ".join(map(str, (len(shape), *shape)))

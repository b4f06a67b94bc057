"""The life cycle of the TensorRT plugins on host memory: creation, build, serialisation, attachment, run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu.build import ADDRESS_SANITIZER, OPTIMISED
from numpy.typing import NDArray
from vectors import (
    CASES,
    PADDED_ROWS,
    MapLayout,
    Placement,
    UpsampleArgmaxCase,
    assert_matches,
    by_vector,
    labelled,
    on_cuda,
)

from engines.plugin_build import compile_plugin_runner
from engines.plugin_requests import run_requests, run_written, write_request

_VECTORS = by_vector(CASES)
_EXAMPLE = next(case for case in CASES if case.name == "DPWConv-glue-float32")
# Every operator, type and optional input; the kernels go through all cases in tests/cuda_kernels/test_sanitizers.py.
_SANITIZED = [case for case in CASES if any(part in case.name for part in ("camvid-s-level", "glue", "odd", "scale"))]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_plugin_runner(tmp_path_factory.mktemp("plugins") / "run_plugins", OPTIMISED)


@pytest.fixture(scope="module")
def outputs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[Any]]:
    return run_requests(program, CASES, tmp_path_factory.mktemp("requests"))


@pytest.fixture(scope="module")
def outputs_channels_last(
    program: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, NDArray[Any]]]:
    """With X channels last: as kHWC because the node says so, or padded, where the type has that, because TensorRT
    chose it. Theta's pieces lie in wider rows."""
    outputs = {}
    for request in ("asked for", "offered"):
        folder = tmp_path_factory.mktemp("requests")
        requests = {}
        for case in CASES:
            if isinstance(case, UpsampleArgmaxCase):
                continue
            if request == "asked for":
                placement = PADDED_ROWS
            else:
                layout = MapLayout.NHWC8 if case.dtype == "float16" else MapLayout.NHWC
                placement = Placement(layout, before=3, behind=2)
            requests[case] = write_request(case, folder, placement, channels_last=request == "asked for")
        outputs[f"channels last {request}"] = run_written(program, requests)
    return outputs


@pytest.mark.parametrize("vector", _VECTORS)
def test_vector(
    vector: str, outputs: dict[str, NDArray[Any]], outputs_channels_last: dict[str, dict[str, NDArray[Any]]]
) -> None:
    for case in _VECTORS[vector]:
        for layout, found in {"NCHW": outputs, **outputs_channels_last}.items():
            if layout == "NCHW" or not isinstance(case, UpsampleArgmaxCase):
                with labelled(f"{case.dtype}, {layout}"):
                    assert_matches(case, found[case.name], on_cuda(case))


@pytest.mark.slow
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """Tensors have buffers of exactly their size, so that any access outside ends the program."""
    program = compile_plugin_runner(tmp_path / "run_plugins", ADDRESS_SANITIZER)
    for name, output in run_requests(program, _SANITIZED, tmp_path).items():
        assert np.isfinite(output.astype(np.float64)).all(), name


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        ("ints kernel_shape 1 1", "ints kernel_shape 2 2", "must be square and odd"),
        ("ints kernel_shape 1 1", "ints kernel_shape 1", "has 1 values; expected 2"),
        ("ints kernel_shape 1 1", "text kernel_shape 11", "is not an integer"),
        ("ints kernel_shape 1 1\n", "", "field kernel_shape is missing"),
        ("ints kernel_shape 1 1", "ints kernel_shape 1 1\nints kernel_shape 1 1", "is given twice"),
        ("ints group 1", "ints group 0", "group is 0; it must lie between 1 and"),
        ("ints group 1", "ints group 1\nints grouping 1", "field grouping is unknown"),
        ("ints offset 0", "ints offset -1", "offset is -1; it must lie between 0 and"),
        ("ints offset 0", "ints offset 2000000000", "are needed"),
        ("ints coordinates 1", "ints coordinates 2", "coordinates is 2; it must lie between 0 and 1"),
        ("text activation relu", "text activation gelu", 'activation is "gelu"; use "none", "relu" or "relu6"'),
        ("text activation relu", "text activation " + 80 * "r", "has length 81; at most 64 are plausible"),
        ("ints channels_last 0", "ints channels_last 2", "channels_last is 2; it must lie between 0 and 1"),
        ("ints piece_begin 0", "ints piece_begin -1", "piece_begin is -1; it must lie between 0 and"),
        ("ints piece_length 0", "ints piece_length 99", "99 weights from 0 on do not lie in theta's rows of"),
        ("formats kLINEAR kHWC", "formats kHWC8 kLINEAR", "are refused at position 0"),
        ("input 1 5", "input 1 4", "4"),
    ],
)
def test_bad_nodes_are_refused_by_name(
    program: Path, tmp_path: Path, line: str, replacement: str, message: str
) -> None:
    request = write_request(_EXAMPLE, tmp_path)
    text = request.read_text(encoding="utf-8")
    assert line in text
    request.write_text(text.replace(line, replacement), encoding="utf-8")
    done = subprocess.run([program, request], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert message in done.stdout + done.stderr

"""The benchmark of labels at a frame's size: its second table, on the shipped model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.discovery import shipped_models
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.onnx_file import read_properties

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "label_sizes.py"


@pytest.mark.skipif(find(Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built")
def test_the_end_of_the_graph_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("label_sizes", _BENCHMARK)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    (model,) = shipped_models(portable=False).values()
    given = Metadata.from_properties(read_properties(model), str(model)).input
    benchmark.print_end(model, np.zeros((1, given.height, given.width, 3), np.uint8), threads=1, repeats=1)
    heading, _, times = capsys.readouterr().out.strip().splitlines()
    assert heading == "| labels | logits, whole graph | logits, without its end |"
    assert all(float(cell) > 0 for cell in times.strip("|").split("|"))

"""Verification of engines: one that disagrees with ONNX Runtime is discarded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hyperseg_export.engine.build import read_model
from hyperseg_export.engine.verify_engine import INPUTS, compare
from hyperseg_export.errors import EngineError
from hyperseg_export.rounding import FACTOR
from hyperseg_runtime import libraries
from hyperseg_runtime.metadata import InputType, Precision

from .graphs import halved, miniature, save
from .sessions import Machine

pytestmark = pytest.mark.skipif(
    libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built"
)


@pytest.mark.parametrize("input_type", list(InputType))
@pytest.mark.parametrize("half", [False, True])
def test_agreement(tmp_path: Path, input_type: InputType, half: bool) -> None:
    source = read_model(save(miniature(input_type=input_type), tmp_path / "m.onnx"))
    built = miniature(input_type=input_type)
    if half:
        built, _ = halved(built)
    machine = Machine()
    session = machine.open(source.proto, machine.plan(built))
    execution = compare(source.proto, source.metadata.input, session, Precision.FLOAT16 if half else Precision.FLOAT32)
    assert execution.inputs == INPUTS
    assert 1.0 - execution.label_agreement <= FACTOR * execution.turned_by_rounding
    session.close()


def test_disagreement(tmp_path: Path) -> None:
    source = read_model(save(miniature(), tmp_path / "m.onnx"))
    machine = Machine()
    session = machine.open(source.proto, machine.plan(miniature(seed=1)))
    with pytest.raises(EngineError, match=r"disagrees with ONNX Runtime and was discarded: .*; rounding turns"):
        compare(source.proto, source.metadata.input, session, Precision.FLOAT16)
    session.close()

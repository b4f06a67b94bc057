"""The test vectors through ONNX Runtime and the CPU kernels."""

from pathlib import Path

import pytest
from vectors import CASES, ENCODER_CASES, META_BLOCK_CASES, Case, InvertedResidualCase, assert_matches

from native.graphs import model_of, run, session


@pytest.mark.parametrize("case", [*CASES, *META_BLOCK_CASES, *ENCODER_CASES], ids=lambda case: case.name)
def test_vector(case: Case | InvertedResidualCase, library: Path) -> None:
    assert_matches(case, run(session(model_of(case), library), case.inputs())[0])

"""The test vectors through ONNX Runtime and the CPU kernels."""

from pathlib import Path

import pytest
from vectors import CASES, ENCODER_CASES, MAPPED_CASES, META_BLOCK_CASES, AnyCase, assert_matches

from native.graphs import model_of, run, session


@pytest.mark.numerics
@pytest.mark.parametrize("case", [*CASES, *MAPPED_CASES, *META_BLOCK_CASES, *ENCODER_CASES], ids=lambda case: case.name)
def test_vector(case: AnyCase, library: Path) -> None:
    assert_matches(case, run(session(model_of(case), library), case.inputs())[0])

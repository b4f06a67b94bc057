"""Verification of engines: one that disagrees with ONNX Runtime is discarded, one that agrees is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hyperseg_export.engine import verify_engine as module
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.options import BuildTarget, EngineOptions
from hyperseg_export.engine.verify_engine import INPUTS, arithmetic, compare, trial_shapes, verify_engine
from hyperseg_export.errors import EngineError
from hyperseg_export.rounding import FACTOR
from hyperseg_runtime import libraries
from hyperseg_runtime.backends import cuda
from hyperseg_runtime.backends.cuda import Gpu
from hyperseg_runtime.metadata import InputType, Precision

from .graphs import HEIGHT, WIDTH, halved, miniature, save
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
    precision = Precision.FLOAT16 if half else Precision.FLOAT32
    shapes = trial_shapes(*session.input_shapes)
    execution = compare(source.proto, source.metadata.input, session, precision, shapes)
    assert execution.inputs == INPUTS
    assert 1.0 - execution.label_agreement <= FACTOR * execution.turned_by_rounding
    session.close()


def test_disagreement(tmp_path: Path) -> None:
    source = read_model(save(miniature(), tmp_path / "m.onnx"))
    machine = Machine()
    session = machine.open(source.proto, machine.plan(miniature(seed=1)))
    shapes = trial_shapes(*session.input_shapes)
    with pytest.raises(
        EngineError, match=r"disagrees with ONNX Runtime on an input of .* discarded: .*; rounding turns"
    ):
        compare(source.proto, source.metadata.input, session, Precision.FLOAT16, shapes)
    session.close()


PROFILES = {
    "larger than the model's own size": [[1, 96, 128, 3], [1, 96, 192, 3], [2, 128, 192, 3]],
    "smaller": [[1, 32, 32, 3], [1, 32, 64, 3], [4, 32, 64, 3]],
    "one image too few": [[2, 64, 96, 3], [3, 64, 96, 3], [4, 64, 96, 3]],
}


@pytest.mark.parametrize("profile", list(PROFILES))
def test_an_engine_is_tried_within_its_profile(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    least, best, most = PROFILES[profile]
    assert not all(low <= own <= high for low, own, high in zip(least, (1, HEIGHT, WIDTH, 3), most, strict=True))
    source = read_model(save(miniature(dynamic=True), tmp_path / "m.onnx"))
    machine = Machine()
    plan = machine.plan(source.proto, {"image": PROFILES[profile]})
    tried: list[tuple[int, ...]] = []
    real = module.LabelCheck.compare

    def record(check: Any, images: Any, labels: Any) -> Any:
        tried.append(images.shape)
        return real(check, images, labels)

    monkeypatch.setattr(module.LabelCheck, "compare", record)
    monkeypatch.setattr(module, "import_module", lambda _: machine.cuda)
    monkeypatch.setattr(cuda, "load_driver", lambda: machine.driver)
    target = BuildTarget(machine.tensorrt, ("8.6",), Gpu("Double", "8.6"))
    verified = verify_engine(
        source.proto, source.metadata, tmp_path / "m.engine", plan, Path(__file__), target, EngineOptions()
    )
    assert verified.not_executed is None and verified.execution is not None
    assert len(tried) == verified.execution.inputs == INPUTS
    assert tried[0] == tuple(best)
    assert set(tried) == {tuple(least), tuple(best), tuple(most)}
    machine.assert_all_released()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_an_end_that_takes_long_is_left_out() -> None:
    least, best, most = (1, 32, 32, 3), (1, 64, 64, 3), (64, 64, 64, 3)
    assert trial_shapes(least, best, most) == (best, best, best, least)
    assert trial_shapes(best, best, best) == (best,) * INPUTS


@pytest.mark.parametrize(
    ("precision", "capability", "tf32", "expected"),
    [
        (Precision.FLOAT32, "8.6", True, Precision.FLOAT16),
        (Precision.FLOAT32, "12.0", True, Precision.FLOAT16),
        (Precision.FLOAT32, "8.6", False, Precision.FLOAT32),
        (Precision.FLOAT32, "7.5", True, Precision.FLOAT32),
        (Precision.FLOAT16, "7.5", False, Precision.FLOAT16),
    ],
)
def test_the_bound_follows_tf32(precision: Precision, capability: str, tf32: bool, expected: Precision) -> None:
    """GPUs have TF32 from 8.0 on; its factors have as many bits as float16's."""
    assert arithmetic(precision, capability, tf32) is expected

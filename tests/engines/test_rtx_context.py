"""Execution contexts of TensorRT for RTX: made with memory of ours, and captured where they allow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import ModelError

from .doubles import tensorrt as double
from .doubles.engine import Engine, ExecutionContext
from .doubles.rtx import RuntimeCache, RuntimeConfig, Strategy
from .graphs import HEIGHT, WIDTH, miniature
from .sessions import PROFILE, RTX_VERSION, Machine, labels_of, needs_operators, random_images

pytestmark = needs_operators


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine's path; the sessions of these tests get its plan as bytes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    return tmp_path / "m.engine"


def _machine(version: str = RTX_VERSION) -> Machine:
    return Machine(version, Flavour.RTX)


@pytest.mark.parametrize("user_allocation", [True, False])
def test_streams_are_captured_only_where_the_context_allows_it(user_allocation: bool, engine: Path) -> None:
    machine = _machine()
    model = miniature()
    session = machine.open(model, machine.plan(model, user_allocation=user_allocation), path=engine)
    assert ("CUDA graph" in session.description) is user_allocation
    images = random_images(HEIGHT, WIDTH)
    np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()
    machine.assert_all_released()


def test_releases_that_cannot_tell_are_not_captured(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.2 there was no isStreamCapturable."""
    monkeypatch.delattr(ExecutionContext, "is_stream_capturable")
    machine = _machine("1.1.1.26")
    model = miniature()
    session = machine.open(model, machine.plan(model, user_allocation=False), path=engine)
    assert "CUDA graph" not in session.description
    session.close()


def test_a_profile_is_run_without_capture(engine: Path) -> None:
    machine = _machine()
    model = miniature(dynamic=True)
    session = machine.open(model, machine.plan(model, PROFILE), path=engine)
    for batch, height, width in ((1, 64, 96), (2, 96, 128), (1, 32, 64)):
        images = random_images(height, width, batch)
        np.testing.assert_array_equal(session.run(images).labels, labels_of(model, images))
    session.close()
    machine.assert_all_released()


@pytest.mark.parametrize("failure", ["runtime config", "runtime cache", "set cache", "context"])
def test_a_context_that_is_not_made(failure: str, engine: Path) -> None:
    machine = _machine()
    machine.module.failures.add(failure)
    model = miniature()
    with pytest.raises(ModelError, match="TensorRT created no"):
        machine.open(model, machine.plan(model), path=engine)
    machine.assert_all_released()
    assert list(engine.parent.iterdir()) == []


def test_the_doubles_have_the_names_of_the_real_module() -> None:
    real = pytest.importorskip("tensorrt_rtx_bindings")
    helpers = {"compile"}
    for name, stand_in in (
        ("ICudaEngine", Engine),
        ("IExecutionContext", ExecutionContext),
        ("IRuntimeConfig", RuntimeConfig),
        ("IRuntimeCache", RuntimeCache),
        ("Runtime", double.Runtime),
    ):
        public = {each for each in vars(stand_in) if not each.startswith("_")} - helpers
        assert public and public <= set(dir(getattr(real, name))), name
    for name, members in (
        ("BuilderFlag", double.BuilderFlagRtx),
        ("ComputeCapability", double.ComputeCapability),
        ("ExecutionContextAllocationStrategy", Strategy),
        ("NetworkDefinitionCreationFlag", double.FlagsRtx),
        ("TensorFormat", double.TensorFormat),
    ):
        for member in members:
            assert int(getattr(real, name).__members__[member.name]) == member, (name, member)

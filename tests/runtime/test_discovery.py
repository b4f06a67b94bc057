"""Default model of a command when none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hyperseg_runtime import discovery
from hyperseg_runtime.backends.protocol import Availability
from hyperseg_runtime.backends.selection import backend
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import ModelError

from .stand_in import write_model


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    folder = tmp_path / "packaged"
    folder.mkdir()
    write_model(folder / "shipped.onnx")
    write_model(folder / "shipped.portable.onnx")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "working"
    made.mkdir()
    return made


def test_the_only_model_of_the_folder(folder: Path, packaged: Path) -> None:
    path = write_model(folder / "mine.onnx")
    (folder / "text.onnx").write_text("not a model")
    write_model(folder / "foreign.onnx", properties={})
    found = find_model(folder, packaged)
    assert found.path == path
    assert "the only model" in found.reason


@pytest.mark.parametrize(("built", "name"), [(True, "shipped.onnx"), (False, "shipped.portable.onnx")])
def test_else_the_packaged_one_that_this_installation_can_run(
    folder: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch, built: bool, name: str
) -> None:
    monkeypatch.setattr(discovery.libraries, "find", lambda _: Path("library") if built else None)
    found = find_model(folder, packaged)
    assert found.path.name == name
    assert "ships with the package" in found.reason


def test_several_are_an_error_that_names_them(folder: Path, packaged: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        write_model(folder / name)
    with pytest.raises(ModelError, match=r"a\.onnx, b\.onnx.*--model"):
        find_model(folder, packaged)


def test_none_at_all(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--model FILE"):
        find_model(folder, tmp_path / "nowhere")


def test_an_engine_that_runs_here_comes_first(folder: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(folder / "m.onnx")
    (folder / "m.fp16.engine").write_bytes(b"plan")
    (folder / "other.engine").write_bytes(b"plan of another GPU")
    assert find_model(folder, packaged).path.name == "m.onnx"

    from hyperseg_runtime.backends import tensorrt

    assert backend(discovery.BackendName.TENSORRT) is tensorrt
    monkeypatch.setattr(tensorrt, "availability", lambda _: Availability(True, "pretended"))
    monkeypatch.setattr(tensorrt, "fits", lambda path: path.name == "m.fp16.engine")
    assert find_model(folder, packaged).path.name == "m.fp16.engine"

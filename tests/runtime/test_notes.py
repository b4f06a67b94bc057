"""Notes of a session: its backend gets the caller's function, whenever it has something to say."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hyperseg_runtime import Segmenter, segmenter
from hyperseg_runtime.backends import selection
from hyperseg_runtime.backends.protocol import Availability, BackendName, Note, SessionOptions

from .stand_in import write_model


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Note]:
    """Gets the Note of each session that is opened; a session says "opening" through it."""
    found: list[Note] = []
    real = segmenter.open_session

    def speaking(model: Path, wanted: str, options: SessionOptions, note: Note) -> Any:
        note("opening")
        found.append(note)
        return real(model, wanted, options, note)

    monkeypatch.setattr(segmenter, "open_session", speaking)
    return found


def test_later_notes_reach_the_callers_function(said: list[Note], tmp_path: Path) -> None:
    notes: list[str] = []
    with Segmenter(write_model(tmp_path / "m.onnx"), backend="onnxruntime", note=notes.append):
        said[0]("running")
    assert notes == ["opening", "running"]


def test_without_a_function_they_are_warnings(said: list[Note], tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Segmenter(write_model(tmp_path / "m.onnx"), backend="onnxruntime"):
            said[0]("running")
    assert [str(one.message) for one in caught] == ["opening", "running"]
    assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize("name", list(BackendName))
def test_every_backend_gets_it(name: BackendName, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[Note] = []

    def open_session(model: Path, chosen: BackendName, options: SessionOptions, note: Note) -> object:
        del model, options
        assert chosen is name
        given.append(note)
        return object()

    module = SimpleNamespace(availability=lambda _: Availability(True, ""), open_session=open_session)
    monkeypatch.setattr(selection, "backend", lambda _: module)
    suffix = ".engine" if name is BackendName.TENSORRT else ".onnx"
    model = write_model(tmp_path / "m.onnx").rename(tmp_path / f"model{suffix}")
    selection.open_session(model, name.value, SessionOptions(), print)
    assert given == [print]

"""Weights that a model borrows from another file, and a Segmenter in another process: never another model's."""

from __future__ import annotations

import copy
import errno
import hashlib
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hyperseg_runtime import Segmenter, provenance
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.metadata import KEY, InputType, OutputKind
from onnx.external_data_helper import set_external_data

from .stand_in import SIZE, assert_labels, metadata, write_model

FRAME = np.random.default_rng(3).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def write_twin(model: Path, *, weights: Path | None = None, recorded: bool = True) -> Path:
    """A model like `model` with its weights in that file, or in `weights`."""
    proto = onnx.load(model)
    described = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)
    if recorded:
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        described = replace(described, external={model.name: digest})
    (tensor,) = (one for one in proto.graph.initializer if one.name == "w")
    if weights is None:
        offset = model.read_bytes().index(tensor.raw_data)
        set_external_data(tensor, location=model.name, offset=offset, length=len(tensor.raw_data))
    else:
        weights.write_bytes(tensor.raw_data)
        set_external_data(tensor, location=weights.name)
    tensor.ClearField("raw_data")
    onnx.helper.set_model_props(proto, {KEY: described.to_json()})
    twin = model.with_suffix(".portable.onnx")
    twin.write_bytes(proto.SerializeToString())
    return twin


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    model = write_model(tmp_path / "m.onnx")
    return model, write_twin(model)


def test_borrowed_weights_are_the_models(pair: tuple[Path, Path]) -> None:
    with Segmenter(pair[1]) as segment:
        assert_labels(segment(FRAME), FRAME[..., ::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: write_model(model, size=(32, 64)), "not the file that it was made with"),
        (lambda model: model.write_bytes(model.read_bytes()[:-1] + b"!"), "not the file that it was made with"),
        (lambda model: model.unlink(), "which is missing beside it"),
        (lambda model: write_twin(model, recorded=False), "not the file that it was made with"),
    ],
    ids=["exported anew", "one byte", "deleted", "no hash"],
)
def test_borrowed_weights_of_another_model(pair: tuple[Path, Path], change: object, message: str) -> None:
    model, twin = pair
    change(model)  # type: ignore[operator]
    with pytest.raises(ModelError, match=rf"m\.portable\.onnx loads its weights from m\.onnx, .*{message}"):
        Segmenter(twin)
    model.unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"m\.portable\.onnx loads its weights"):
        find_model(twin.parent)


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    twin = write_twin(write_model(tmp_path / "m.onnx"), weights=tmp_path / "m.data", recorded=False)
    with Segmenter(twin) as segment:
        assert_labels(segment(FRAME), FRAME[..., ::-1])


def test_weights_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    model = write_model(tmp_path / "inner" / "m.onnx")
    twin = write_twin(model, weights=model.with_name("w.data"), recorded=False)
    twin.write_bytes(twin.read_bytes().replace(b"w.data", b"../w.d"))
    with pytest.raises(ModelError, match=r"outside of its folder"):
        Segmenter(twin)


def test_files_that_change_while_the_model_runs(pair: tuple[Path, Path]) -> None:
    model, twin = pair
    with Segmenter(twin) as segment:
        with model.open("r+b") as file:  # in place, as cp does
            file.write(bytes(model.stat().st_size))
        assert_labels(segment(FRAME), FRAME[..., ::-1])
        os.truncate(model, 10)
        assert_labels(segment(FRAME), FRAME[..., ::-1])


def test_no_room_for_the_copy(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(provenance, "copyfile", full)
    with pytest.raises(ModelError, match=r"m\.portable\.onnx and its weights cannot be copied .*No space left"):
        Segmenter(pair[1])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_opens_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duplicate: object) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(Path("m.onnx"), dynamic=True)
    with Segmenter("m.onnx", resolution=(32, 64), threads=1) as segment:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir("elsewhere")
        other = duplicate(segment)  # type: ignore[operator]
        assert other.session is not segment.session
        assert (other.size, other.backend, other.description) == (segment.size, segment.backend, segment.description)
        segment.close()
        assert (other(FRAME) >= 0).all()
        other.close()


class Tracker(Segmenter):
    """A subclass with arguments and attributes of its own."""

    def __init__(self, model: Path, *, name: str) -> None:
        super().__init__(model, threads=1)
        self.name = name


def test_a_subclass_is_copied_with_its_attributes(model: Path) -> None:
    with Tracker(model, name="left") as segment, pickle.loads(pickle.dumps(segment)) as other:
        assert (type(other), other.name, other.description) == (Tracker, "left", segment.description)
        assert (other(FRAME) == segment(FRAME)).all()


def test_another_process_has_it(model: Path) -> None:
    with Segmenter(model) as segment, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert (pool.submit(segment, FRAME).result(120) == segment(FRAME)).all()


def test_a_model_that_was_replaced_is_not_pickled(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    with Segmenter(path) as segment:
        pickled = pickle.dumps(segment)
        write_model(path, output=OutputKind.BOTH)
        with pytest.raises(ModelError, match=r"m\.onnx was changed after it was opened"):
            pickle.dumps(segment)
    with pytest.raises(ModelError, match=r"m\.onnx is not the model any more"):
        pickle.loads(pickled)
    path.unlink()
    with pytest.raises(ModelError, match=r"m\.onnx does not exist"):
        pickle.loads(pickled)


def test_what_cannot_be_pickled_says_so(model: Path) -> None:
    segment = Segmenter(model)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="OnnxRuntimeSession cannot be pickled or copied; pickle the Segmenter"):
            duplicate(segment.session)
    segment.close()
    with pytest.raises(ModelError, match="this Segmenter is closed"):
        pickle.dumps(segment)

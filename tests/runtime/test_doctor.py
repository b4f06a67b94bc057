"""hyperseg-doctor: the verdict on every backend, package and library."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from pathlib import Path
from types import ModuleType

import pytest
from hyperseg_runtime import diagnosis, machine
from hyperseg_runtime.backends import onnxruntime as ort_backend
from hyperseg_runtime.backends.protocol import BackendName
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.doctor import doctor
from hyperseg_runtime.diagnosis import Verdict, examine
from hyperseg_runtime.errors import BackendUnavailableError, LibraryMissingError
from hyperseg_runtime.libraries import ENVIRONMENT_VARIABLE, Library, load_error, require
from hyperseg_runtime.segmenter import Segmenter

from .conftest import Finished


def run_doctor(*arguments: str) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        common.execute(doctor, "hyperseg-doctor", arguments)
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


def test_every_backend_is_judged() -> None:
    done = run_doctor("--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert [one["subject"] for one in found["backends"]] == [name.value for name in BackendName]
    assert all(
        one["detail"] and "\n" not in one["detail"] for chapter in ("backends", "packages") for one in found[chapter]
    )
    for words in ("Machine", "Packages", "Our libraries", "Backends", "onnxruntime-cuda"):
        assert words in run_doctor().out


def test_a_library_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / Library.TENSORRT.value).write_bytes(b"no library")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    assert require(Library.TENSORRT) == tmp_path / Library.TENSORRT.value
    assert "no library" not in (load_error(Library.TENSORRT) or "")
    finding = next(one for one in examine().libraries if one.subject == Library.TENSORRT.value)
    assert finding.verdict is Verdict.BROKEN
    assert str(tmp_path) in finding.detail


def test_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperseg_runtime.libraries.search_path", lambda: (tmp_path,))
    with pytest.raises(LibraryMissingError, match=ENVIRONMENT_VARIABLE):
        require(Library.ONNXRUNTIME)
    assert "portable models only" in ort_backend.availability(BackendName.ONNXRUNTIME).detail


def test_wheels_that_overwrite_each_other(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}
    monkeypatch.setattr(machine, "version", installed.get)
    with pytest.raises(BackendUnavailableError, match="both installed"):
        Segmenter(model)
    finding = next(one for one in examine().packages if one.subject == "onnxruntime")
    assert finding.verdict is Verdict.BROKEN


def test_a_broken_opencv_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    working = importlib.import_module

    def fail(name: str) -> ModuleType:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return working(name)

    monkeypatch.setattr(diagnosis.importlib, "import_module", fail)
    finding = next(one for one in examine().packages if one.subject == "cv2")
    assert finding.verdict is Verdict.BROKEN
    assert "opencv-python-headless" in finding.detail


def test_nothing_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda _: None)
    done = run_doctor()
    done.failed_with("no backend can run")
    assert "pip install onnxruntime" in done.out

"""Forged and damaged engines: each is refused with one line, and nothing of it reaches TensorRT."""

from __future__ import annotations

import pickle
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import numpy as np
import pytest
from hyperseg_runtime import Segmenter, libraries, sidecar, signing
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.run import run
from hyperseg_runtime.discovery import find_model
from hyperseg_runtime.errors import HyperSegError
from hyperseg_runtime.sidecar import EngineFacts
from hyperseg_runtime.signing import Purpose
from onnx import numpy_helper

from .doubles.tensorrt import Registry
from .forgeries import (
    FORGED,
    Place,
    another_plugin_library,
    edited_metadata,
    elf,
    make_place,
    pe,
    swapped_plan,
    swapped_sidecar,
)
from .graphs import miniature
from .signed_engines import describe

pytestmark = pytest.mark.skipif(
    libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built"
)
LIMIT = 60
"""Seconds until a test that waits for a pipe fails."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return make_place(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    def fail(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("a file was waited for")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def refused(place: Place) -> str:
    """The one line of the error."""
    with pytest.raises(HyperSegError) as error:
        Segmenter(place.engine)
    assert place.machine.module.deserialized == []
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_engine_loads_if_nobody_touches_it(place: Place) -> None:
    Segmenter(place.engine).close()
    assert place.machine.module.deserialized == [(place.engine.read_bytes(), False)]


def test_one_of_a_trusted_machine_loads(place: Place) -> None:
    place.sign_elsewhere(trusted=True)
    Segmenter(place.engine).close()
    assert len(place.machine.module.deserialized) == 1


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_or_damaged_engine(place: Place, name: str) -> None:
    forge, message = FORGED[name]
    forge(place)
    assert re.search(message, refused(place))
    try:
        taken = find_model(place.engine.parent).path
    except HyperSegError:
        taken = place.engine
    assert taken == place.engine  # never the ONNX file beside it instead
    assert place.machine.module.deserialized == []
    place.machine.assert_all_released()


@pytest.mark.parametrize("name", ["edited metadata", "no signature", "an ELF file in the plan"])
def test_the_command_says_it_in_one_line(place: Place, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    FORGED[name][0](place)
    with pytest.raises(SystemExit) as ended:
        common.execute(run, "hyperseg-run", ["clip.png", "--model", str(place.engine)])
    told = capsys.readouterr()
    assert ended.value.code == 1 and told.out == ""
    assert told.err.startswith("hyperseg-run: error: ") and told.err.count("\n") == 1
    assert place.machine.module.deserialized == []


def test_another_engine_of_this_machine_is_not_taken_for_the_one_of_the_onnx_file(place: Place) -> None:
    """Both are signed, so only what lies beside them tells."""
    swapped_plan(place)
    swapped_sidecar(place)
    with pytest.raises(HyperSegError, match=r"m\.onnx"):
        find_model(place.engine.parent)
    assert place.machine.module.deserialized == []


def test_files_that_are_replaced_after_the_check_are_not_loaded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, description = place.engine.read_bytes(), sidecar.read(place.engine)
    library = place.plugins.read_bytes()
    loaded: list[bytes] = []
    inspect, seal, load = tensorrt.Machine.inspect, tensorrt.seal, Registry.load_library

    def replace_models(device: int = 0) -> tensorrt.Machine:
        swapped_plan(place)
        place.sidecar.write_text("{}", encoding="utf-8")
        return inspect(device)

    def replace_library(source: Path) -> Any:
        sealed = seal(source)
        if sealed.sha256 == description.engine.plugin_sha256:
            source.write_bytes(b"the attacker's library")
        return sealed

    def record(registry: Registry, path: str) -> object | None:
        loaded.append(Path(path).read_bytes())
        return load(registry, path)

    monkeypatch.setattr(tensorrt.Machine, "inspect", replace_models)
    monkeypatch.setattr(Registry, "load_library", record)
    segment = Segmenter(place.engine)
    assert segment.metadata == description.metadata
    segment.close()
    assert place.engine.read_bytes() != plan
    assert [given for given, _ in place.machine.module.deserialized] == [plan]
    assert loaded == [library]
    describe(place.engine, place.plugins, place.other.with_name("n.onnx"))
    monkeypatch.setattr(tensorrt.Machine, "inspect", lambda device=0: inspect(device))
    monkeypatch.setattr(tensorrt, "seal", replace_library)
    monkeypatch.setattr(tensorrt, "misfit", lambda *_: None)  # which hashes the library, too
    Segmenter(place.engine).close()
    assert place.plugins.read_bytes() == b"the attacker's library"
    assert loaded == [library, library]


def test_a_library_that_is_exchanged_after_the_first_look(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first_look = tensorrt.misfit

    def exchange(engine: Path, facts: EngineFacts, machine: tensorrt.Machine) -> str | None:
        problem = first_look(engine, facts, machine)
        another_plugin_library(place)
        return problem

    monkeypatch.setattr(tensorrt, "misfit", exchange)
    assert "was built with another plugin library" in refused(place)


@pytest.mark.parametrize("code", [elf(62), pe()], ids=["ELF", "PE"])
def test_code_that_is_allowed(place: Place, code: bytes) -> None:
    """IRuntime::setEngineHostCodeAllowed is set with the option, and only then."""
    model = miniature()
    model.graph.initializer.append(numpy_helper.from_array(np.frombuffer(code, np.uint8), "code"))
    place.replant(place.machine.plan(model))
    assert "carries code" in refused(place)
    Segmenter(place.engine, allow_host_code=True).close()
    assert [allowed for _, allowed in place.machine.module.deserialized] == [True]


def test_code_needs_a_signature_even_if_it_is_allowed(place: Place) -> None:
    place.replant(place.engine.read_bytes() + elf(62))
    edited_metadata(place)
    with pytest.raises(HyperSegError, match="is not of this content"):
        Segmenter(place.engine, allow_host_code=True)
    assert place.machine.module.deserialized == []


@pytest.mark.parametrize("forge", [swapped_plan, swapped_sidecar, edited_metadata, FORGED["no signature"][0]])
def test_a_copy_of_a_segmenter_checks_again(place: Place, forge: Callable[[Place], object]) -> None:
    """Pickled and copied ones open the files anew."""
    with Segmenter(place.engine) as segment:
        pickled = pickle.dumps(segment)
        pickle.loads(pickled).close()
        place.machine.module.deserialized.clear()
        forge(place)
        with pytest.raises(HyperSegError):
            pickle.dumps(segment)
        with pytest.raises(HyperSegError):
            pickle.loads(pickled)
    assert place.machine.module.deserialized == []


def test_a_copy_of_a_segmenter_is_of_the_same_description(place: Place) -> None:
    """Other classes of the same plan, signed by this machine, are another model."""
    with Segmenter(place.engine) as segment:
        pickled = pickle.dumps(segment)
        content = {key: value for key, value in place.content().items() if key != "signature"}
        content["class_names"][0] = "another"
        signed = signing.sign(signing.statement(Purpose.ENGINE, content))
        place.write({**content, "signature": signed.to_dict()})
        for again in (lambda: pickle.dumps(segment), lambda: pickle.loads(pickled)):
            with pytest.raises(HyperSegError, match=r"open the model again"):
                again()


def test_results_of_another_description_are_not_mixed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--resume, where the engine was built anew with other names of classes: the plan may be the same."""
    photos = tmp_path / "in"
    photos.mkdir()
    assert cv2.imwrite(str(photos / "a.png"), np.zeros((32, 64, 3), np.uint8))
    monkeypatch.chdir(tmp_path)

    def run_again(*options: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            common.execute(run, "hyperseg-run", ["in", "--model", str(place.engine), *options])
        return ended.value.code, capsys.readouterr().err

    assert run_again()[0] == run_again("--resume")[0] == 0
    content = {key: value for key, value in place.content().items() if key != "signature"}
    content["class_names"][0] = "another"
    signed = signing.sign(signing.statement(Purpose.ENGINE, content))
    place.write({**content, "signature": signed.to_dict()})
    code, told = run_again("--resume")
    assert code == 1 and "has results of other options (classes of the model: " in told

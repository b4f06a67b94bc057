"""Engines without a valid sidecar are refused, with an error that has the remedy."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hyperseg_runtime import sidecar, signing
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.cuda import Driver, Gpu
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.backends.tensorrt import Machine, misfit
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import BackendUnavailableError, BadSignatureError, LibraryMissingError, ModelError
from hyperseg_runtime.folder_models import examine
from hyperseg_runtime.sidecar import EngineFacts, Sidecar
from hyperseg_runtime.signing import Purpose

from .graphs import metadata

PLAN = b"a plan"
FACTS = EngineFacts(
    flavour=Flavour.TENSORRT,
    version="10.16.1.11",
    compute_capabilities=("8.6", "8.9"),
    gpu=None,
    layers=100,
    half_layers=90,
    plugin_layers=5,
    plan_sha256=hashlib.sha256(PLAN).hexdigest(),
    plan_bytes=len(PLAN),
    onnx_sha256=hashlib.sha256(b"onnx").hexdigest(),
    executed=False,
    plugin_sha256=hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
)
MACHINE = Machine(
    driver=Driver((Gpu("NVIDIA GeForce RTX 3060", "8.6"),)),
    device=0,
    flavours=(Flavour.TENSORRT,),
    version=lambda _: "10.16.1.11",
    pycuda=True,
    plugin_library=Path(__file__),  # only its hash is looked at
)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "m.engine"
    path.write_bytes(PLAN)
    sidecar.path_of(path).write_text(Sidecar(metadata(), FACTS).to_signed_json(), encoding="utf-8")
    return path


def _edit(engine: Path, *, sign: bool, **changes: object) -> None:
    """Changes facts in the sidecar by hand, and signs it anew or leaves the signature."""
    path = sidecar.path_of(engine)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["engine"].update(changes)
    if sign:
        del content["signature"]
        content["signature"] = signing.sign(signing.statement(Purpose.ENGINE, content)).to_dict()
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_is_written_is_read(engine: Path) -> None:
    assert sidecar.path_of(engine).name == "m.engine.json"
    found, plan = sidecar.read_plan(engine)
    assert found == Sidecar(metadata(), FACTS)
    assert plan == PLAN
    assert found.engine.half_share == 0.9


def test_spaces_and_order_do_not_break_the_signature(engine: Path) -> None:
    path = sidecar.path_of(engine)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(content.items())), indent=8), encoding="utf-8")
    assert sidecar.read(engine).engine == FACTS


def test_a_flipped_bit(engine: Path) -> None:
    engine.write_bytes(b"A plan")
    with pytest.raises(ModelError, match=r"not the plan that its sidecar m.engine.json describes .* build the engine"):
        sidecar.read_plan(engine)


def test_no_sidecar(engine: Path) -> None:
    sidecar.path_of(engine).unlink()
    with pytest.raises(ModelError, match=r"has no sidecar m.engine.json.*restore the sidecar, or build"):
        sidecar.read_plan(engine)


def test_no_engine(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        sidecar.read_plan(tmp_path / "m.engine")


def test_a_sidecar_of_another_engine(engine: Path) -> None:
    other = replace(FACTS, plan_sha256=hashlib.sha256(b"another").hexdigest())
    sidecar.path_of(engine).write_text(Sidecar(metadata(), other).to_signed_json(), encoding="utf-8")
    with pytest.raises(ModelError, match="is not the plan"):
        sidecar.read_plan(engine)


@pytest.mark.parametrize(
    "changes", [{"compute_capabilities": ["9.0"]}, {"version": "11.4.0.2"}, {"gpu": "H100"}, {"half_layers": 100}]
)
def test_a_forged_sidecar(engine: Path, changes: dict[str, object]) -> None:
    _edit(engine, sign=False, **changes)
    with pytest.raises(BadSignatureError, match=r"m\.engine\.json: its signature .* is not of this content, .*build"):
        sidecar.read_plan(engine)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flavour": "openvino"}, "engine.flavour is 'openvino', not one of tensorrt, tensorrt-rtx"),
        ({"plugin_sha256": None}, "engine.plugin_sha256 is missing"),
        ({"plugin_sha256": "A" * 64}, "engine.plugin_sha256 is not 64 hexadecimal digits"),
        ({"plan_bytes": -1}, "engine.plan_bytes is -1, not a whole number"),
        ({"plan_sha256": "abc"}, "engine.plan_sha256 is not 64 hexadecimal digits"),
        ({"compute_capabilities": []}, "engine.compute_capabilities is not a list such as 8.6"),
        ({"half_layers": 101}, "engine.half_layers is 101, not a whole number from 0 to 100"),
        ({"layers": None}, "engine.layers is missing"),
    ],
)
def test_fields_are_checked_by_name(engine: Path, changes: dict[str, object], message: str) -> None:
    _edit(engine, sign=True, **changes)
    with pytest.raises(ModelError, match=message):
        sidecar.read(engine)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\x00", "[" * 100000])
def test_a_sidecar_that_is_no_sidecar(engine: Path, text: str) -> None:
    sidecar.path_of(engine).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="build the engine again"):
        sidecar.read(engine)


def test_an_engine_that_fits() -> None:
    assert misfit(Path("m.engine"), FACTS, MACHINE) is None


def _missing(flavour: Flavour) -> str:
    raise LibraryMissingError(f"{flavour.label} is installed but does not import")


@pytest.mark.parametrize(
    ("machine", "facts", "message"),
    [
        ({"driver": Driver((), "no NVIDIA driver on this machine")}, {}, "needs a GPU: no NVIDIA driver.*ONNX file"),
        ({"device": 1}, {}, "there is no GPU 1 here, only 0 to 0"),
        ({"driver": Driver((Gpu("T4", "7.5"),))}, {}, "built for compute capability 8.6, 8.9, but T4 has 7.5; build"),
        ({}, {"gpu": "RTX A2000"}, "built on RTX A2000, but this is NVIDIA GeForce RTX 3060; build"),
        ({"flavours": ()}, {}, "an engine of TensorRT 10.16.1.11, which is not installed .installed: none"),
        ({}, {"flavour": Flavour.RTX}, "an engine of TensorRT for RTX .* pip install .hyperseg.tensorrt-rtx"),
        ({"version": lambda _: "11.4.0.2"}, {}, "built with TensorRT 10.16.1.11, but 11.4.0.2 is installed; build"),
        ({"version": _missing}, {}, "TensorRT is installed but does not import"),
        ({"pycuda": False}, {}, "pycuda is not installed"),
        ({}, {"plugin_sha256": "0" * 64}, "built with another plugin library than .* build"),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_fit(machine: dict[str, object], facts: dict[str, object], message: str) -> None:
    problem = misfit(Path("m.engine"), replace(FACTS, **facts), replace(MACHINE, **machine))  # type: ignore[arg-type]
    assert problem is not None
    assert re.search(message, problem), problem


def test_a_missing_plugin_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hyperseg_runtime.libraries.search_path", lambda: (tmp_path,))
    machine = replace(MACHINE, plugin_library=None)
    problem = misfit(Path("m.engine"), FACTS, machine)
    assert problem is not None and "the engine uses our operators, and libhyperseg_trt.so was not found" in problem
    assert misfit(Path("m.engine"), replace(FACTS, plugin_sha256=None), machine) is None


@pytest.mark.usefixtures("no_gpu")
def test_a_machine_without_a_gpu_says_so(engine: Path) -> None:
    assert "run the ONNX file instead" in (examine(engine).problem or "")
    assert not tensorrt.availability(BackendName.TENSORRT).available
    with pytest.raises(BackendUnavailableError, match="needs a GPU"):
        tensorrt.open_session(engine, BackendName.TENSORRT, SessionOptions())


def test_a_damaged_plan_is_refused_before_anything_else(engine: Path) -> None:
    engine.write_bytes(PLAN[:-1] + b"!")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        tensorrt.open_session(engine, BackendName.TENSORRT, SessionOptions())

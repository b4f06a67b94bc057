"""The builder's branches for TensorRT 10 and 11, on test doubles with the real names and enum values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hyperseg_export.engine.network import creation_flags
from hyperseg_export.engine.process import BuildRequest, Event, EventKind
from hyperseg_export.engine.worker import PhaseTree, build
from hyperseg_export.errors import EngineError, UnsupportedOperatorError
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.errors import LibraryMissingError
from onnx import helper

from .doubles.device import Device
from .doubles.tensorrt import FakeTensorRT, read_plan
from .graphs import for_tensorrt, miniature, save

VERSIONS = ["10.0.1.6", "10.16.1.11", "11.0.0.1", "11.4.0.2"]


def _build(request: BuildRequest, version: str = VERSIONS[1], *failures: str) -> list[Event]:
    module = FakeTensorRT(version, Device())
    module.failures.update(failures)
    events: list[Event] = []
    build(TensorRT(Flavour.TENSORRT, module), request, events.append)
    return events


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_strongly_typed(version: str, request_: BuildRequest) -> None:
    events = _build(request_, version)
    assert events[-1].kind is EventKind.DONE
    assert Path(request_.plan).stat().st_size == events[-1].value
    header, problem = read_plan(Path(request_.plan).read_bytes())
    assert problem is None and header["version"] == version


@pytest.mark.parametrize(("version", "flags"), [("10.16.1.11", 2), ("11.4.0.2", 1)])
def test_the_flag_of_strong_typing_moved(version: str, flags: int) -> None:
    assert creation_flags(FakeTensorRT(version, Device())) == flags


def test_progress_grows_to_the_end(request_: BuildRequest) -> None:
    shares = [event.value for event in _build(request_) if event.kind is EventKind.PROGRESS]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_phases_within_phases() -> None:
    tree = PhaseTree()
    tree.start("build", None, 2)
    tree.step("build", 0)
    tree.start("inner", "build", 4)
    tree.step("inner", 1)
    assert tree.share() == 0.75
    tree.finish("inner")
    assert tree.share() == 0.75  # it does not go back while the step's end is not reported


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("network", "created no network"),
        ("config", "created no builder configuration"),
        ("build", "TensorRT 10.16.1.11 built no engine"),
        ("parse", r"node level0_node: Assertion failed: broken node"),
        ("type", r"output labels has type DataType.INT32 in the network"),
    ],
)
def test_a_return_that_says_no(failure: str, message: str, request_: BuildRequest) -> None:
    with pytest.raises(EngineError, match=message):
        _build(request_, VERSIONS[1], failure)
    assert not Path(request_.plan).exists()


def test_a_refused_profile(request_: BuildRequest) -> None:
    shapes = ((1, 32, 32, 3), (1, 64, 96, 3), (1, 96, 96, 3))
    with pytest.raises(EngineError, match=r"refused the profile \(image from .* choose other --min"):
        _build(replace(request_, profile={"image": shapes}), VERSIONS[1], "profile")
    with pytest.raises(EngineError, match="refused the profile"):
        _build(replace(request_, profile={"image": shapes[::-1]}))


def test_the_full_tensorrt_does_not_build_ahead_of_time(request_: BuildRequest) -> None:
    with pytest.raises(EngineError, match=r"for the GPU of this machine only; .*--flavour tensorrt-rtx"):
        _build(replace(request_, compute_capabilities=("8.6",)))


def test_the_timing_cache_is_kept(request_: BuildRequest, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _build(replace(request_, timing_cache=str(cache)))
    assert cache.read_bytes() == b"timings"
    _build(replace(request_, timing_cache=str(cache)))
    cache.write_bytes(b"damaged")
    with pytest.raises(EngineError, match="made by another TensorRT or GPU, or is damaged; remove the file"):
        _build(replace(request_, timing_cache=str(cache)))


def test_a_plugin_library_that_is_not_taken(request_: BuildRequest) -> None:
    module = FakeTensorRT(VERSIONS[1], Device(), loads_plugins=False)
    with pytest.raises(EngineError, match=f"did not load the plugin library {re.escape(str(request_.plugin_library))}"):
        build(TensorRT(Flavour.TENSORRT, module), request_, lambda _: None)
    with pytest.raises(LibraryMissingError, match=r"nowhere\.so cannot be read"):
        _build(replace(request_, plugin_library="nowhere.so"))


def test_a_plugin_library_that_changes_during_the_build(request_: BuildRequest) -> None:
    """The sidecar is to have the hash of the library that was used."""
    with pytest.raises(EngineError, match="was changed during the build; build the engine again"):
        _build(replace(request_, plugin_sha256="0" * 64))
    assert not Path(request_.plan).exists()


def _unsupported(request: BuildRequest, change: Callable[[list[object]], None]) -> list[str]:
    model = for_tensorrt(miniature())
    change(model.graph.node)
    save(model, Path(request.model))
    module, events = FakeTensorRT(VERSIONS[1], Device()), []
    with pytest.raises(UnsupportedOperatorError):
        build(TensorRT(Flavour.TENSORRT, module), request, events.append)
    return [event.text for event in events if event.kind is EventKind.UNSUPPORTED]


def test_all_operators_that_cannot_be_taken_are_named_at_once(request_: BuildRequest) -> None:
    def change(nodes: list[object]) -> None:
        nodes.extend(
            [
                helper.make_node("Unique", ["a"], ["b"], name="first"),
                helper.make_node("DPWEncoder", ["a"], ["c"], name="second", domain="hyperseg"),
                helper.make_node("Gelu", ["a"], ["d"], domain="com.microsoft"),
            ]
        )

    first, second, third = _unsupported(request_, change)
    assert "Unique (node first): TensorRT 10.16.1.11 does not support it; export again with another --opset" in first
    assert "DPWEncoder (node second): no plugin" in second and "--portable" in second
    assert "Gelu (node d): TensorRT 10.16.1.11 does not support domain com.microsoft" in third


def test_no_plugin_library_names_every_node_of_ours(request_: BuildRequest) -> None:
    names = _unsupported(replace(request_, plugin_library=None), lambda _: None)
    assert [name.split(":")[0] for name in names] == [
        "DPWConv (node level0_node)",
        "DPWInvertedResidual (node level1_node)",
        "UpsampleArgmax (node indices_node)",
    ]

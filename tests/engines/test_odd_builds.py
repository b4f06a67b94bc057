"""Odd input to hyperseg-build-engine: one line that says what to do, or an engine that can be opened and run."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.options import Resolution
from hyperseg_runtime import sidecar
from hyperseg_runtime.metadata import KEY, InputSpec, InputType, Metadata, OutputKind
from onnx import helper

from .doubles.tensorrt import read_plan
from .graphs import HEIGHT, WIDTH, metadata, miniature, save
from .server import Server, make_server

OWN = Resolution(HEIGHT, WIDTH)
LIMIT = 20.0
"""Seconds after which a reader of a pipe gets its end."""
SMALL, LARGE = Resolution(32, 32), Resolution(128, 192)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Server:
    return make_server(monkeypatch, capfd, tmp_path)


def refused(server: Server, line: str) -> str:
    """The command's one line, after which all is as before."""
    before = sorted(server.folder.rglob("*"))
    done = server.run(line)
    errors = done.err.splitlines()
    assert done.code != 0 and len(errors) == 1, (done.code, done.err)
    assert sorted(server.folder.rglob("*")) == before and server.requests == []
    return errors[0]


def claiming(dynamic: bool, edit: Callable[[Metadata], Metadata]) -> onnx.ModelProto:
    """The miniature with metadata that are not its own."""
    model = miniature(dynamic)
    helper.set_model_props(model, {KEY: edit(metadata(dynamic)).to_json()})
    return model


def with_input(**fields: object) -> Callable[[Metadata], Metadata]:
    return lambda known: replace(known, input=replace(known.input, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dynamic", "edit", "message"),
    [
        (False, with_input(dtype=InputType.FLOAT), "its inputs are .*uint8.*, its metadata declare image: .*float"),
        (False, lambda known: replace(known, output=OutputKind.LOGITS), "its outputs are .*labels.* declare .*logits"),
        (False, with_input(height=2 * HEIGHT), f"its input is {HEIGHT}x{WIDTH}, its metadata say {2 * HEIGHT}x{WIDTH}"),
        (False, with_input(dynamic_batch=True), "its metadata declare a dynamic batch, its input has a fixed one"),
        (False, with_input(dynamic_size=True), "its metadata declare a dynamic size, its input has a fixed one"),
        (True, with_input(dynamic_size=False), "its metadata declare a fixed size, its input has a dynamic one"),
    ],
)
def test_metadata_of_another_graph(
    server: Server, dynamic: bool, edit: Callable[[Metadata], Metadata], message: str
) -> None:
    """An engine with such metadata would be built and signed, and no session would open it."""
    save(claiming(dynamic, edit), server.folder / "m.onnx")
    line = refused(server, "m.onnx --batch 4" if dynamic else "m.onnx")
    assert re.search(message, line) and line.endswith("export it again")


@pytest.mark.parametrize("name", [".", "/", "..", "''", "folder.onnx"])
def test_a_folder_is_no_model(server: Server, name: str) -> None:
    (server.folder / "folder.onnx").mkdir()
    assert "is a folder, not a model; name an ONNX file (--model FILE)" in refused(server, name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_not_waited_for(server: Server) -> None:
    os.mkfifo(server.folder / "m.onnx")
    descriptor = os.open(server.folder / "m.onnx", os.O_RDWR)  # its other end
    end = threading.Timer(LIMIT, os.close, [descriptor])
    end.start()
    try:
        assert "m.onnx cannot be read: it is not a regular file; name an ONNX file" in refused(server, "--model m.onnx")
    finally:
        if end.is_alive():
            end.cancel()
            os.close(descriptor)


@pytest.mark.parametrize("name", ["m", "m.json", "m.pt", "other.onnx"])
def test_an_engine_has_the_name_of_one(server: Server, name: str) -> None:
    save(miniature(), server.folder / "m.onnx")
    line = refused(server, f"m.onnx -o {name} --force")
    assert f"{name} is no name of an engine" in line and line.endswith(f"name it {name}.engine")


@pytest.mark.parametrize("given", ["''", ",", "8.9,", "8.9 -o x.engine --compute-capability="])
def test_an_empty_compute_capability_is_not_the_default(server: Server, given: str) -> None:
    """As of a variable of a script that is not set."""
    save(miniature(), server.folder / "m.onnx")
    assert "compute capability '' is not MAJOR.MINOR" in refused(server, f"m.onnx --compute-capability {given}")


def test_a_compute_capability_counts_once(server: Server) -> None:
    save(miniature(), server.folder / "m.onnx")
    assert server.run("m.onnx --compute-capability 8.9 8.9,8.9").code == 0
    assert sidecar.read(server.folder / "m.engine").engine.compute_capabilities == ("8.9",)


@pytest.mark.parametrize("amount", ["0", "-1", "99999999999999"])
def test_an_impossible_workspace(server: Server, amount: str) -> None:
    save(miniature(), server.folder / "m.onnx")
    assert f"--workspace {amount} is not between 1 and " in refused(server, f"m.onnx --workspace {amount}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--max 99999968x64", "--max 99999968x64: height 99999968 is over 32768; use a smaller one"),
        ("--max 33x64", "--max 33x64: height 33 is not a multiple of 32; use 32"),
        ("--min 128x192 --max 64x96", "--min 128x192 is higher or wider than --max 64x96"),
    ],
)
def test_errors_of_a_profile_name_the_option_that_was_given(server: Server, given: str, message: str) -> None:
    save(miniature(dynamic=True), server.folder / "m.onnx")
    assert message in refused(server, f"m.onnx {given}")


@pytest.mark.parametrize(
    ("least", "best", "most", "profile"),
    [
        (None, None, None, (OWN, OWN, OWN)),
        (SMALL, None, None, (SMALL, OWN, OWN)),
        (None, None, LARGE, (OWN, OWN, LARGE)),
        (None, LARGE, None, (LARGE, LARGE, LARGE)),
        (LARGE, None, None, (LARGE, LARGE, LARGE)),
        (None, None, SMALL, (SMALL, SMALL, SMALL)),
        (SMALL, None, Resolution(32, 192), (SMALL, Resolution(32, 96), Resolution(32, 192))),
    ],
)
def test_a_profile_is_best_at_the_models_own_size_or_the_nearest(
    least: Resolution | None, best: Resolution | None, most: Resolution | None, profile: tuple[Resolution, ...]
) -> None:
    spec: InputSpec = metadata(dynamic=True).input
    found = EngineOptions(least=least, best=best, most=most).profile(spec)
    assert (found.least, found.best, found.most) == profile


@pytest.mark.parametrize("given", ["--min 128x192", "--max 32x32", "--min 32x32 --opt 128x64 --max 128x192"])
def test_an_engine_is_run_at_a_size_that_it_takes(server: Server, given: str) -> None:
    """Its sidecar names the size that a Segmenter runs it at, where no other is asked for."""
    save(miniature(dynamic=True), server.folder / "m.onnx")
    assert server.run(f"m.onnx {given}").code == 0
    spec = sidecar.read(server.folder / "m.engine").metadata.input
    header, _ = read_plan((server.folder / "m.engine").read_bytes())
    least, best, most = header["profile"]["image"]
    assert [1, spec.height, spec.width, 3] == list(best)
    assert all(low <= size <= high for low, size, high in zip(least, best, most, strict=True))

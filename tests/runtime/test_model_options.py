"""The options that name a model, of hyperseg-run and hyperseg-benchmark."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from hyperseg_runtime import discovery
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.benchmark import benchmark
from hyperseg_runtime.cli.run import run
from hyperseg_runtime.discovery import shipped_models
from hyperseg_runtime.model_kinds import not_an_input

from .conftest import Finished
from .stand_in import write_model

QUICK = ("--protocol", "A", "--repetitions", "3", "--warm-up", "0", "--json")


def execute(command: click.Command, *arguments: object) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        common.execute(command, f"hyperseg-{command.name}", [str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("f.png", np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def test_models_of_a_benchmark_by_place_and_by_option(folder: Path) -> None:
    for name in ("a", "b", "c"):
        write_model(Path(f"{name}.onnx"))
    done = execute(benchmark, "a.onnx", "--model", "b.onnx", "--model", "c.onnx", *QUICK)
    assert done.code == 0, done.err
    assert [model["name"] for model in json.loads(done.out)["models"]] == ["a.onnx", "b.onnx", "c.onnx"]


@pytest.mark.parametrize(
    "call",
    [
        lambda name: execute(run, "f.png", "--model", name),
        lambda name: execute(benchmark, name),
        lambda name: execute(benchmark, "--model", name, "--profile"),
    ],
    ids=["run", "benchmark", "profile"],
)
def test_a_checkpoint_is_to_be_exported(folder: Path, call: Callable[[str], Finished]) -> None:
    Path("m.pt").write_bytes(b"PK\x03\x04")
    call("m.pt").failed_with("m.pt is a checkpoint", "hyperseg-export --ckpt m.pt --onnx")
    call("nope").failed_with("no file nope", *shipped_models())
    call("nope.onnx").failed_with("nope.onnx")
    assert sorted(path.name for path in folder.iterdir()) == ["f.png", "m.pt"]


def test_a_path_is_no_name_of_a_shipped_model(folder: Path) -> None:
    (name,) = shipped_models()
    execute(run, "f.png", "--model", f"./{name}").failed_with(name, "does not exist")
    execute(benchmark, f"./{name}").failed_with(name, "does not exist")
    execute(benchmark, "--model", f"./{name}").failed_with(name, "does not exist")


@pytest.mark.parametrize("command", [run, benchmark], ids=["run", "benchmark"])
def test_an_engine_that_cannot_run_is_no_reason_for_another_model(folder: Path, command: click.Command) -> None:
    Path("m.fp16.engine").write_bytes(b"plan")
    arguments = ["f.png"] if command is run else []
    execute(command, *arguments).failed_with("m.fp16.engine", "--model FILE", "--model camvid-lite")
    write_model(Path("m.onnx"))
    execute(command, *arguments).failed_with("m.fp16.engine", "choose --model m.onnx")
    assert not Path("f.segmented.png").exists()


def test_the_shipped_model_by_its_name(folder: Path) -> None:
    write_model(Path("m.onnx"))
    (name,) = shipped_models()
    done = execute(run, "f.png", "--model", name, "--resolution", "64x64")
    assert done.code == 0, done.err
    assert str(shipped_models()[name]) in done.out and "knows only the 11 classes of CamVid" in done.out


def test_a_stale_engine_that_was_named_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_warning", lambda _: "m.engine was built from another export")
    model = write_model(Path("m.onnx"))
    shutil.copy(model, "other.onnx")
    done = execute(run, "f.png", "--model", "other.onnx")
    assert (done.code, done.err) == (0, "hyperseg-run: warning: m.engine was built from another export\n")


def test_a_shipped_model_instead_of_a_missing_one_is_said_with_json_too(folder: Path) -> None:
    done = execute(run, "f.png", "--json", "--resolution", "64x64")
    assert done.code == 0
    assert json.loads(done.out)["model"] == str(*shipped_models().values())
    (line,) = done.err.splitlines()
    assert line.startswith("hyperseg-run: model ") and "has no model of any kind" in line


def test_a_run_has_one_model(folder: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        write_model(Path(name))
    done = execute(run, "--model", "a.onnx", "f.png", "--model", "b.onnx")
    assert (done.code, done.out) == (2, "")
    assert "--model is given 2 times (a.onnx, b.onnx); give one" in done.err


@pytest.mark.parametrize("name", ["loop.onnx", "loop", "a" * 300, "a" * 300 + ".onnx", "a" * 300 + ".engine"])
@pytest.mark.parametrize("call", [lambda name: execute(run, "f.png", "--model", name), lambda n: execute(benchmark, n)])
def test_a_name_that_the_system_does_not_take(folder: Path, name: str, call: Callable[[str], Finished]) -> None:
    for link in ("loop", "loop.onnx"):
        Path(link).symlink_to(link)
    call(name).failed_with("cannot be", "name")


@pytest.mark.parametrize("arguments", [[], ["m.onnx"]], ids=["default", "named"])
def test_a_working_folder_that_was_deleted(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir("gone")
    (folder / "gone").rmdir()
    done = execute(benchmark, *arguments, *QUICK)
    done.failed_with("does not exist" if arguments else "the folder . cannot be read")


@pytest.mark.parametrize(
    ("name", "message"),
    [("m.ONNX", "--model m.ONNX"), ("m.engine", "--model m.engine"), ("m.pth", "hyperseg-export --ckpt m.pth --onnx")],
)
def test_a_model_in_place_of_an_input(name: str, message: str) -> None:
    assert message in (not_an_input(Path(name)) or "")
    assert not_an_input(Path("clip.mp4")) is None

"""Default model of a command when none is named: folders and what is taken from them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from hyperseg_runtime import Segmenter, discovery, onnx_file
from hyperseg_runtime.backends import tensorrt
from hyperseg_runtime.backends.tensorrt import Machine
from hyperseg_runtime.discovery import PACKAGED_MODELS, find_model, locate, shipped_models
from hyperseg_runtime.errors import AmbiguousModelError, ModelError
from hyperseg_runtime.metadata import KEY
from hyperseg_runtime.regular_files import open_regular

from .model_folders import (
    CHECKPOINT,
    MACHINE,
    META,
    Make,
    damaged,
    data,
    engine,
    fill,
    foreign,
    link,
    onnx,
    portable,
    unsigned,
)
from .stand_in import write_model

FOLDERS: dict[str, tuple[dict[str, Make], str | None]] = {
    "nothing": ({"clip.mp4": data(b"")}, None),
    "hidden files": ({".m.onnx": onnx(), "._m.engine": data(b""), ".DS_Store": data(b"")}, None),
    "a sidecar alone": ({"m.engine.json": data(b"{}")}, None),
    "an ONNX file": ({"m.onnx": onnx()}, "m.onnx"),
    "upper case": ({"M.ONNX": onnx()}, "M.ONNX"),
    "a link": ({"store": onnx(), "m.onnx": link("store")}, "m.onnx"),
    "with another program's": ({"m.onnx": onnx(), "detector.onnx": foreign}, "m.onnx"),
    "its checkpoint": ({"m.pt": data(CHECKPOINT), "m.onnx": onnx(checkpoint=CHECKPOINT)}, "m.onnx"),
    "another checkpoint": ({"other.pt": data(b"x"), "m.onnx": onnx(checkpoint=CHECKPOINT)}, "m.onnx"),
    "two formats of it": (
        {"m.pth": data(b"x"), "m.safetensors": data(CHECKPOINT), "m.onnx": onnx(checkpoint=CHECKPOINT)},
        "m.onnx",
    ),
    "an engine": ({"m.engine": engine()}, "m.engine"),
    "an upper-case engine": ({"M.ENGINE": engine()}, "M.ENGINE"),
    "a plan": ({"m.plan": engine()}, "m.plan"),
    "an engine and its source": ({"m.onnx": onnx(), "m.fp16.engine": engine("m.onnx")}, "m.fp16.engine"),
    "an engine of another name": ({"m.onnx": onnx(), "edge.trt": engine("m.onnx")}, "edge.trt"),
    "an engine of the same checkpoint": (
        {"m.onnx": onnx((32, 64), CHECKPOINT), "edge.engine": engine(checkpoint=CHECKPOINT)},
        "edge.engine",
    ),
    "an engine and the portable variant of its source": (
        {"m.onnx": onnx(), "m.portable.onnx": portable, "m.engine": engine("m.onnx")},
        "m.engine",
    ),
    "engines of two GPUs": (
        {"m.onnx": onnx(), "a.engine": engine("m.onnx"), "b.engine": engine("m.onnx", "9.0")},
        "a.engine",
    ),
}  # fmt: skip

WRONG: dict[str, tuple[dict[str, Make], str]] = {
    "two ONNX files": ({"a.onnx": onnx(), "B.ONNX": onnx()}, r"several models.*B\.ONNX, a\.onnx.*--model FILE"),
    "another program's": ({"m.onnx": foreign}, r"m\.onnx carries no .*hyperseg-export.*--model camvid-lite"),
    "damaged": ({"m.onnx": damaged}, r"m\.onnx is not an ONNX file, or it is damaged.*--model camvid-lite"),
    "one of two damaged": ({"a.onnx": damaged, "b.onnx": onnx()}, r"a\.onnx .*damaged.*choose --model b\.onnx"),
    "empty": ({"m.onnx": data(b"")}, r"m\.onnx is empty"),
    "a short text": ({"m.onnx": onnx(), "n.onnx": data(b"x\n")}, r"n\.onnx is not an ONNX file.*--model m\.onnx"),
    "zeros": ({"m.onnx": data(bytes(1000))}, r"m\.onnx is not an ONNX file"),
    "a pointer": ({"m.onnx": data(b"version https://git-lfs.github.com/spec/v1\n")}, "pointer of Git LFS"),
    "a web page": ({"m.onnx": data(b"<!DOCTYPE html>\n<html>")}, "is a web page"),
    "metadata of a newer version": (
        {"m.onnx": lambda path: write_model(path, properties={KEY: '{"format_version": 99}'})},
        "format version 99",
    ),
    "a checkpoint": ({"m.pt": data(CHECKPOINT)}, r"m\.pt.*hyperseg-export --ckpt m\.pt --onnx"),
    "a checkpoint with a space": ({"my net.pth": data(CHECKPOINT)}, "--ckpt 'my net.pth' --onnx"),
    "a folder named like a checkpoint": (
        {"c.ckpt": lambda path: path.mkdir()},
        r"has no ONNX file or engine, only c\.ckpt; name a model",
    ),
    "two checkpoints": ({"a.pth": data(b"x"), "b.SafeTensors": data(b"x")}, r"a\.pth, b\.SafeTensors; export one"),
    "of another runtime": ({"m.tflite": data(b"x")}, r"has no ONNX file or engine, only m\.tflite"),
    "exported from older weights": (
        {"m.pt": data(b"new weights"), "m.onnx": onnx(checkpoint=CHECKPOINT)},
        r"m\.onnx was exported from another checkpoint than m\.pt.*--ckpt m\.pt --onnx .*--force.*--model m\.onnx",
    ),
    "a folder": ({"m.onnx": lambda path: path.mkdir()}, r"m\.onnx is a folder, not a model"),
    "a broken link": ({"m.engine": link("gone")}, r"m\.engine is a link to gone, which cannot be read.*--model FILE"),
    "a link to itself": ({"m.onnx": link("m.onnx")}, r"m\.onnx is a link to m\.onnx, which cannot be read"),
    "a pipe": ({"m.onnx": os.mkfifo}, r"m\.onnx is not a regular file"),
    "an engine without sidecar": ({"m.ENGINE": data(b"plan")}, r"m\.ENGINE has no sidecar m\.ENGINE\.json"),
    "that and an ONNX file": (
        {"m.onnx": onnx(), "m.trt": data(b"plan")},
        r"m\.trt has no sidecar.*choose --model m\.onnx, or another one with --model FILE",
    ),
    "a damaged sidecar": ({"m.engine": unsigned}, r"m\.engine\.json.*build the engine again"),
    "an engine for another GPU": (
        {"m.onnx": onnx(), "m.fp16.engine": engine("m.onnx", "9.0")},
        r"m\.fp16\.engine was built for compute capability 9\.0, but Double has 8\.6.*choose --model m\.onnx",
    ),
    "of another TensorRT": ({"m.engine": engine(version="11.0")}, r"built with TensorRT 11\.0.*--model camvid-lite"),
    "engines that both cannot run": (
        {"a.engine": engine(capability="9.0"), "b.plan": data(b"")},
        r"none of the engines.*a\.engine was built.*b\.plan has no sidecar",
    ),
    "engines that both can run": (
        {"m.onnx": onnx(), "m.engine": engine("m.onnx"), "m.fp16.engine": engine("m.onnx")},
        r"several engines.*m\.engine, m\.fp16\.engine; choose one",
    ),
    "engines of two networks": (
        {"m.onnx": onnx(), "m.engine": engine("m.onnx"), "n.engine": engine(capability="9.0")},
        r"only m\.engine can run here, and it may be another network: .*n\.engine was built",
    ),
    "an engine beside another network": (
        {"m.onnx": onnx(), "m.engine": engine("m.onnx"), "n.onnx": onnx((32, 64))},
        r"m\.engine and n\.onnx.*are not known to be one network",
    ),
    "an engine beside a damaged file": (
        {"m.onnx": onnx(), "m.engine": engine("m.onnx"), "n.onnx": damaged},
        r"m\.engine and n\.onnx.*are not known to be one network",
    ),
    "an engine of weights trained on": (
        {"m.pt": data(b"new"), "m.engine": engine(checkpoint=CHECKPOINT)},
        r"m\.engine is of another checkpoint than m\.pt.*hyperseg-export --ckpt m\.pt --onnx, hyperseg-build-engine",
    ),
}  # fmt: skip


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    folder = tmp_path / "packaged"
    folder.mkdir()
    write_model(folder / "shipped.onnx")
    write_model(folder / "shipped.portable.onnx")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder on a machine that runs engines for compute capability 8.6."""
    made = tmp_path / "working"
    made.mkdir()
    monkeypatch.chdir(made)
    monkeypatch.setattr(Machine, "inspect", lambda _=0: MACHINE)
    return made


@pytest.mark.parametrize(("files", "taken"), FOLDERS.values(), ids=FOLDERS)
def test_what_is_taken(folder: Path, packaged: Path, files: dict[str, Make], taken: str | None) -> None:
    fill(folder, files)
    found = find_model(folder, packaged)
    if taken is None:
        assert found.path.parent == packaged
        assert "no model of any kind" in found.reason
    else:
        assert found.path == folder / taken
        assert "the only" in found.reason


@pytest.mark.parametrize(("files", "message"), WRONG.values(), ids=WRONG)
def test_what_is_an_error(folder: Path, packaged: Path, files: dict[str, Make], message: str) -> None:
    fill(folder, files)
    with pytest.raises(ModelError, match=message) as raised:
        find_model(folder, packaged)
    assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match=message):
        Segmenter()


@pytest.mark.parametrize("named", [True, False], ids=["recorded", "by its name"])
def test_an_engine_of_an_older_export(folder: Path, named: bool) -> None:
    fill(folder, {"m.onnx": onnx(), "m.fp16.engine": engine("m.onnx", named=named)})
    assert find_model().warning is None
    assert locate("m.fp16.engine").warning is None
    onnx((32, 64))(folder / "m.onnx")
    pattern = (
        r"m\.fp16\.engine was built from another export than m\.onnx .*"
        r"hyperseg-build-engine m\.onnx --fp16 --force.*--model m\.onnx"
    )
    with pytest.raises(ModelError, match=pattern):
        find_model()
    chosen = locate("m.fp16.engine")
    assert chosen.path == Path("m.fp16.engine")
    assert "another export than m.onnx" in (chosen.warning or "")


@pytest.mark.parametrize("name", ["m.onnx", "m.engine"])
def test_a_named_model_of_another_checkpoint_is_a_warning(folder: Path, name: str) -> None:
    make = onnx(checkpoint=CHECKPOINT) if name == "m.onnx" else engine(checkpoint=CHECKPOINT)
    fill(folder, {"m.pt": data(CHECKPOINT), name: make})
    assert locate(name).warning is None
    (folder / "m.pt").write_bytes(b"trained on")
    assert f"{name} " in (locate(name).warning or "") and "another checkpoint than m.pt" in (locate(name).warning or "")


@pytest.mark.parametrize("resolution", [5, True, "576x768"])
def test_a_stale_model_with_an_odd_configuration(folder: Path, resolution: object) -> None:
    digest = hashlib.sha256(CHECKPOINT).hexdigest()
    described = replace(META, checkpoint_sha256=digest, config={"resolution": resolution})
    write_model(folder / "m.onnx", properties={KEY: described.to_json()})
    (folder / "m.pt").write_bytes(b"trained on")
    assert "another checkpoint than m.pt" in (locate("m.onnx").warning or "")
    with pytest.raises(ModelError, match=r"another checkpoint than m\.pt"):
        find_model()


def test_what_was_passed_over_is_named(folder: Path) -> None:
    fill(folder, {"m.onnx": onnx(), "detector.onnx": foreign})
    assert "passed over, not from hyperseg-export: detector.onnx" in find_model(folder).reason


def test_a_backend_asks_for_a_kind(folder: Path) -> None:
    fill(folder, {"m.onnx": onnx(), "m.engine": engine("m.onnx")})
    assert find_model(backend="onnxruntime").path.name == "m.onnx"
    assert find_model(backend="tensorrt").path.name == "m.engine"
    (folder / "m.onnx").unlink()
    with pytest.raises(ModelError, match=r"has no ONNX file, only m\.engine"):
        find_model(backend="onnxruntime")


def test_a_folder_that_cannot_be_read(folder: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ModelError, match=r"working cannot be read \(Permission denied\).*name the file"):
        find_model(folder, packaged)


def test_a_file_that_cannot_be_read(folder: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, {"a.onnx": onnx(), "b.onnx": onnx()})

    def refuse(path: Path) -> BinaryIO:
        if path.name == "a.onnx":
            raise PermissionError(13, "Permission denied", str(path))
        return open_regular(path)

    monkeypatch.setattr(onnx_file, "open_regular", refuse)
    with pytest.raises(ModelError, match=r"cannot read .*a\.onnx: Permission denied.*choose --model b\.onnx"):
        find_model(folder, packaged)


@pytest.mark.parametrize(("built", "name"), [(True, "shipped.onnx"), (False, "shipped.portable.onnx")])
def test_the_packaged_model_that_this_installation_can_run(
    folder: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch, built: bool, name: str
) -> None:
    monkeypatch.setattr(discovery.libraries, "find", lambda _: Path("library") if built else None)
    found = find_model(folder, packaged)
    assert found.path.name == name
    assert "ships with the package" in found.reason
    assert shipped_models(packaged) == {"shipped": packaged / name}


def test_the_shipped_model_says_what_it_knows(folder: Path) -> None:
    found = find_model()
    assert found.path.parent == PACKAGED_MODELS
    assert "it knows only the 11 classes of CamVid: sky, building" in found.reason


def test_none_at_all(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--model FILE"):
        find_model(folder, tmp_path / "nowhere")


def test_a_shipped_model_by_its_name(folder: Path) -> None:
    onnx()(folder / "m.onnx")
    (name,) = shipped_models()
    found = locate(name)
    assert found.path == shipped_models()[name]
    assert "ships with the package; it knows only" in found.reason
    (folder / name).mkdir()
    with pytest.raises(ModelError, match="is a folder here and the name of a shipped model"):
        locate(name)
    (folder / name).rmdir()
    onnx()(folder / name)
    assert locate(name).path == Path(name)


def test_a_name_that_is_none(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no file camvid, .*ships with the package \(camvid-lite\)"):
        Segmenter("camvid")
    with pytest.raises(ModelError, match=r"camvid-lite\.onnx does not exist; .*--model camvid-lite$"):
        Segmenter("camvid-lite.onnx")
    with pytest.raises(ModelError, match=r"'m\\x00\.onnx' cannot be the name of a file"):
        Segmenter("m\0.onnx")
    with pytest.raises(AmbiguousModelError):
        fill(folder, {"a.onnx": onnx(), "b.onnx": onnx()})
        locate()


@pytest.mark.parametrize("name", ["m.pt", "M.PTH", "m.safetensors", "weights.bin", "m.pth.tar"])
def test_a_checkpoint_is_told_from_a_damaged_model(folder: Path, name: str) -> None:
    (folder / name).write_bytes(CHECKPOINT)
    with pytest.raises(ModelError, match=f"{name} is a checkpoint.*hyperseg-export --ckpt {name} --onnx"):
        Segmenter(name)


def test_an_engine_in_upper_case_is_opened_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine()(folder / "M.ENGINE")
    opened = []
    monkeypatch.setattr(tensorrt, "availability", lambda _: tensorrt.Availability(True, ""))
    monkeypatch.setattr(tensorrt, "open_session", lambda model, *_: opened.append(model) or _stop())
    with pytest.raises(ModelError, match="reached"):
        Segmenter()
    assert [path.name for path in opened] == ["M.ENGINE"]


def _stop() -> None:
    raise ModelError("reached")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("m.engine", ""),
        ("m.fp16.engine", " --fp16"),
        ("m.trt", " -o m.trt"),
        ("my edge.fp16.plan", " --fp16 -o 'my edge.fp16.plan'"),
    ],
)
def test_the_remedy_replaces_the_stale_engine(folder: Path, name: str, options: str) -> None:
    fill(folder, {"m.onnx": onnx(), name: engine("m.onnx")})
    onnx((32, 64))(folder / "m.onnx")
    assert f"(hyperseg-build-engine m.onnx{options} --force)" in (locate(name).warning or "")

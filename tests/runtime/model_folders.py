"""Files of a working folder: models of every kind and state, and a machine to run engines on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hyperseg_runtime import sidecar
from hyperseg_runtime.backends.cuda import Driver, Gpu
from hyperseg_runtime.backends.tensorrt import Machine
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.metadata import KEY, InputType, OutputKind, Precision
from hyperseg_runtime.sidecar import EngineFacts, Sidecar

from .stand_in import SIZE, metadata, write_model

MACHINE = Machine(
    driver=Driver((Gpu("Double", "8.6"),)),
    device=0,
    flavours=(Flavour.TENSORRT,),
    version=lambda _: "10.16.1.11",
    pycuda=True,
    plugin_library=Path("libhyperseg_trt.so"),
)
Make = Callable[[Path], object]
CHECKPOINT = b"PK\x03\x04 weights"
META = metadata(OutputKind.LABELS, InputType.UINT8, SIZE)


def onnx(size: tuple[int, int] = SIZE, checkpoint: bytes | None = None) -> Make:
    def make(path: Path) -> None:
        digest = None if checkpoint is None else hashlib.sha256(checkpoint).hexdigest()
        described = replace(metadata(OutputKind.LABELS, InputType.UINT8, size), checkpoint_sha256=digest)
        write_model(path, size=size, properties={KEY: described.to_json()})

    return make


def engine(
    source: str | None = None,
    capability: str = "8.6",
    checkpoint: bytes | None = None,
    version: str = "10.16.1.11",
    named: bool = True,
) -> Make:
    """An engine of the ONNX file `source` of its folder, which is written first; None: of a file that is gone."""

    def make(path: Path) -> None:
        path.write_bytes(b"plan of " + path.name.encode())
        content = b"gone" if source is None else (path.parent / source).read_bytes()
        digest = None if checkpoint is None else hashlib.sha256(checkpoint).hexdigest()
        facts = EngineFacts(
            flavour=Flavour.TENSORRT,
            version=version,
            compute_capabilities=(capability,),
            gpu=None,
            layers=1,
            half_layers=0,
            plugin_layers=0,
            plan_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            plan_bytes=path.stat().st_size,
            onnx_sha256=hashlib.sha256(content).hexdigest(),
            executed=False,
            plugin_sha256=None,
            onnx_name=source if named else None,
        )
        precision = Precision.FLOAT16 if ".fp16" in path.suffixes else Precision.FLOAT32
        described = replace(META, checkpoint_sha256=digest, precision=precision)
        sidecar.path_of(path).write_text(Sidecar(described, facts).to_signed_json(), encoding="utf-8")

    return make


def data(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


def damaged(path: Path) -> None:
    write_model(path)
    path.write_bytes(path.read_bytes()[:-200])


def foreign(path: Path) -> None:
    write_model(path, properties={})


def portable(path: Path) -> None:
    """Weights are not borrowed here; only the hash of the model that has them is recorded."""
    source = path.with_name("m.onnx")
    described = replace(META, external={source.name: hashlib.sha256(source.read_bytes()).hexdigest()})
    write_model(path, properties={KEY: described.to_json(), "variant": "portable"})


def link(target: str) -> Make:
    return lambda path: path.symlink_to(target)


def unsigned(path: Path) -> None:
    engine()(path)
    sidecar.path_of(path).write_text('{"format_version": 1}')


def fill(folder: Path, files: dict[str, Make]) -> None:
    for name, make in files.items():
        make(folder / name)

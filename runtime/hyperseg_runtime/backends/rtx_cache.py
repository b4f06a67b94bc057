"""The runtime cache of TensorRT for RTX on disk: kernels that it compiled for an engine here, kept between starts.

`m.engine` has `m.engine.cache`, or, where its folder cannot be written, a file in `$XDG_CACHE_HOME/hyperseg` (by
default `~/.cache/hyperseg`). It holds machine code that TensorRT runs, so that only a file that this machine's own key
signed is loaded, and only for the same plan, TensorRT, GPU and driver. Everything else is ignored with a note and
written anew.

    hyperseg runtime cache 1
    {"facts": {"plan_sha256": ..., "tensorrt": ..., "gpu": ..., "driver": ..., "sha256": ...}, "signature": {...}}
    bytes of IRuntimeCache.serialize
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime import signing
from hyperseg_runtime.backends import nvml
from hyperseg_runtime.backends.protocol import Note
from hyperseg_runtime.errors import HyperSegError, ModelError, OutputError
from hyperseg_runtime.json_fields import Fields
from hyperseg_runtime.output_files import reason, write_bytes
from hyperseg_runtime.regular_files import open_regular, read_regular
from hyperseg_runtime.signing import Purpose, Signature

SUFFIX = ".cache"
LIMIT = 256 << 20
"""Bytes of a cache. A larger one is neither read nor written: its engine compiles its kernels at each start."""

_MAGIC = b"hyperseg runtime cache 1\n"
_HEADER_LIMIT = 1 << 14
_AGAIN = "its kernels are compiled again"


@dataclass(frozen=True)
class CacheKey:
    """What compiled kernels are for. The driver counts too: it links them."""

    plan_sha256: str
    tensorrt: str
    """Version of TensorRT for RTX."""
    gpu: str
    """Name of the GPU."""
    driver: str
    """Release of the NVIDIA driver, and the CUDA version that it supports."""

    @staticmethod
    def of(plan_sha256: str, tensorrt: str, gpu: str, driver: Any) -> CacheKey:
        """With the installed driver's release. `driver` is libcuda."""
        version = ctypes.c_int(0)
        driver.cuDriverGetVersion(ctypes.byref(version))
        return CacheKey(plan_sha256, tensorrt, gpu, f"{nvml.driver_release() or 'unknown'}, CUDA {version.value}")


class RuntimeCacheFile:
    """The cache file of one engine. Never raises for the file's sake: without a cache an engine starts more slowly."""

    def __init__(self, engine: Path, key: CacheKey, note: Note) -> None:
        """`note` receives a sentence where the file is not used or not written."""
        self._engine = engine
        self._key = key
        self._note = note
        self._kept: bytes | None = None
        """What is on the disk; None if unknown."""

    def read(self) -> bytes | None:
        """The serialised cache; None if there is none that may be loaded, with a note where there is a file."""
        problems = []
        for path in self._paths():
            try:
                self._kept = self._open(path)
                return self._kept
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(f"{path} cannot be read ({error.strerror or error})")
            except HyperSegError as error:
                problems.append(f"{path} is not used: {error}")
        for problem in problems:
            self._note(f"{problem}; {_AGAIN}")
        return None

    def reject(self) -> None:
        """TensorRT did not take what `read` returned."""
        self._kept = None
        self._note(f"{self._engine}: the runtime cache is not used: TensorRT did not accept it; {_AGAIN}")

    def write(self, content: bytes) -> None:
        """Replaces the file by a complete one, if the content is new; a note says why where that is impossible."""
        if content == self._kept:
            return
        if len(content) > LIMIT:
            self._note(
                f"{self._engine}: the runtime cache was not written: its {len(content) >> 20} MiB exceed the limit "
                f"of {LIMIT >> 20} MiB; its kernels are compiled at each start"
            )
            return
        problem = "the home folder is not known"
        try:
            signed = self._signed(content)
            for path in self._paths():
                try:
                    self._replace(path, signed)
                    self._kept = content
                    return
                except OutputError as error:
                    problem = str(error)
        except HyperSegError as error:  # of the key
            problem = str(error)
        self._note(f"{self._engine}: the runtime cache was not written: {problem}")

    def _paths(self) -> Iterator[Path]:
        """Where the file may be, the preferred place first."""
        engine = self._engine.absolute()
        yield engine.with_name(engine.name + SUFFIX)
        home = os.environ.get("XDG_CACHE_HOME", "")
        try:
            folder = Path(home) if os.path.isabs(home) else Path.home() / ".cache"  # noqa: PTH117
        except RuntimeError:  # a user without a home
            return
        # Named after the engine's place and not after its content, so that a new build replaces the old one's cache.
        name = hashlib.sha256(os.fsencode(engine)).hexdigest()[:32]
        yield folder / "hyperseg" / f"{name}{SUFFIX}"

    def _open(self, path: Path) -> bytes:
        """Raises OSError, or a HyperSegError that says why the file may not be loaded."""
        content = read_regular(path, LIMIT + _HEADER_LIMIT)
        if not content.startswith(_MAGIC):
            raise ModelError("it is not a runtime cache, or is damaged")
        header, found, blob = content[len(_MAGIC) :].partition(b"\n")
        if not found or len(header) > _HEADER_LIMIT:
            raise ModelError("it is damaged")
        try:
            fields = Fields.of(json.loads(header), str(path))
        except (ValueError, RecursionError) as error:
            raise ModelError("it is damaged") from error
        facts = fields.nested("facts")
        signature = Signature.read(fields.nested("signature"))
        # Of this machine's own key alone: a machine whose engines are trusted has no business with this one's kernels.
        if not signing.verify(signing.statement(Purpose.RUNTIME_CACHE, facts.content), signature).own:
            raise ModelError("another machine wrote it")
        if facts.text("sha256") != hashlib.sha256(blob).hexdigest():
            raise ModelError("it is damaged")
        for name, value in asdict(self._key).items():
            if facts.text(name) != value:
                raise ModelError(f"it is of another {_WORDS[name]}")
        return blob

    def _signed(self, content: bytes) -> bytes:
        facts = {**asdict(self._key), "sha256": hashlib.sha256(content).hexdigest()}
        signature = signing.sign(signing.statement(Purpose.RUNTIME_CACHE, facts))
        header = json.dumps({"facts": facts, "signature": signature.to_dict()})
        return _MAGIC + header.encode() + b"\n" + content

    def _replace(self, path: Path, content: bytes) -> None:
        """Raises OutputError, also where the name is taken by a file that is none of ours."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open_regular(path) as file:
                present = file.read(len(_MAGIC))
        except FileNotFoundError:
            present = b""
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {reason(error)}") from error
        if not _MAGIC.startswith(present):
            raise OutputError(f"{path} exists, is no runtime cache and was kept; move it to another name")
        if path.is_symlink():
            raise OutputError(f"{path} is a link, which no cache is written through; remove it")
        write_bytes(path, content, sync=False, through_link=False)  # nor if it becomes one now


_WORDS = {
    "plan_sha256": "build of the engine",
    "tensorrt": "TensorRT for RTX",
    "gpu": "GPU",
    "driver": "NVIDIA driver",
}

"""A native library that is loaded from the bytes that were hashed.

TensorRT loads a plugin library by its name. Between hashing a file and loading it, whoever may write to its folder
could exchange it: HYPERSEG_LIBRARY_DIR may name a shared folder. So the file is copied once into memory that cannot be
changed any more (memfd_create(2), F_SEAL_WRITE), the copy is hashed, and the copy's name is what TensorRT gets. Files
beside the original are not loaded with it either, since $ORIGIN is not its folder any more. Whoever can change the
installed package itself needs no library for that.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.output_files import reason
from hyperseg_runtime.regular_files import read_regular

_LIMIT = 1 << 30
"""Bytes of a library."""


@dataclass(frozen=True)
class SealedLibrary:
    """A copy of a library."""

    path: Path
    """To load it by, for as long as this process lives."""
    source: Path
    sha256: str


_lock = threading.Lock()
_descriptors: dict[str, int] = {}
"""SHA-256 to the descriptor of the copy. Never closed, like loaded libraries, which belong to the process: the linker
knows a library by its name, and would return the former one for a number that is used again."""


def seal(source: Path) -> SealedLibrary:
    """Copies and hashes a library. Raises LibraryMissingError where it cannot be read or copied."""
    try:
        content = read_regular(source, _LIMIT)
    except OSError as error:
        raise LibraryMissingError(
            f"{source} cannot be read ({error.strerror or error}); build it again (pip install .)"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    try:
        with _lock:
            if digest not in _descriptors:
                _descriptors[digest] = _copy(source.name, content)
            descriptor = _descriptors[digest]
    except OSError as error:
        raise LibraryMissingError(f"{source} cannot be copied into memory to load it: {reason(error)}") from error
    return SealedLibrary(Path(f"/proc/self/fd/{descriptor}"), source, digest)


def _copy(name: str, content: bytes) -> int:
    if not hasattr(os, "memfd_create"):
        raise OSError(errno.ENOSYS, "only Linux loads engines")
    import fcntl  # which Windows does not have

    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor

"""Compiler launcher with a cache: runs a C++ compile command, or copies the object file of an equal one.

    python compile_once.py g++ ... -c FILE -o OBJECT

scripts/setup.sh and several tests build the same sources with the same flags, the tests in copies of the repository.
Objects are cached in build/test-objects by compiler, flags and preprocessed source; the folder may be removed at any
time. For CMake it is a CMAKE_CXX_COMPILER_LAUNCHER.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

OBJECTS = Path(__file__).resolve().parents[1] / "build" / "test-objects"
_PLACES = ("-o", "-MF", "-MT", "-MQ", "-I", "-isystem", "-c")
"""Options with a path, which do not change the object."""
_SILENT = ("-Werror",)
"""Other options that do not change the object."""


def compile_once(command: Sequence[str]) -> int:
    """Compiles, or takes the object from the cache. Returns the compiler's exit code; its messages go to stderr."""
    if "-c" not in command:
        return subprocess.run(command, check=False).returncode
    at = command.index("-o")
    target = Path(command[at + 1])
    # Without lines and paths, unless debug information needs them. Writes the list of headers if requested.
    lines = () if any(part.startswith("-g") for part in command) else ("-P",)
    preprocess = [*command[:at], *command[at + 2 :], "-E", *lines, "-o", "-"]
    source = subprocess.run(preprocess, stdout=subprocess.PIPE, check=False)
    if source.returncode:
        return source.returncode
    OBJECTS.mkdir(parents=True, exist_ok=True)
    name = Path(command[command.index("-c") + 1]).stem
    kept = OBJECTS / f"{name}-{_digest(command, source.stdout)}.o"
    with kept.with_suffix(".lock").open("w") as lock:  # another process of pytest may be at the same object
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            if code := subprocess.run(command, check=False).returncode:
                return code
            draft = kept.with_suffix(".part")
            shutil.copyfile(target, draft)
            draft.rename(kept)
    shutil.copyfile(kept, target)
    return 0


def _digest(command: Sequence[str], source: bytes) -> str:
    called = subprocess.run([command[0], "--version"], capture_output=True, check=True).stdout
    _, _, version = called.partition(b" ")  # g++ and c++ are one compiler
    for before, part in pairwise(command):  # assertions of headers have the names of their files
        if before == "-isystem":
            source = source.replace(part.encode(), b"")
    digest = hashlib.sha256(version + source)
    for before, part in pairwise(command):
        if before not in _PLACES and part not in _SILENT and not part.startswith("-I"):
            digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:24]


if __name__ == "__main__":
    sys.exit(compile_once(sys.argv[1:]))

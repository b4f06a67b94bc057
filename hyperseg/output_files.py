"""Atomic output files: a reader sees the previous file or the complete new one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_output(target: Path) -> Iterator[Path]:
    """Yield the path of a draft in the target's folder, and rename it to the target once it is complete.

    The draft is named `.hyperseg-<pid>-<random>.part` plus the target's suffix if that is short, however long the
    target's name. It is flushed to the disk before the rename, and removed if the block raises: the previous file is
    then left as it was.
    """
    target = Path(os.path.realpath(target))  # a link stays, and leads to the new file
    suffix = target.suffix if len(target.suffix) < 16 else ""
    draft = target.with_name(f".hyperseg-{os.getpid()}-{secrets.token_hex(4)}.part{suffix}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)

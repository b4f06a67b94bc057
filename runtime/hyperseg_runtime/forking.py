"""Segmenters in processes that fork.

A fork copies a model's memory, but not the threads that ONNX Runtime and CUDA run it with. In the child a run would do
without them at best, and freeing the model would wait for them for ever. Therefore the child neither runs nor frees the
models that it inherits; a Segmenter says so when it is used there.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from pathlib import Path

from hyperseg_runtime.backends.protocol import Session
from hyperseg_runtime.errors import ModelError

_open: weakref.WeakSet[OpenedSession] = weakref.WeakSet()


class OpenedSession:
    """A session and the process that opened it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.inherited = False
        """Whether this process is a fork of the one that opened it."""
        _open.add(self)

    def check_process(self, model: Path) -> None:
        """Raises ModelError in a fork."""
        if self.inherited:
            raise ModelError(
                f"{model} was opened before this process was forked, and the threads that run it are not in the fork; "
                "open the model here, or hand over the Segmenter as an argument (pickled, it opens its model again)"
            )

    def close(self) -> None:
        """Closes the session where it was opened."""
        if not self.inherited:
            self.session.close()


def _keep_for_ever() -> None:
    """In a child: one more reference that nobody gives back, so that no destructor runs."""
    for opened in list(_open):
        if not opened.inherited:
            opened.inherited = True
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(opened.session))


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_keep_for_ever)

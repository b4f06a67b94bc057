"""The errors a user can cause. Each message is one line that names the thing, its value and the remedy."""

from __future__ import annotations


class HyperSegError(Exception):
    """Base of every error that commands print as one line, without a traceback, before they exit with code 1."""


class MetadataError(HyperSegError):
    """A model without our metadata, or with metadata that does not hold together."""


class ModelError(HyperSegError):
    """A model that is missing, unreadable, ambiguous, or not meant for this machine."""


class LibraryMissingError(HyperSegError):
    """One of our native libraries, or a Python package that a backend stands on, is not installed or does not load."""


class BackendUnavailableError(HyperSegError):
    """The backend asked for cannot run on this machine."""


class InputError(HyperSegError, ValueError):
    """An image, video or stream that cannot be read, or a frame that is not uint8 [h, w, 3]."""


class OutputError(HyperSegError):
    """An output path that cannot be written, or that would replace something."""

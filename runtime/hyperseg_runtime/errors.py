"""Exceptions for user errors. Each message is one line that names the subject, its value and the remedy."""

from __future__ import annotations


class HyperSegError(Exception):
    """Base class of the errors that commands print as one line, without a traceback, before they exit with code 1."""


class MetadataError(HyperSegError):
    """A model without our metadata, or with inconsistent metadata."""


class ModelError(HyperSegError):
    """A model that is missing, unreadable, ambiguous, or not meant for this machine."""


class AmbiguousModelError(ModelError):
    """Several models of which none was named."""


class UnknownKeyError(ModelError):
    """A signature by a key that is neither this machine's nor a trusted one."""


class BadSignatureError(ModelError):
    """A signature that is not of this content: one of the two was changed."""


class KeyFileError(ModelError):
    """Files of keys that cannot be read or written, are damaged, or may be changed by other users."""


class LibraryMissingError(HyperSegError):
    """One of our native libraries, or a Python package that a backend requires, is not installed or does not load."""


class BackendUnavailableError(HyperSegError):
    """The requested backend cannot run on this machine."""


class InputError(HyperSegError, ValueError):
    """An image, video or stream that cannot be read, or a frame that is not uint8 [h, w, 3]."""


class OutputError(HyperSegError):
    """An output path that cannot be written, or an existing file that would be replaced."""

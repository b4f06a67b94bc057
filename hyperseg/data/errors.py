"""What a data set raises when its files are not as they should be."""

from __future__ import annotations


class DataError(ValueError):
    """A data set is incomplete or damaged; the message names the file and what is wrong with it."""

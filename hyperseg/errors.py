"""Exceptions that users of the networks may see."""


class CheckpointError(ValueError):
    """A checkpoint cannot be loaded; the message is one sentence that names the entry of the file and the remedy."""


class DataError(ValueError):
    """A dataset is incomplete or damaged; the message names the file and the problem."""
